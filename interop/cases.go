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

// A Case is one test or measurement of the matrix.
type Case struct {
	Name     string        // identity: option -t, log directory, result file
	Abbr     string        // what the matrix shows
	Desc     string        // one sentence
	Client   string        // TESTCASE of the client
	Server   string        // TESTCASE of the server
	Scenario string        // the simulator's scenario, verbatim
	Host     string        // host in the request URLs
	Files    []int         // sizes in bytes, one file each; none = the one request is for "/"
	NameLen  int           // letters of a file name; 0 = a few words
	Timeout  time.Duration // wall clock of one run
	NeedKeys bool          // without a key log the result is unsupported
	Expect   time.Duration // usual run time between good endpoints; only the order of work depends on it
	Chain    int           // certificate chain length
	Cross    bool          // a TCP flow takes the same way as the files
	Runs     int           // of a measurement: how many values it is the mean of; 0 = a test
	Extra    bool          // not one of the public interop runner
	Off      bool          // runs only when it is named
}

// Measures reports whether the case is a measurement: its result is a number.
func (c *Case) Measures() bool { return c.Runs > 0 }

// s0 is the scenario of most cases: RTT 30 ms, 10 Mbit/s, 25 packets of queue.
const (
	s0      = "simple-p2p" + link
	link    = " --delay=15ms --bandwidth=10Mbps --queue=25"
	extreme = link + " --rate_to_server=30 --rate_to_client=30 --burst_to_server=3 --burst_to_client=3"
	some    = link + " --rate_to_server=2 --rate_to_client=2 --burst_to_server=3 --burst_to_client=3"
	rebinds = "rebind" + link + " --first-rebind=1s --rebind-freq=5s"
)

// caseTimeout is the wall-clock limit of most cases.
const caseTimeout = 60 * time.Second

