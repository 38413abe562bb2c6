package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestErrorsSayWhereWhatAndHow(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"conect 10.0.0.1 tcp", `1: got "conect", want connect, listen, ports or protocol; hint: did you mean connect?`},
		{"include other.conf", `1: got "include", want connect, listen, ports or protocol; hint: a policy is one file`},
		{"connect", `8: got nothing, want a network such as 10.0.0.0/8, an address, a host name or default` + "\n" + `8: got nothing, want quic, auto, tcp or refuse`},
		{"connect 10.0.0.1", `17: got nothing, want quic, auto, tcp or refuse`},
		{"connect port 443 tcp", `9: got "port", want a network such as 10.0.0.0/8, an address, a host name or default; hint: for every address write: connect default port …` + "\n" + `14: got "443", want quic, auto, tcp or refuse`},
		{"connect 10.0.0.0/33 tcp", `9: got "10.0.0.0/33", want a network such as 10.0.0.0/8 or fd00::/8`},
		{"connect 10.0.0 tcp", `9: got "10.0.0", want a network such as 10.0.0.0/8, an address, a host name or default`},
		{"connect ::ffff:10.0.0.0/104 tcp", `9: got "::ffff:10.0.0.0/104", want IPv4 networks as such; hint: write 10.0.0.0/8`},
		{"connect ::/0%eth0 tcp", `9: got "::/0%eth0", want a network such as 10.0.0.0/8 or fd00::/8`},
		{"connect fe80::1%eth0 tcp", `9: got "fe80::1%eth0", want an address without a zone; hint: write fe80::1`},
		{"connect 10.0.0.1:80 tcp", `9: got "10.0.0.1:80", want a network such as 10.0.0.0/8, an address, a host name or default; hint: write: 10.0.0.1 port 80`},
		{"connect *.example tcp", `9: got "*.example", want a network such as 10.0.0.0/8, an address, a host name or default; hint: a name is looked up, so it has no *; write the networks instead`},
		{"connect bücher.example tcp", `9: got "bücher.example", want a network such as 10.0.0.0/8, an address, a host name or default; hint: write names outside of ASCII as the DNS has them, xn--…`},
		{"connect bücher.example tpc", `9: got "bücher.example", want a network such as 10.0.0.0/8, an address, a host name or default; hint: write names outside of ASCII as the DNS has them, xn--…` + "\n" + `24: got "tpc", want quic, auto, tcp or refuse; hint: did you mean tcp?`},
		{"connect defautl tcp", ``}, // a host name
		{"connect Default tcp", `9: got "Default", want a network such as 10.0.0.0/8, an address, a host name or default; hint: the word default is no host name; write it in lower case where it is meant`},
		{"connect a quic identity=PIN", `16: got "PIN", want pin, ca, sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *; hint: the word pin is no host name; write it in lower case where it is meant`},
		{"connect a quic identity=CA", `16: got "CA", want pin, ca, sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *`},
		{"connect a quic identity=*", `16: got "*", want pin, ca, sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *`},
		{"connect a..b tcp", `9: got "a..b", want a network such as 10.0.0.0/8, an address, a host name or default`},
		{"connect -a tcp", `9: got "-a", want a network such as 10.0.0.0/8, an address, a host name or default`},
		{"connect a\x1b[2J tcp", `9: got "a\x1b[2J", want a network such as 10.0.0.0/8, an address, a host name or default`},
		{"connect " + strings.Repeat("a", 300) + " tcp", `9: got "` + strings.Repeat("a", 64) + `…", want a network such as 10.0.0.0/8, an address, a host name or default`},
		{"connect a port tcp", `16: got "tcp", want ports from 1 to 65535 such as 443 or 443,8000-8100` + "\n" + `19: got nothing, want quic, auto, tcp or refuse`},
		{"connect a port 0 tcp", `16: got "0", want ports from 1 to 65535 such as 443 or 443,8000-8100`},
		{"connect a port 1,65536 tcp", `16: got "65536", want ports from 1 to 65535 such as 443 or 443,8000-8100`},
		{"connect a port 9-8 tcp", `16: got "9-8", want the lower port first; hint: write 8-9`},
		{"connect a port +1 tcp", `16: got "+1", want ports from 1 to 65535 such as 443 or 443,8000-8100`},
		{"connect a port 1, tcp", `16: got nothing, want ports from 1 to 65535 such as 443 or 443,8000-8100`},
		{"connect a prot 80 tcp", `11: got "prot", want quic, auto, tcp or refuse; hint: did you mean port?`},
		{"connect a tcp identity=b", `15: got "identity=b", want no option with tcp; hint: options are about QUIC`},
		{"connect a refuse via=b:1", `18: got "via=b:1", want no option with refuse; hint: options are about QUIC`},
		{"connect a quic head-start=1s", `16: got "head-start=1s", want it with auto only; hint: quic has no second choice`},
		{"connect a quic idenity=b", `16: got "idenity=b", want an option of connect: identity=, pin=, via=, head-start=, remember=, early-data=, optimistic=, ports=; hint: did you mean identity?`},
		{"connect a quic udp=1", `16: got "udp=1", want an option of connect: identity=, pin=, via=, head-start=, remember=, early-data=, optimistic=, ports=; hint: udp= is of listen; where the peer listens is ports=`},
		{"connect a quic via=", `16: got "via=", want via=VALUE, without blanks`},
		{"connect a quic identity=b identity=c", `27: got "identity=c", want each option once`},
		{"connect a quic identity=b pin=" + strings.Repeat("a", 64), `27: got "pin=` + strings.Repeat("a", 60) + `…", want pin= or identity=, not both`},
		{"connect a quic pin=abc", `16: got "abc", want sha256: and 64 hexadecimal digits`},
		{"connect a quic identity=sha256:xyz", `16: got "sha256:xyz", want sha256: and 64 hexadecimal digits`},
		{"connect a quic identity=spiffe://a/*/b", `16: got "spiffe://a/*/b", want pin, ca, sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *`},
		{"connect a quic identity=https://a", `16: got "https://a", want pin, ca, sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *`},
		{"connect a quic via=gw", `16: got "gw", want HOST:PORT, the UDP port of a gateway, such as gw.example:8277; hint: write gw:8277`},
		{"connect a quic via=gw:0", `16: got "gw:0", want HOST:PORT, the UDP port of a gateway, such as gw.example:8277`},
		{"connect a quic via=10.0.0:1", `16: got "10.0.0:1", want HOST:PORT, the UDP port of a gateway, such as gw.example:8277`},
		{"connect a auto head-start=5", `16: got "5", want a duration from 0s to 30s such as 150ms`},
		{"connect a auto head-start=31s", `16: got "31s", want a duration from 0s to 30s such as 150ms`},
		{"connect a auto remember=-1s", `16: got "-1s", want a duration from 0s to 168h such as 150ms`},
		{"connect a quic early-data=true", `16: got "true", want yes or no`},
		{"connect a quic ports=sharde", `16: got "sharde", want shared, same or a UDP port from 1 to 65535; hint: did you mean shared?`},
		{"listen", `7: got nothing, want port PORTS or default`},
		{"listen 80 quic", `8: got "80", want port PORTS or default; hint: write: listen port 80`},
		{"listen port 80 auto", `16: got "auto", want quic, quic+tcp or tcp; hint: a listener that both reach is quic+tcp`},
		{"listen default quic ports=1", `21: got "ports=1", want an option of listen: allow=, udp=; hint: the UDP port of a listener is udp=`},
		{"listen default tcp udp=1", `20: got "udp=1", want no option with tcp; hint: options are about QUIC`},
		{"listen default quic allow=pin", `21: got "pin", want sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *; hint: who may call is named by its key: sha256:HEX`},
		{"listen default quic allow=a,", `21: got nothing, want sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *`},
		{"listen default quic allow=", `21: got "allow=", want allow=VALUE, without blanks`},
		{"listen default quic udp=0", `21: got "0", want shared, same or a UDP port from 1 to 65535`},
		{"ports", `6: got nothing, want shared or same`},
		{"ports sahred", `7: got "sahred", want shared or same; hint: did you mean shared?`},
		{"ports shared udp=0", `14: got "udp=0", want udp=N, N a port from 1 to 65535`},
		{"ports shared udp=1 udp=2", `20: got "udp=2", want each option once`},
		{"ports same 80", `12: got "80", want TCP=UDP, two ports from 1 to 65535, such as 8000=9443`},
		{"ports same 80=81 80=82", `18: got "80=82", want one UDP port for TCP port 80; hint: before it stands 80=81`},
		{"protocol", `9: got nothing, want a protocol number, the third argument of socket(2); hint: such as 261` + "\n" + `9: got nothing, want quic; hint: the other sockets go as connect and listen say`},
		{"protocol 6 quic", `10: got "6", want a number that is not TCP's own; hint: 0, 6 and 262 (MPTCP) go as the rules say`},
		{"protocol 300 tcp", `14: got "tcp", want quic; hint: the other sockets go as connect and listen say`},
		{"protocol 300 quic now", `19: got "now", want the end of the line`},
	} {
		_, err := Parse("f", []byte("\n"+tc.line+" # comment\n"))
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), "f:2: column ", "")
		}
		if got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.line, got, tc.want)
		}
	}
}

