package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/interop/check"
	"github.com/seed51309289/quiver/netsim"
)

// TestCasesAreThoseOfThePublicRunner has its table, literally, and then our own.
func TestCasesAreThoseOfThePublicRunner(t *testing.T) {
	type row struct {
		name, abbr, client, server, scenario, host, files string
		keys                                              bool
		timeout, chain                                    int
	}
	const (
		s0   = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25"
		loss = " --delay=15ms --bandwidth=10Mbps --queue=25 --rate_to_server=30 --rate_to_client=30 --burst_to_server=3 --burst_to_client=3"
		some = " --delay=15ms --bandwidth=10Mbps --queue=25 --rate_to_server=2 --rate_to_client=2 --burst_to_server=3 --burst_to_client=3"
		hole = "blackhole --delay=15ms --bandwidth=10Mbps --queue=25 --on=5s --off=2s"
		list = "droplist --delay=15ms --bandwidth=10Mbps --queue=25 --drops_to_server=2,3,4,5,6,7"
		nat  = "rebind --delay=15ms --bandwidth=10Mbps --queue=25 --first-rebind=1s --rebind-freq=5s"
	)
	want := []row{
		{"handshake", "H", "handshake", "handshake", s0, "server4", "1024", false, 60, 1},
		{"transfer", "DC", "transfer", "transfer", s0, "server4", "2097152 3145728 5242880", false, 60, 1},
		{"longrtt", "LR", "handshake", "handshake", "simple-p2p --delay=750ms --bandwidth=10Mbps --queue=25", "server4", "1024", false, 60, 1},
		{"chacha20", "C20", "chacha20", "chacha20", s0, "server4", "3145728", false, 60, 1},
		{"multiplexing", "M", "transfer", "transfer", s0, "server4", "32 x1999", true, 60, 1},
		{"retry", "S", "retry", "retry", s0, "server4", "10240", false, 60, 1},
		{"resumption", "R", "resumption", "resumption", s0, "server4", "5120 10240", true, 60, 1},
		{"zerortt", "Z", "zerortt", "zerortt", s0, "server4", "32 x40", false, 60, 1},
		{"http3", "3", "http3", "http3", s0, "server4", "5120 10240 512000", false, 60, 1},
		{"blackhole", "B", "transfer", "transfer", hole, "server4", "10485760", false, 60, 1},
		{"keyupdate", "U", "keyupdate", "transfer", s0, "server4", "3145728", true, 60, 1},
		{"ecn", "E", "ecn", "ecn", s0, "server4", "102400", true, 60, 1},
		{"amplificationlimit", "A", "transfer", "transfer", list, "server4", "5120", true, 60, 9},
		{"handshakeloss", "L1", "multiconnect", "multiconnect", "drop-rate" + loss, "server4", "1024 x50", false, 300, 1},
		{"transferloss", "L2", "transfer", "transfer", "drop-rate" + some, "server4", "2097152", false, 60, 1},
		{"handshakecorruption", "C1", "multiconnect", "multiconnect", "corrupt-rate" + loss, "server4", "1024 x50", false, 300, 1},
		{"transfercorruption", "C2", "transfer", "transfer", "corrupt-rate" + some, "server4", "2097152", false, 60, 1},
		{"ipv6", "6", "transfer", "transfer", s0, "server6", "5120 10240", false, 60, 1},
		{"v2", "V2", "v2", "v2", s0, "server4", "1024", false, 60, 1},
		{"rebind-port", "BP", "transfer", "transfer", nat, "server4", "10485760", true, 60, 1},
		{"rebind-addr", "BA", "transfer", "transfer", nat + " --rebind-addr", "server4", "10485760", true, 60, 1},
		{"connectionmigration", "CM", "transfer", "connectionmigration", s0, "server46", "2097152", true, 60, 1},
		{"versionnegotiation", "V", "versionnegotiation", "versionnegotiation", s0, "server4", "", false, 60, 1},
		{"goodput", "G", "transfer", "transfer", s0, "server4", "10485760", false, 60, 1},
		{"crosstraffic", "C", "transfer", "transfer", s0, "server4", "26214400", false, 180, 1},
	}
	public := slices.DeleteFunc(Cases(), func(c Case) bool { return c.Extra })
	if len(public) != len(want) {
		t.Fatalf("%d cases of the public runner, want %d", len(public), len(want))
	}
	for i, c := range public {
		got := row{c.Name, c.Abbr, c.Client, c.Server, c.Scenario, c.Host, sizes(c.Files), c.NeedKeys, int(c.Timeout.Seconds()), c.Chain}
		if got != want[i] {
			t.Errorf("case %d = %+v, want %+v", i, got, want[i])
		}
		if (c.NameLen == 250) != (c.Name == "zerortt") || c.Off != (c.Name == "versionnegotiation") || c.Cross != (c.Name == "crosstraffic") ||
			(c.Runs == 5) != (c.Name == "goodput" || c.Name == "crosstraffic") {
			t.Errorf("%s: names of %d letters, off %v, cross traffic %v, %d runs", c.Name, c.NameLen, c.Off, c.Cross, c.Runs)
		}
	}
}

