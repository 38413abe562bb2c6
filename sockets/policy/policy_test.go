package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// wantPolicy parses lines.
func wantPolicy(t testing.TB, lines ...string) *Policy {
	t.Helper()
	p, err := Parse("p", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// wantConnect compares what matters of a decision, as "VIA PEER IDENTITY RULE" with - for nothing.
func wantConnect(t *testing.T, p *Policy, dest, want string) {
	t.Helper()
	if got := connectText(p.Connect(at(dest))); got != want {
		t.Errorf("Connect(%s) = %s, want %s", dest, got, want)
	}
}

func connectText(d Decision) string {
	peer, id := "-", "-"
	if d.Peer.IsValid() {
		peer = d.Peer.String()
	}
	if d.Identity != "" {
		id = d.Identity
	}
	where, _, _ := strings.Cut(d.Rule, ": ")
	return fmt.Sprintf("%v %s %s %s", d.Via, peer, id, where)
}

func wantListen(t *testing.T, p *Policy, port uint16, want string) {
	t.Helper()
	if got := listenText(p.Listen(netip.AddrPortFrom(netip.Addr{}, port))); got != want {
		t.Errorf("Listen(%d) = %s, want %s", port, got, want)
	}
}

func listenText(d ListenDecision) string {
	how := map[[2]bool]string{{true, false}: "quic", {true, true}: "quic+tcp", {false, true}: "tcp"}[[2]bool{d.QUIC, d.TCP}]
	return fmt.Sprintf("%s %d %s", how, d.UDP, strings.Join(d.Allow, ","))
}

func TestTheExampleOfTheDesignMeansWhatItSays(t *testing.T) {
	p := wantPolicy(t,
		"connect 10.0.0.0/8            quic  identity=spiffe://corp/*",
		"connect 127.0.0.0/8           tcp",
		"connect 0.0.0.0/0 port 443    tcp",
		"connect default               auto  head-start=150ms remember=10m",
		"listen  port 8080             quic+tcp  allow=spiffe://corp/web",
		"listen  default               quic")
	wantConnect(t, p, "10.1.2.3:443", "quic 10.1.2.3:8277 spiffe://corp/* p:1")
	wantConnect(t, p, "127.9.9.9:80", "tcp - - p:2")
	wantConnect(t, p, "192.0.2.1:443", "tcp - - p:3")
	wantConnect(t, p, "192.0.2.1:80", "auto 192.0.2.1:8277 - p:4")
	wantConnect(t, p, "[2001:db8::1]:443", "auto [2001:db8::1]:8277 - p:4") // 0.0.0.0/0 is IPv4
	if d := p.Connect(at("192.0.2.1:80")); d.HeadStart != 150*time.Millisecond || d.Remember != 10*time.Minute {
		t.Errorf("auto has head start %v and remembers %v, want 150ms and 10m", d.HeadStart, d.Remember)
	}
	wantListen(t, p, 8080, "quic+tcp 8277 spiffe://corp/web")
	wantListen(t, p, 8081, "quic 8277 ")
}

func TestWithoutRulesEverythingGoesOverQUIC(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "a comment": "# connect default tcp", "blanks": " \t\r\n\n", "rules that do not match": "connect 192.0.2.1 tcp\nlisten port 1 tcp"} {
		t.Run(name, func(t *testing.T) {
			p := wantPolicy(t, text)
			for _, dest := range []string{"10.0.0.1:80", "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "0.0.0.0:0", "255.255.255.255:65535"} {
				if d := p.Connect(at(dest)); d.Via != QUIC || d.Peer.Addr() != at(dest).Addr() || d.Peer.Port() != DefaultUDPPort || d.EarlyData || d.Optimistic {
					t.Errorf("Connect(%s) = %+v, want QUIC to port %d of it, without early data", dest, d, DefaultUDPPort)
				}
			}
			wantListen(t, p, 8080, "quic 8277 ")
		})
	}
	if d := wantPolicy(t, "").Connect(netip.AddrPort{}); d.Via != QUIC {
		t.Errorf("Connect of nothing goes over %v, want quic", d.Via)
	}
}

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	p := wantPolicy(t,
		"connect 10.0.0.7 port 80,8000-8010 refuse",
		"connect 10.0.0.0/24 tcp",
		"connect 10.0.0.0/8 auto",
		"connect fd00::/8 port 22 tcp",
		"connect 2001:db8::/97 tcp",
		"connect default port 443 tcp")
	for dest, want := range map[string]string{
		"10.0.0.7:80":             "refuse - - p:1",
		"10.0.0.7:8000":           "refuse - - p:1",
		"10.0.0.7:8010":           "refuse - - p:1",
		"10.0.0.7:8011":           "tcp - - p:2",
		"[::ffff:10.0.0.7]:80":    "refuse - - p:1", // as a socket of IPv6 names it
		"10.0.1.7:80":             "auto 10.0.1.7:8277 - p:3",
		"11.0.0.7:80":             "quic 11.0.0.7:8277 - default",
		"11.0.0.7:443":            "tcp - - p:6",
		"[fdff::1]:22":            "tcp - - p:4",
		"[fdff::1]:23":            "quic [fdff::1]:8277 - default",
		"[fe00::1]:443":           "tcp - - p:6",
		"[2001:db8::7fff:1]:1":    "tcp - - p:5",
		"[2001:db8::8000:1]:1":    "quic [2001:db8::8000:1]:8277 - default",
		"[2001:db8:0:1::1]:1":     "quic [2001:db8:0:1::1]:8277 - default",
		"[2001:db8::1%eth0]:1":    "tcp - - p:5", // zones match too
		"[2001:db8:1::1%eth0]:80": "quic [2001:db8:1::1%eth0]:8277 - default",
	} {
		wantConnect(t, p, dest, want)
	}
}

