package netsim

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The scenarios of the public test network, character by character.
var publicScenarios = []string{
	"simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25",
	"simple-p2p --delay=750ms --bandwidth=10Mbps --queue=25",
	"blackhole --delay=15ms --bandwidth=10Mbps --queue=25 --on=5s --off=2s",
	"droplist --delay=15ms --bandwidth=10Mbps --queue=25 --drops_to_server=2,3,4,5,6,7",
	"drop-rate --delay=15ms --bandwidth=10Mbps --queue=25 --rate_to_server=30 --rate_to_client=30 --burst_to_server=3 --burst_to_client=3",
	"corrupt-rate --delay=15ms --bandwidth=10Mbps --queue=25 --rate_to_server=30 --rate_to_client=30 --burst_to_server=3 --burst_to_client=3",
	"rebind --delay=15ms --bandwidth=10Mbps --queue=25 --first-rebind=1s --rebind-freq=5s",
	"rebind --delay=15ms --bandwidth=10Mbps --queue=25 --first-rebind=1s --rebind-freq=5s --rebind-addr",
}

func TestScenarioGivesItsTextBack(t *testing.T) {
	for _, text := range publicScenarios {
		if got := mustScenario(t, text).String(); got != text {
			t.Errorf("String() = %q, want %q", got, text)
		}
	}
	made := NewScenario(LinkConfig{Delay: time.Millisecond}, LinkConfig{Loss: 0.5})
	if got := made.String(); !strings.Contains(got, "Delay:1ms") || !strings.Contains(got, "Loss:0.5") {
		t.Errorf("String() of a scenario made in Go = %q, want its settings", got)
	}
}

func TestParseScenarioReadsEachParameter(t *testing.T) {
	base := LinkConfig{Delay: 15 * time.Millisecond, Bandwidth: 10_000_000, QueuePackets: 25}
	with := func(change func(*LinkConfig)) LinkConfig { l := base; change(&l); return l }
	for i, want := range [][2]LinkConfig{
		{base, base},
		{with(func(l *LinkConfig) { l.Delay = 750 * time.Millisecond }), with(func(l *LinkConfig) { l.Delay = 750 * time.Millisecond })},
		{with(func(l *LinkConfig) { l.Blackhole = Blackhole{On: 5 * time.Second, Off: 2 * time.Second, Repeat: 1} }),
			with(func(l *LinkConfig) { l.Blackhole = Blackhole{On: 5 * time.Second, Off: 2 * time.Second, Repeat: 1} })},
		{with(func(l *LinkConfig) { l.Drops = []int{2, 3, 4, 5, 6, 7} }), base},
		{with(func(l *LinkConfig) { l.Loss, l.LossBurst = 0.3, 3 }), with(func(l *LinkConfig) { l.Loss, l.LossBurst = 0.3, 3 })},
		{with(func(l *LinkConfig) { l.Corrupt, l.CorruptBurst = 0.3, 3 }), with(func(l *LinkConfig) { l.Corrupt, l.CorruptBurst = 0.3, 3 })},
		{base, base},
		{base, base},
	} {
		if got := mustScenario(t, publicScenarios[i]); !reflect.DeepEqual(got.Link, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", publicScenarios[i], got.Link, want)
		}
	}
	nat := mustScenario(t, publicScenarios[7]).NAT
	if want := (NAT{First: time.Second, Every: 5 * time.Second, Addr: true}); nat != want {
		t.Errorf("NAT = %+v, want %+v", nat, want)
	}
}

