package interop

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sizes of files, as the interop runner counts them.
const (
	kb = 1 << 10
	mb = 1 << 20
)

// A Case is one test of the matrix.
type Case struct {
	Name     string        // identity: option -t, log directory, result file
	Abbr     string        // what the matrix shows
	Desc     string        // one sentence
	Client   string        // TESTCASE of the client
	Server   string        // TESTCASE of the server
	Scenario string        // the simulator's scenario, verbatim
	Host     string        // host in the request URLs
	Files    []int         // sizes in bytes, one file each
	Timeout  time.Duration // wall clock of one run
	NeedKeys bool          // without a key log the result is unsupported
	Expect   time.Duration // usual run time between good endpoints; only the order of work depends on it
	Chain    int           // certificate chain length
}

// s0 is the scenario of most cases: RTT 30 ms, 10 Mbit/s, 25 packets of queue.
const s0 = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25"

// caseTimeout is the wall-clock limit of most cases.
const caseTimeout = 60 * time.Second

// allCases is the table of the interop runner in its order, which is the order of execution and of the columns. Entries
// that carry no scenario are known by name and cannot run yet.
var allCases = []Case{
	{
		Name: "handshake", Abbr: "H", Desc: "Handshake completes and a small file arrives.",
		Client: "handshake", Server: "handshake", Files: []int{1 * kb}, Expect: time.Second,
	},
	{
		Name: "transfer", Abbr: "DC", Desc: "Three files arrive concurrently under flow control, on one connection.",
		Client: "transfer", Server: "transfer", Files: []int{2 * mb, 3 * mb, 5 * mb}, Expect: 10 * time.Second,
	},
	{
		Name: "longrtt", Abbr: "LR", Desc: "Handshake completes over a round-trip time of 1.5 seconds.",
		Client: "handshake", Server: "handshake", Files: []int{1 * kb}, Expect: 12 * time.Second,
		Scenario: "simple-p2p --delay=750ms --bandwidth=10Mbps --queue=25",
	},
	{
		Name: "chacha20", Abbr: "C20", Desc: "Handshake and transfer with ChaCha20-Poly1305 only.",
		Client: "chacha20", Server: "chacha20", Files: []int{3 * mb}, Expect: 4 * time.Second,
	},
	{
		Name: "multiplexing", Abbr: "M", Desc: "1,999 files on one connection while the server raises its stream limit.",
		Client: "transfer", Server: "transfer", Files: repeatSize(32, 1999), NeedKeys: true, Expect: 6 * time.Second,
	},
	{
		Name: "retry", Abbr: "S", Desc: "Server sends a Retry and the client uses its token.",
		Client: "retry", Server: "retry", Files: []int{10 * kb}, Expect: time.Second,
	},
	{Name: "resumption", Abbr: "R"},
	{Name: "zerortt", Abbr: "Z"},
	{Name: "http3", Abbr: "3"},
	{Name: "blackhole", Abbr: "B"},
	{Name: "keyupdate", Abbr: "U"},
	{Name: "ecn", Abbr: "E"},
	{Name: "amplificationlimit", Abbr: "A"},
	{Name: "handshakeloss", Abbr: "L1"},
	{Name: "transferloss", Abbr: "L2"},
	{Name: "handshakecorruption", Abbr: "C1"},
	{Name: "transfercorruption", Abbr: "C2"},
	{
		Name: "ipv6", Abbr: "6", Desc: "Transfer over IPv6 only.",
		Client: "transfer", Server: "transfer", Host: "server6", Files: []int{5 * kb, 10 * kb}, Expect: time.Second,
	},
	{Name: "v2", Abbr: "V2"},
	{Name: "rebind-port", Abbr: "BP"},
	{Name: "rebind-addr", Abbr: "BA"},
	{Name: "connectionmigration", Abbr: "CM"},
	{Name: "goodput", Abbr: "G"},
	{Name: "crosstraffic", Abbr: "C"},
}

func init() {
	for i := range allCases {
		allCases[i].fillDefaults()
	}
}

func (c *Case) fillDefaults() {
	if c.Client == "" {
		return
	}
	if c.Scenario == "" {
		c.Scenario = s0
	}
	if c.Host == "" {
		c.Host = "server4"
	}
	if c.Timeout == 0 {
		c.Timeout = caseTimeout
	}
	if c.Chain == 0 {
		c.Chain = 1
	}
}

func repeatSize(size, n int) []int { return slices.Repeat([]int{size}, n) }

// Available reports whether the case can run; the others are known by name only.
func (c *Case) Available() bool { return c.Client != "" }

// Cases returns the cases that can run, in the order of the matrix.
func Cases() []Case {
	return slices.DeleteFunc(slices.Clone(allCases), func(c Case) bool { return !c.Available() })
}

// PlannedCases returns the names of the interop runner's tests and measurements that cannot run yet.
func PlannedCases() []string {
	var names []string
	for _, c := range allCases {
		if !c.Available() {
			names = append(names, c.Name)
		}
	}
	return names
}

// SelectCases returns the cases for the value of the -t option: comma-separated names in the order given, or onlyTests, or
// onlyMeasurements (none exist yet, so that is an error), or "" for none. The error lists what exists.
func SelectCases(spec string) ([]Case, error) {
	switch spec {
	case "":
		return nil, nil
	case "onlyTests":
		return Cases(), nil
	case "onlyMeasurements":
		return nil, fmt.Errorf("no measurement is available yet (goodput and crosstraffic will be); tests are: %s", caseNames())
	}
	var chosen []Case
	for name := range strings.SplitSeq(spec, ",") {
		c, err := findCase(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(chosen, func(o Case) bool { return o.Name == c.Name }) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

func findCase(name string) (Case, error) {
	n := slices.IndexFunc(allCases, func(c Case) bool { return c.Name == name })
	if n < 0 {
		return Case{}, fmt.Errorf("unknown test %q; available are: %s; not available yet: %s", name, caseNames(),
			strings.Join(PlannedCases(), ", "))
	}
	if !allCases[n].Available() {
		return Case{}, fmt.Errorf("test %q is known but not available yet; available are: %s", name, caseNames())
	}
	return allCases[n], nil
}

func caseNames() string {
	var names []string
	for _, c := range Cases() {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}