func TestOptionsReachTheDecision(t *testing.T) {
	const pin = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	p := wantPolicy(t,
		"connect 10.0.0.1 quic early-data=yes optimistic=yes ports=same",
		"connect 10.0.0.2 quic identity=pin ports=9000 early-data=no optimistic=no",
		"connect 10.0.0.3 quic pin="+strings.ToUpper(pin[7:]),
		"connect 10.0.0.4 auto identity=DB.Example. head-start=0s remember=24h",
		"connect 10.0.0.5 quic via=192.0.2.9:443 identity=192.0.2.9",
		"connect 10.0.0.6 quic via=[2001:db8::9]:443",
		"connect 10.0.0.7 quic identity=ca",
		"connect 10.0.0.8 quic identity=*.Corp.example",
		"connect 10.0.0.9 quic identity=SHA256:"+strings.ToUpper(strings.Join(strings.SplitAfter(pin[7:], "3"), ":")))
	for dest, want := range map[string]string{
		"10.0.0.1:80": "quic 10.0.0.1:80 - p:1",
		"10.0.0.2:80": "quic 10.0.0.2:9000 pin p:2",
		"10.0.0.3:80": "quic 10.0.0.3:8277 " + pin + " p:3",
		"10.0.0.4:80": "auto 10.0.0.4:8277 db.example p:4",
		"10.0.0.5:80": "quic 192.0.2.9:443 192.0.2.9 p:5",
		"10.0.0.6:80": "quic [2001:db8::9]:443 - p:6",
		"10.0.0.7:80": "quic 10.0.0.7:8277 ca p:7",
		"10.0.0.8:80": "quic 10.0.0.8:8277 *.corp.example p:8",
		"10.0.0.9:80": "quic 10.0.0.9:8277 " + pin + " p:9",
	} {
		wantConnect(t, p, dest, want)
	}
	if d := p.Connect(at("10.0.0.1:1")); !d.EarlyData || !d.Optimistic {
		t.Errorf("%+v, want early data and optimistic", d)
	}
	if d := p.Connect(at("10.0.0.2:1")); d.EarlyData || d.Optimistic {
		t.Errorf("%+v, want neither early data nor optimistic", d)
	}
	if d := p.Connect(at("10.0.0.4:1")); d.HeadStart != 0 || d.Remember != 24*time.Hour {
		t.Errorf("%+v, want no head start and a day", d)
	}
}