func TestParseScenarioErrorsNameWhatExists(t *testing.T) {
	for _, tc := range []struct{ name, text, wantProblem, wantKnown string }{
		{"empty", "  ", "no scenario named", "blackhole, corrupt-rate, drop-rate, droplist, link, mtu, rebind, simple-p2p"},
		{"unknown scenario", "simple-p2q --delay=1ms", `unknown scenario "simple-p2q"`, "simple-p2p"},
		{"unknown parameter", s0 + " --colour=red", `unknown parameter "--colour=red"`, "--delay=TIME, --bandwidth=RATE, --queue=PACKETS"},
		{"no dashes", s0 + " delay=1ms", `unknown parameter "delay=1ms"`, "--delay=TIME"},
		{"missing parameter", "simple-p2p --delay=15ms --queue=25", "parameter --bandwidth is missing", "--bandwidth=RATE"},
		{"missing mandatory rate", "drop-rate --delay=15ms --bandwidth=10Mbps --queue=25 --rate_to_client=1", "--rate_to_server is missing", "[--burst_to_client=BURST]"},
		{"no value", "simple-p2p --delay --bandwidth=10Mbps --queue=25", "parameter --delay has no value, want --delay=TIME", "--queue"},
		{"no time", "simple-p2p --delay=15 parsecs", `--delay: got "15"`, ""},
		{"bad time", "simple-p2p --delay=15pc", `--delay: got "15pc", want a time`, ""},
		{"negative time", "simple-p2p --delay=-15ms", `--delay: got "-15ms", want a time`, ""},
		{"bad rate", "simple-p2p --bandwidth=10Mbaud", `--bandwidth: got "10Mbaud", want a rate`, ""},
		{"zero rate", "simple-p2p --bandwidth=0", `want a rate`, ""},
		{"negative queue", "simple-p2p --queue=-1", "want a whole number from 0 to 1000000", ""},
		{"percentage above 100", "drop-rate --rate_to_client=101", "want a percentage from 0 to 100", ""},
		{"short run", "link --loss-run=0.5", `--loss-run: got "0.5", want a number of packets, at least 1`, ""},
		{"zero repeat", "blackhole --repeat=0", "want a whole number from 1", ""},
		{"direction", "blackhole --direction=up", "want both, toclient or toserver", ""},
		{"drop zero", "droplist --drops_to_client=0", "want a comma list of packet numbers", ""},
		{"rebind at zero", "rebind --first-rebind=0s", "want a time such as 15ms, 1.5s, 200us, at least 1ns", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseScenario(tc.text)
			var bad *ScenarioError
			if tc.name == "no time" { // a plain number is seconds; the next word is wrong
				tc.wantProblem = `unknown parameter "parsecs"`
			}
			if !errors.As(err, &bad) || !strings.Contains(bad.Problem, tc.wantProblem) || !strings.Contains(err.Error(), tc.wantKnown) {
				t.Errorf("ParseScenario(%q) = %v\nwant %q and %q", tc.text, err, tc.wantProblem, tc.wantKnown)
			}
		})
	}
}

func TestParseTimeAndRateKnowTheirUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{"15ms": 15 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "200us": 200 * time.Microsecond,
		"7ns": 7, "2min": 2 * time.Minute, "1h": time.Hour, "2": 2 * time.Second, "0ms": 0} {
		var d time.Duration
		if err := parseTime(text, 0, &d); err != nil || d != want {
			t.Errorf("parseTime(%q) = %v, %v; want %v", text, d, err, want)
		}
	}
	for text, want := range map[string]int64{"10Mbps": 10_000_000, "500kbps": 500_000, "500Kbps": 500_000, "1Gbps": 1_000_000_000, "1.5Mb/s": 1_500_000,
		"64000bps": 64_000, "64000": 64_000, "1MBps": 8_000_000, "1Mibps": 1 << 20} {
		var r int64
		if err := parseRate(text, &r); err != nil || r != want {
			t.Errorf("parseRate(%q) = %v, %v; want %v", text, r, err, want)
		}
	}
}

func TestLinkScenarioSetsEachDirectionAlone(t *testing.T) {
	s := mustScenario(t, "link --delay=10ms --delay_to_client=20ms --loss_to_server=2.5 --mtu=1280")
	if s.Link[Left].Delay != 10*time.Millisecond || s.Link[Right].Delay != 20*time.Millisecond || s.Link[Left].Loss != 0.025 || s.Link[Right].Loss != 0 || s.Link[Right].MTU != 1280 {
		t.Errorf("links %+v", s.Link)
	}
}

func TestScenariosDescribeThemselvesInOneLine(t *testing.T) {
	for _, info := range Scenarios() {
		if info.Text == "" || strings.ContainsAny(info.Text, "\n") || !strings.HasPrefix(info.Usage, info.Name) {
			t.Errorf("scenario %q: text %q, usage %q", info.Name, info.Text, info.Usage)
		}
	}
}

// FuzzScenario looks for texts that are accepted but cannot be simulated.
func FuzzScenario(f *testing.F) {
	for _, text := range publicScenarios {
		f.Add(text)
	}
	f.Add("link --delay=1ms --jitter=2ms --bandwidth=1Gbps --loss=1 --duplicate=50 --reorder=3 --ce=4 --mtu=1280")
	f.Fuzz(func(t *testing.T, text string) {
		sc, err := ParseScenario(text)
		if err != nil {
			var bad *ScenarioError
			if !errors.As(err, &bad) || len(bad.Known) == 0 {
				t.Fatalf("ParseScenario(%q) = %v, want a ScenarioError that names what exists", text, err)
			}
			return
		}
		if sc.String() != text {
			t.Fatalf("String() = %q, want %q", sc, text)
		}
		if max(sc.Link[0].QueuePackets, sc.Link[1].QueuePackets) > 1000 {
			return // is only slow
		}
		s := NewSim(sc, 1)
		const sent = 20
		for i := range sent {
			s.Send(Epoch.Add(time.Duration(i)*time.Millisecond), Side(i%2), packet(Side(i%2), 100, 0))
		}
		for range 3 * sent {
			s.Pop(Epoch.Add(math.MaxInt64))
		}
		st := s.Stats()
		for _, l := range []LinkStats{st.ToServer, st.ToClient} {
			if l.Delivered+l.QueueDrops+l.TooBig+l.ErrorDrops != l.Packets+l.Duplicated {
				t.Fatalf("%q: packets do not add up: %+v", text, l)
			}
		}
	})
}