func TestRulesThatCanNeverMatchAreErrors(t *testing.T) {
	const order = "; hint: the first rule that matches decides, so the narrower stands first"
	for _, tc := range []struct{ first, second, want string }{
		{"connect default tcp", "connect 10.0.0.1 quic", `got "10.0.0.1", want something that f:1 leaves over: connect default` + order},
		{"connect 10.0.0.0/8 tcp", "connect 10.1.0.0/16 quic", `got "10.1.0.0/16", want something that f:1 leaves over: connect 10.0.0.0/8` + order},
		{"connect 10.0.0.0/8 port 1-100 tcp", "connect 10.1.0.0/16 port 5,7-9 quic", `got "10.1.0.0/16 port 5,7-9", want something that f:1 leaves over: connect 10.0.0.0/8 port 1-100` + order},
		{"connect a.example tcp", "connect A.example. quic", `got "a.example", want something that f:1 leaves over: connect a.example` + order},
		{"connect 10.0.0.0/8 port 1-100 tcp", "connect 10.1.0.0/16 quic", ""},
		{"connect 10.0.0.0/8 port 1-100 tcp", "connect 10.0.0.0/8 port 100-101 quic", ""},
		{"connect 10.1.0.0/16 tcp", "connect 10.0.0.0/8 quic", ""},
		{"connect 0.0.0.0/0 tcp", "connect ::/0 quic", ""},
		{"connect default port 1-65534 tcp", "connect default quic", ""},
		{"connect default port 1-65535 tcp", "connect default quic", `got "default", want something that f:1 leaves over: connect default` + order},
		{"listen default tcp", "listen port 80 quic", `got "port 80", want ports that f:1 leaves over` + order},
		{"listen port 1-100 tcp", "listen port 80 quic", `got "port 80", want ports that f:1 leaves over` + order},
		{"listen port 80 tcp", "listen port 1-100 quic", ""},
	} {
		_, err := Parse("f", []byte(tc.first+"\n"+tc.second))
		got := ""
		if err != nil {
			_, got, _ = strings.Cut(strings.ReplaceAll(err.Error(), "f:2: column 1: ", "\x00"), "\x00")
		}
		if got != tc.want {
			t.Errorf("%s, %s\n got %q (%v)\nwant %q", tc.first, tc.second, got, err, tc.want)
		}
	}
}