func TestPortsOfUDPFollowTheModeThenThePairsThenTheRule(t *testing.T) {
	p := wantPolicy(t, "ports shared udp=9000 8000=9443 53=5353",
		"connect 10.0.0.1 quic ports=shared", "connect 10.0.0.2 quic ports=same", "connect 10.0.0.3 quic ports=77",
		"listen port 1-100 quic udp=same", "listen port 200 quic udp=201", "listen port 8000-9000 quic+tcp")
	for dest, want := range map[string]uint16{
		"10.0.0.1:8000": 9000, "10.0.0.2:8000": 8000, "10.0.0.3:8000": 77, "10.0.0.4:8000": 9443, "10.0.0.4:53": 5353, "10.0.0.4:54": 9000,
	} {
		if got := p.Connect(at(dest)).Peer.Port(); got != want {
			t.Errorf("Connect(%s) goes to UDP port %d, want %d", dest, got, want)
		}
	}
	for port, want := range map[uint16]uint16{53: 53, 200: 201, 8000: 9443, 8001: 9000, 10000: 9000} {
		if got := p.Listen(netip.AddrPortFrom(netip.Addr{}, port)).UDP; got != want {
			t.Errorf("Listen(%d) is at UDP port %d, want %d", port, got, want)
		}
	}
	same := wantPolicy(t, "ports same 80=8080", "connect 10.0.0.1 quic ports=shared")
	wantConnect(t, same, "10.0.0.2:443", "quic 10.0.0.2:443 - default")
	wantConnect(t, same, "10.0.0.2:80", "quic 10.0.0.2:8080 - default")
	wantConnect(t, same, "10.0.0.1:443", "quic 10.0.0.1:8277 - p:2")
	if _, shared := same.UDPPort(); shared {
		t.Error("ports same has a shared port")
	}
	if port, shared := p.UDPPort(); port != 9000 || !shared {
		t.Errorf("UDPPort = %d, %v, want 9000 for all", port, shared)
	}
}

func TestShellMustKnowListenersOnlyWhereTheyDiffer(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "listen port 80 quic allow=a.example": false, "listen port 80 quic udp=shared": false,
		"listen port 80 tcp": true, "listen default quic+tcp": true, "listen port 80 quic udp=81": true, "listen port 80 quic udp=same": true,
		"ports same": true, "ports shared 80=81": true, "ports shared udp=81": false,
	} {
		if got := wantPolicy(t, line).MustKnowListeners(); got != want {
			t.Errorf("%q: MustKnowListeners = %v, want %v", line, got, want)
		}
	}
}