func TestEveryScenarioIsKnownToTheSimulator(t *testing.T) {
	for _, c := range Cases() {
		if _, err := netsim.ParseScenario(c.Scenario); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// TestEveryCaseHasCriteria judges nothing at all: each case must fail for a reason of its own.
func TestEveryCaseHasCriteria(t *testing.T) {
	for _, c := range Cases() {
		v := check.Judge(check.Input{Test: c.Name, Dir: t.TempDir(), Files: []string{"a"}})
		if v.Result == check.Succeeded || strings.HasPrefix(v.Reason, "no criteria") {
			t.Errorf("%s: %s, %s", c.Name, v.Result, v.Reason)
		}
	}
}

func sizes(files []int) string {
	if len(files) > 10 {
		return strconv.Itoa(files[0]) + " x" + strconv.Itoa(len(files))
	}
	var s []string
	for _, f := range files {
		s = append(s, strconv.Itoa(f))
	}
	return strings.Join(s, " ")
}

func TestSelectCasesFollowsTheOption(t *testing.T) {
	names := func(in string) string {
		got, err := SelectCases(in)
		if err != nil {
			t.Errorf("SelectCases(%q): %v", in, err)
		}
		var names []string
		for _, c := range got {
			names = append(names, c.Name)
		}
		return strings.Join(names, " ")
	}
	const extra = "v2-keyupdate keyupdate-server mtu-blackhole stateless-reset reordering plugin-exchange"
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"onlyMeasurements", "goodput crosstraffic"},
		{"retry,handshake,retry", "retry handshake"},
		{"goodput,handshake", "handshake goodput"}, // tests come first
		{"versionnegotiation", "versionnegotiation"},
	} {
		if got := names(tt.in); got != tt.want {
			t.Errorf("SelectCases(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
	tests := names("onlyTests")
	if n := len(strings.Fields(tests)); n != 22+6 || !strings.HasSuffix(tests, "connectionmigration "+extra) {
		t.Errorf("onlyTests are %d: %s, want the 22 of the public runner and then %s", n, tests, extra)
	}
	if got := names("all"); got != tests+" goodput crosstraffic" {
		t.Errorf("all = %s, want the tests and the measurements", got)
	}
	for _, in := range []string{"H", "handshake,nonsense"} {
		if _, err := SelectCases(in); err == nil || !strings.Contains(err.Error(), "; available are: handshake,") {
			t.Errorf("SelectCases(%q) = %v, want what is available", in, err)
		}
	}
}

func TestAbbreviationsAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, c := range allCases {
		if o := seen[c.Abbr]; o != "" {
			t.Errorf("%s and %s share the abbreviation %s", o, c.Name, c.Abbr)
		}
		seen[c.Abbr] = c.Name
	}
}

func TestFilesFollowFromTheSeed(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	var names [][]string
	for i, seed := range []Seed{5, 5, 6} {
		n, err := makeFiles(dirs[i], []int{1000, 0, 40}, 0, seed)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	if !slices.Equal(names[0], names[1]) || slices.Equal(names[0], names[2]) {
		t.Errorf("names %v, %v, %v, want the first two equal and the third different", names[0], names[1], names[2])
	}
	read := func(dir, name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	a, b, c := read(dirs[0], names[0][0]), read(dirs[1], names[1][0]), read(dirs[2], names[2][0])
	if len(a) != 1000 || !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Errorf("sizes %d %d %d: want 1000 bytes that depend on the seed alone", len(a), len(b), len(c))
	}
}

func TestLongNamesAreLetters(t *testing.T) {
	names, err := makeFiles(t.TempDir(), repeatSize(32, 40), 250, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		if len(n) != 250 || strings.Trim(n, "abcdefghijklmnopqrstuvwxyz") != "" || slices.Contains(names[:i], n) {
			t.Errorf("name %d is %q, want another one of 250 letters", i, n)
		}
	}
}

func TestMultiplexingFitsIntoOneEnvironmentString(t *testing.T) {
	names := slugs(Seed(1).source("names"), 1999)
	unique := map[string]bool{}
	for _, n := range names {
		unique[n] = true
		if strings.Trim(n, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("name %q has more than a-z, 0-9 and hyphens", n)
		}
	}
	if len(unique) != 1999 {
		t.Errorf("%d different names, want 1999", len(unique))
	}
	env := "REQUESTS=" + strings.Join(requestURLs("server4:443", names), " ")
	if len(env) >= 128<<10 {
		t.Errorf("REQUESTS takes %d bytes, the kernel takes 128 KiB", len(env))
	}
}

func TestJobSeedDependsOnEveryNameAndOnNothingElse(t *testing.T) {
	base := Seed(1).Job("c", "s", "t", 1)
	if base != Seed(1).Job("c", "s", "t", 1) {
		t.Error("the same job has two seeds")
	}
	for _, other := range []Seed{
		Seed(2).Job("c", "s", "t", 1), Seed(1).Job("s", "c", "t", 1), Seed(1).Job("c", "s", "u", 1), Seed(1).Job("c", "s", "t", 2),
		Seed(1).Job("cs", "", "t", 1),
	} {
		if other == base {
			t.Error("two different jobs share a seed")
		}
	}
}
