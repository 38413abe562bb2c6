package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestCasesAreThoseOfThePublicRunner(t *testing.T) {
	type row struct {
		name, abbr, client, server, scenario, host string
		files                                      string
		keys                                       bool
	}
	const s0 = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25"
	want := []row{
		{"handshake", "H", "handshake", "handshake", s0, "server4", "1024", false},
		{"transfer", "DC", "transfer", "transfer", s0, "server4", "2097152 3145728 5242880", false},
		{"longrtt", "LR", "handshake", "handshake", "simple-p2p --delay=750ms --bandwidth=10Mbps --queue=25", "server4", "1024", false},
		{"chacha20", "C20", "chacha20", "chacha20", s0, "server4", "3145728", false},
		{"multiplexing", "M", "transfer", "transfer", s0, "server4", "32 x1999", true},
		{"retry", "S", "retry", "retry", s0, "server4", "10240", false},
		{"ipv6", "6", "transfer", "transfer", s0, "server6", "5120 10240", false},
	}
	cases := Cases()
	if len(cases) != len(want) {
		t.Fatalf("%d cases, want %d", len(cases), len(want))
	}
	for i, c := range cases {
		got := row{c.Name, c.Abbr, c.Client, c.Server, c.Scenario, c.Host, sizes(c.Files), c.NeedKeys}
		if got != want[i] {
			t.Errorf("case %d = %+v, want %+v", i, got, want[i])
		}
		if c.Timeout.Seconds() != 60 || c.Chain != 1 {
			t.Errorf("%s: timeout %v, chain %d, want 1m0s and 1", c.Name, c.Timeout, c.Chain)
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
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"onlyTests", "handshake transfer longrtt chacha20 multiplexing retry ipv6"},
		{"retry,handshake,retry", "retry handshake"},
	} {
		got, err := SelectCases(tt.in)
		var names []string
		for _, c := range got {
			names = append(names, c.Name)
		}
		if err != nil || strings.Join(names, " ") != tt.want {
			t.Errorf("SelectCases(%q) = %v, %v, want %s", tt.in, names, err, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"zerortt", `test "zerortt" is known but not available yet; available are: handshake,`},
		{"goodput", "not available yet"},
		{"H", `unknown test "H"; available are: handshake,`},
		{"onlyMeasurements", "no measurement is available yet"},
	} {
		if _, err := SelectCases(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("SelectCases(%q) = %v, want %s", tt.in, err, tt.want)
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
		n, err := makeFiles(dirs[i], []int{1000, 0, 40}, seed)
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