func TestWhatGatewaysAreAskedForNeedsNoRoute(t *testing.T) {
	all := "[0.0.0.0/0 ::/0]"
	for line, want := range map[string]string{
		"connect 10.0.0.0/8 quic":                         "[]",
		"connect 10.0.0.0/8 quic via=192.0.2.1:8277":      "[10.0.0.0/8]",
		"connect fd00::7 auto via=gw.example:8277":        "[fd00::7/128]",
		"connect default quic via=192.0.2.1:8277":         all,
		"connect db.example quic via=192.0.2.1:8277":      all,
		"connect db.example quic\nconnect default refuse": "[]",
	} {
		if got := fmt.Sprint(wantPolicy(t, line).Redirected()); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestSocketsThatAskForQUICGetIt(t *testing.T) {
	p := wantPolicy(t, "protocol 1000 quic", "connect 10.0.0.1 refuse", "connect 10.0.0.2 auto identity=pin", "connect default tcp", "listen port 80 tcp", "listen port 81 quic+tcp allow=a.example,*", "listen port 83 quic allow=*.example,ca")
	if got := fmt.Sprint(p.Protocols()); got != "[261 1000]" {
		t.Errorf("protocols %s, want 261 and 1000", got)
	}
	for dest, want := range map[string]string{
		"10.0.0.1:80": "refuse - - p:2",
		"10.0.0.2:80": "quic 10.0.0.2:8277 pin p:3",
		"10.0.0.3:80": "quic 10.0.0.3:8277 - p:4",
	} {
		if got := connectText(p.Asked(at(dest))); got != want {
			t.Errorf("Asked(%s) = %s, want %s", dest, got, want)
		}
	}
	for port, want := range map[uint16]string{80: "quic 8277 ", 81: "quic 8277 a.example,*", 83: "quic 8277 *.example,ca", 82: "quic 8277 "} {
		if got := listenText(p.AskedListen(netip.AddrPortFrom(netip.Addr{}, port))); got != want {
			t.Errorf("AskedListen(%d) = %s, want %s", port, got, want)
		}
	}
}

func TestStringIsThePolicyWithItsDefaults(t *testing.T) {
	p := wantPolicy(t,
		"# a comment", "listen port 8100,8000-8099 quic+tcp   allow=B.example,a.example,b.example udp=9000 # and one behind",
		"connect db.example port 5432 auto head-start=1500us", "connect 10.0.0.0/8 quic identity=pin via=gw.example:443 ports=same early-data=yes optimistic=yes", "connect ::1/128 tcp")
	want := `ports    shared udp=8277
protocol 261 quic
connect  db.example port 5432 auto     head-start=1.5ms remember=10m
connect  10.0.0.0/8           quic     identity=pin via=gw.example:443 ports=same early-data=yes optimistic=yes
connect  ::1                  tcp
connect  default              quic
listen   port 8000-8100       quic+tcp allow=b.example,a.example udp=9000
listen   default              quic
`
	if got := p.String(); got != want {
		t.Errorf("String:\n%swant:\n%s", got, want)
	}
	if rule := p.Connect(at("10.0.0.1:1")).Rule; rule != "p:4: connect 10.0.0.0/8 quic identity=pin via=gw.example:443 ports=same early-data=yes optimistic=yes" {
		t.Errorf("Rule is %q", rule)
	}
}

func TestDecisionsAllocateNothing(t *testing.T) {
	p := manyRules(t, 1000)
	if n := testing.AllocsPerRun(100, func() { p.Connect(at4); p.Connect(at6); p.Asked(at4); p.Listen(at4) }); n != 0 {
		t.Errorf("decisions allocate %v times, want 0", n)
	}
}

var at4, at6 = netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("[2001:db8::1]:443")

// manyRules is n networks of each family, none of which has at4 or at6.
func manyRules(t testing.TB, n int) *Policy {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("connect 10.%d.%d.0/24 port 443 quic", i/256, i%256), fmt.Sprintf("connect fd00:%x::/32 auto", i))
	}
	return wantPolicy(t, lines...)
}

func BenchmarkConnect(b *testing.B) {
	for _, n := range []int{10, 1000} {
		for name, dest := range map[string]netip.AddrPort{"v4": at4, "v6": at6} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, name), func(b *testing.B) {
				p := manyRules(b, n)
				b.ReportAllocs()
				for b.Loop() {
					p.Connect(dest)
				}
			})
		}
	}
}

func ExampleParse() {
	_, err := Parse("policy.conf", []byte("connect 10.0.0.7/8 qiuc\nlisten 8080 quic\n"))
	fmt.Println(err)
	var first *Error
	fmt.Println(errors.As(err, &first), first.Line, first.Column)
	// Output:
	// policy.conf:1: column 9: got "10.0.0.7/8", want a network, whose address ends where its length does; hint: write 10.0.0.0/8, or the address alone
	// policy.conf:1: column 20: got "qiuc", want quic, auto, tcp or refuse; hint: did you mean quic?
	// policy.conf:2: column 8: got "8080", want port PORTS or default; hint: write: listen port 8080
	// true 1 9
}

func ExamplePolicy_Connect() {
	p, err := FromFlags(Flags{To: []string{"10.0.0.7:8000"}, Fallback: "tcp"})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := p.Connect(netip.MustParseAddrPort("10.0.0.7:8000"))
	fmt.Println(d.Via, d.Peer, d.HeadStart)
	fmt.Println(p.Connect(netip.MustParseAddrPort("10.0.0.8:8000")).Rule)
	// Output:
	// auto 10.0.0.7:8277 150ms
	// not in --to: connect default tcp
}