// allCases is the table of the interop runner in its order, which is the order of execution and of the columns. The cases
// that it does not have stand between its tests and its measurements.
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
	{
		Name: "resumption", Abbr: "R", Desc: "A second connection resumes the TLS session of the first.",
		Client: "resumption", Server: "resumption", Files: []int{5 * kb, 10 * kb}, NeedKeys: true, Expect: time.Second,
	},
	{
		Name: "zerortt", Abbr: "Z", Desc: "Requests of a second connection travel as 0-RTT data and are answered.",
		Client: "zerortt", Server: "zerortt", Files: repeatSize(32, 40), NameLen: 250, Expect: time.Second,
	},
	{
		Name: "http3", Abbr: "3", Desc: "Three files arrive over HTTP/3.",
		Client: "http3", Server: "http3", Files: []int{5 * kb, 10 * kb, 500 * kb}, Expect: 2 * time.Second,
	},
	{
		Name: "blackhole", Abbr: "B", Desc: "Transfer survives two seconds in which nothing passes.",
		Client: "transfer", Server: "transfer", Files: []int{10 * mb}, Expect: 13 * time.Second,
		Scenario: "blackhole" + link + " --on=5s --off=2s",
	},
	{
		Name: "keyupdate", Abbr: "U", Desc: "Client updates its keys and the server follows.",
		Client: "keyupdate", Server: "transfer", Files: []int{3 * mb}, NeedKeys: true, Expect: 4 * time.Second,
	},
	{
		Name: "ecn", Abbr: "E", Desc: "Both mark their packets for ECN and report counts.",
		Client: "ecn", Server: "ecn", Files: []int{100 * kb}, NeedKeys: true, Expect: time.Second,
	},
	{
		Name: "amplificationlimit", Abbr: "A", Desc: "Server with a long certificate chain sends no more than three times what it got.",
		Client: "transfer", Server: "transfer", Files: []int{5 * kb}, NeedKeys: true, Expect: 4 * time.Second, Chain: 9,
		Scenario: "droplist" + link + " --drops_to_server=2,3,4,5,6,7",
	},
	{
		Name: "handshakeloss", Abbr: "L1", Desc: "Fifty handshakes while 30 % of all packets are lost.",
		Client: "multiconnect", Server: "multiconnect", Files: repeatSize(1*kb, 50), Timeout: 300 * time.Second, Expect: 60 * time.Second,
		Scenario: "drop-rate" + extreme,
	},
	{
		Name: "transferloss", Abbr: "L2", Desc: "Transfer while 2 % of all packets are lost.",
		Client: "transfer", Server: "transfer", Files: []int{2 * mb}, Expect: 5 * time.Second,
		Scenario: "drop-rate" + some,
	},
	{
		Name: "handshakecorruption", Abbr: "C1", Desc: "Fifty handshakes while 30 % of all packets are damaged.",
		Client: "multiconnect", Server: "multiconnect", Files: repeatSize(1*kb, 50), Timeout: 300 * time.Second, Expect: 60 * time.Second,
		Scenario: "corrupt-rate" + extreme,
	},
	{
		Name: "transfercorruption", Abbr: "C2", Desc: "Transfer while 2 % of all packets are damaged.",
		Client: "transfer", Server: "transfer", Files: []int{2 * mb}, Expect: 5 * time.Second,
		Scenario: "corrupt-rate" + some,
	},
	{
		Name: "ipv6", Abbr: "6", Desc: "Transfer over IPv6 only.",
		Client: "transfer", Server: "transfer", Host: "server6", Files: []int{5 * kb, 10 * kb}, Expect: time.Second,
	},
	{
		Name: "v2", Abbr: "V2", Desc: "Compatible version negotiation leads from version 1 to version 2.",
		Client: "v2", Server: "v2", Files: []int{1 * kb}, Expect: time.Second,
	},
	{
		Name: "rebind-port", Abbr: "BP", Desc: "Transfer goes on when a NAT changes the client's port.",
		Client: "transfer", Server: "transfer", Files: []int{10 * mb}, NeedKeys: true, Expect: 11 * time.Second,
		Scenario: rebinds,
	},
	{
		Name: "rebind-addr", Abbr: "BA", Desc: "Transfer goes on when a NAT changes the client's address and port.",
		Client: "transfer", Server: "transfer", Files: []int{10 * mb}, NeedKeys: true, Expect: 11 * time.Second,
		Scenario: rebinds + " --rebind-addr",
	},
	{
		Name: "connectionmigration", Abbr: "CM", Desc: "Client moves to the server's preferred address.",
		Client: "transfer", Server: "connectionmigration", Host: "server46", Files: []int{2 * mb}, NeedKeys: true, Expect: 3 * time.Second,
	},
	{
		Name: "versionnegotiation", Abbr: "V", Desc: "Server refuses an unknown version and names those that it knows.",
		Client: "versionnegotiation", Server: "versionnegotiation", Expect: time.Second, Off: true,
	},

	{
		Name: "v2-keyupdate", Abbr: "V2U", Desc: "Both update their keys in version 2, whose labels are others.", Extra: true,
		Client: "v2-keyupdate", Server: "v2-keyupdate", Files: []int{3 * mb}, NeedKeys: true, Expect: 4 * time.Second,
	},
	{
		Name: "keyupdate-server", Abbr: "US", Desc: "Server updates its keys and the client follows.", Extra: true,
		Client: "transfer", Server: "keyupdate-server", Files: []int{3 * mb}, NeedKeys: true, Expect: 4 * time.Second,
	},
	{
		Name: "mtu-blackhole", Abbr: "MB", Desc: "Transfer goes on in smaller packets when the link stops carrying large ones.", Extra: true,
		Client: "transfer", Server: "mtu-blackhole", Files: []int{5 * mb}, Expect: 8 * time.Second,
		Scenario: "mtu" + link + " --first=1500 --then=1280 --after=2s",
	},
	{
		Name: "stateless-reset", Abbr: "SR", Desc: "Client heeds the stateless reset of a server that forgot its connection.", Extra: true,
		Client: "stateless-reset", Server: "stateless-reset", Files: []int{5 * kb, 10 * kb}, NeedKeys: true, Expect: 2 * time.Second,
	},
	{
		Name: "reordering", Abbr: "RO", Desc: "Transfer repeats nothing for packets that overtake each other by two.", Extra: true,
		Client: "transfer", Server: "transfer", Files: []int{3 * mb}, NeedKeys: true, Expect: 4 * time.Second,
		Scenario: "link" + link + " --jitter=800us --reorder=20 --reorder-by=2ms",
	},
	{
		Name: "plugin-exchange", Abbr: "PX", Desc: "Client takes a plugin from the server and uses it at once, while 2 % of all packets are lost.", Extra: true,
		Client: "plugin-exchange", Server: "plugin-exchange", Files: []int{2 * mb}, NeedKeys: true, Expect: 5 * time.Second,
		Scenario: "drop-rate" + some,
	},

	{
		Name: "goodput", Abbr: "G", Desc: "Goodput over a 10 Mbit/s link.", Runs: 5,
		Client: "transfer", Server: "transfer", Files: []int{10 * mb}, Expect: 10 * time.Second,
	},
	{
		Name: "crosstraffic", Abbr: "C", Desc: "Goodput beside a TCP flow with CUBIC on a 10 Mbit/s link.", Runs: 5, Cross: true,
		Client: "transfer", Server: "transfer", Files: []int{25 * mb}, Timeout: 180 * time.Second, Expect: 40 * time.Second,
	},
}

func init() {
	for i := range allCases {
		allCases[i].fillDefaults()
	}
}

func (c *Case) fillDefaults() {
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

// Cases returns all cases, in the order of the matrix.
func Cases() []Case { return slices.Clone(allCases) }

// SelectCases returns the cases for the value of the -t option: comma-separated names in the order given, measurements
// last; or onlyTests, onlyMeasurements or all for those that are not off; or "" for none. The error lists what exists.
func SelectCases(spec string) ([]Case, error) {
	switch spec {
	case "":
		return nil, nil
	case "onlyTests":
		return filter(func(c *Case) bool { return !c.Measures() }), nil
	case "onlyMeasurements":
		return filter(func(c *Case) bool { return c.Measures() }), nil
	case "all":
		return filter(func(*Case) bool { return true }), nil
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
	slices.SortStableFunc(chosen, func(a, b Case) int { return min(a.Runs, 1) - min(b.Runs, 1) })
	return chosen, nil
}

// filter returns the cases that run without being named and that want holds for.
func filter(want func(c *Case) bool) []Case {
	return slices.DeleteFunc(Cases(), func(c Case) bool { return c.Off || !want(&c) })
}

func findCase(name string) (Case, error) {
	n := slices.IndexFunc(allCases, func(c Case) bool { return c.Name == name })
	if n < 0 {
		return Case{}, fmt.Errorf("unknown test %q; available are: %s", name, caseNames())
	}
	return allCases[n], nil
}

func caseNames() string {
	var names []string
	for _, c := range allCases {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}