func TestAllErrorsOfAFileAreToldAtOnce(t *testing.T) {
	_, err := Parse("f", []byte("x\nconnect a tcp\nconnect a:1 tpc via=b\nports same\nports same\n"))
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("error is %T, want Errors", err)
	}
	var lines []int
	for _, e := range all {
		lines = append(lines, e.Line)
	}
	if !slices.Equal(lines, []int{1, 3, 3, 5}) {
		t.Errorf("errors in lines %v, want 1, 3, 3 and 5: %v", lines, err)
	}
	_, err = Parse("f", []byte(strings.Repeat("x\n", 10*maxErrors)))
	if errors.As(err, &all); len(all) != maxErrors {
		t.Errorf("%d errors, want %d", len(all), maxErrors)
	}
}

func TestPoliciesAreBounded(t *testing.T) {
	list := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i+1)
		}
		return b.String()
	}
	spans := func(n int) string { // ports 1, 3, 5, …
		var out []string
		for i := range n {
			out = append(out, itoa(2*i+1))
		}
		return strings.Join(out, ",")
	}
	for name, tc := range map[string]struct {
		limit int
		text  func(n int) string
		want  string
	}{
		"bytes":                   {maxText, func(n int) string { return strings.Repeat("#", n) }, "bytes, want at most 1048576"},
		"rules about connections": {maxRules, func(n int) string { return list(n, "connect default port %d tcp\n") }, "more than 4096 rules"},
		"rows":                    {maxRows / maxNameAddrs, func(n int) string { return list(n, "connect h%d.example tcp\n") }, "more than 131072 pairs"},
		"rules about listeners":   {maxRules, func(n int) string { return list(n, "listen port %d tcp\n") }, "more than 4096 rules"},
		"ranges of ports":         {maxSpans, func(n int) string { return "listen port " + spans(n) + " tcp" }, "more than 64 ranges"},
		"pairs":                   {maxPairs, func(n int) string { return "ports shared" + list(n, " %d=1") }, "more than 256 pairs"},
		"identities":              {maxAllow, func(n int) string { return "listen default quic allow=x" + list(n-1, ",h%d") }, "more than 64 identities"},
		"protocol numbers":        {maxProtocols, func(n int) string { return list(n-1, "protocol 30%d quic\n") }, "more than 16 protocol numbers"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("f", []byte(tc.text(tc.limit))); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			if _, err := Parse("f", []byte(tc.text(tc.limit+1))); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("beyond the limit: error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestEveryPrefixAndBitFlipOfAPolicyIsReadOrRefused(t *testing.T) {
	text := []byte("ports same udp=9 1=2\nprotocol 300 quic\nconnect 10.0.0.0/8 port 1-2,7 auto identity=spiffe://a/* via=[::1]:7 head-start=1s remember=1m early-data=yes # é\nlisten port 8 quic+tcp allow=a,b udp=9\n")
	for n := range text {
		checkParse(t, text[:n])
		for bit := range 8 {
			flipped := slices.Clone(text)
			flipped[n] ^= 1 << bit
			checkParse(t, flipped)
		}
	}
}

// checkParse holds what is true of every text.
func checkParse(t *testing.T, text []byte) {
	t.Helper()
	p, err := Parse("f", text)
	if err != nil {
		var all Errors
		if !errors.As(err, &all) || len(all) == 0 || len(all) > maxErrors {
			t.Fatalf("%q: error %T %v, want 1 to %d Errors", text, err, err, maxErrors)
		}
		for _, e := range all {
			if strings.ContainsFunc(e.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("%q: the error has control characters: %q", text, e)
			}
		}
		return
	}
	printed := p.String()
	again, err := Parse("f", []byte(printed))
	if err != nil {
		t.Fatalf("%q: what it prints does not parse: %v\n%s", text, err, printed)
	}
	if s := again.String(); s != printed {
		t.Fatalf("%q: prints\n%sand that prints\n%s", text, printed, s)
	}
	for _, dest := range probes(p) {
		want := p.model(dest)
		if got := p.table.Load().find(dest); got != want {
			t.Fatalf("%q: rule %d for %s, want %d", text, got, dest, want)
		}
		a, b := p.Connect(dest), again.Connect(dest)
		if a.Rule, b.Rule = "", ""; a != b {
			t.Fatalf("%q: %s goes %+v, and %+v as printed", text, dest, a, b)
		}
		if via := p.connects[want].via; a.Via == TCP && (via != TCP && via != Auto || p.table.Load().unsure[want] != "") {
			t.Fatalf("%q: %s leaves in the clear under %v", text, dest, via)
		}
		if x, y := p.Listen(dest), again.Listen(dest); x.QUIC != y.QUIC || x.TCP != y.TCP || x.UDP != y.UDP || !slices.Equal(x.Allow, y.Allow) {
			t.Fatalf("%q: a listener at %s is %+v, and %+v as printed", text, dest, x, y)
		}
	}
}

// probes are destinations in and around the rules.
func probes(p *Policy) []netip.AddrPort {
	out := []netip.AddrPort{at("0.0.0.0:0"), at("127.0.0.1:80"), at("[::]:1"), at("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")}
	for i := range p.connects {
		r := &p.connects[i]
		if r.dest.kind != destPrefix || len(out) > 50 {
			continue
		}
		for _, a := range []netip.Addr{r.dest.prefix.Addr(), r.dest.prefix.Addr().Prev(), r.dest.prefix.Addr().Next()} {
			if a.IsValid() {
				out = append(out, netip.AddrPortFrom(a, 443))
				for _, s := range r.ports {
					out = append(out, netip.AddrPortFrom(a, s.lo), netip.AddrPortFrom(a, s.hi), netip.AddrPortFrom(a, s.hi+1))
				}
			}
		}
	}
	return out
}

// model finds the rule for dest without the table.
func (p *Policy) model(dest netip.AddrPort) int {
	for i := range p.connects {
		r := &p.connects[i]
		hit := r.dest.kind == destAny || r.dest.kind == destPrefix && r.dest.prefix.Contains(dest.Addr())
		if r.dest.kind == destName {
			hit = slices.Contains(p.seen[r.dest.name].addrs, dest.Addr())
		}
		if hit && r.ports.has(dest.Port()) {
			return i
		}
	}
	return -1
}

func FuzzParse(f *testing.F) {
	for _, block := range documented(f) {
		f.Add([]byte(block))
	}
	f.Add([]byte("connect default port 443 quic via=[::1]:7 pin=" + strings.Repeat("a", 64)))
	f.Fuzz(func(t *testing.T, text []byte) { checkParse(t, text) })
}

// documented returns the policies in docs/policy.md.
func documented(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, block := range strings.Split(string(text), "```") {
		if policy, ok := strings.CutPrefix(block, "policy\n"); ok && i%2 == 1 {
			out = append(out, policy)
		}
	}
	return out
}

func TestPoliciesInTheDocumentAreRead(t *testing.T) {
	blocks := documented(t)
	if len(blocks) < 4 {
		t.Errorf("%d policies in docs/policy.md: the test looks for the wrong mark", len(blocks))
	}
	for _, block := range blocks {
		if _, err := Parse("docs/policy.md", []byte(block)); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
		checkParse(t, []byte(block))
	}
}

// TestErrorsInTheDocumentAreThoseOfTheParser reads the block that begins with "$ cat FILE".
func TestErrorsInTheDocumentAreThoseOfTheParser(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```wrong\n")
	bad, rest, _ := strings.Cut(rest, "```")
	_, rest, _ = strings.Cut(rest, "```errors\n")
	want, _, _ := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/policy.md has no block named wrong")
	}
	if _, err := Parse("policy.conf", []byte(bad)); err == nil || err.Error()+"\n" != want {
		t.Errorf("errors:\n%v\ndocumented:\n%s", err, want)
	}
}
