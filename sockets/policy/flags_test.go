package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFlagsMakeThePolicyTheyMean(t *testing.T) {
	const head = "ports shared udp=8277\nprotocol 261 quic\n"
	for _, tc := range []struct {
		name  string
		flags Flags
		want  string // columns joined by one blank
	}{
		{"none", Flags{}, head + "connect default quic\nlisten default quic\n"},
		{"fallback fail is the default", Flags{Fallback: "fail"}, head + "connect default quic\nlisten default quic\n"},
		{"to", Flags{To: []string{"10.0.0.7:8000,db.example:5432-5433", "10.1.0.0/16,[fd00::7]:80,fd00::/8,[::1],10.2.0.0/16:443"}},
			head + "connect 10.0.0.7 port 8000 quic\nconnect db.example port 5432-5433 quic\nconnect 10.1.0.0/16 quic\nconnect fd00::7 port 80 quic\nconnect fd00::/8 quic\nconnect ::1 quic\n" +
				"connect 10.2.0.0/16 port 443 quic\nconnect default tcp\nlisten default quic\n"},
		{"to twice the same", Flags{To: []string{"10.0.0.0/8", "10.0.0.7:8000"}}, head + "connect 10.0.0.0/8 quic\nconnect default tcp\nlisten default quic\n"},
		{"listen", Flags{Listen: []string{"8000", "9000-9010,8001"}}, head + "connect default quic\nlisten port 8000-8001,9000-9010 quic\nlisten default tcp\n"},
		{"listen all", Flags{Listen: []string{"all"}}, head + "connect default quic\nlisten default quic\n"},
		{"listen every port", Flags{Listen: []string{"1-65535"}}, head + "connect default quic\nlisten default quic\n"},
		{"to and listen", Flags{To: []string{"a"}, Listen: []string{"1"}}, head + "connect a quic\nconnect default tcp\nlisten port 1 quic\nlisten default tcp\n"},
		{"fallback", Flags{Fallback: "tcp"}, head + "connect default auto head-start=150ms remember=10m\nlisten default quic+tcp\n"},
		{"fallback of some", Flags{Fallback: "tcp", To: []string{"10.0.0.7:8000"}, Listen: []string{"80"}},
			head + "connect 10.0.0.7 port 8000 auto head-start=150ms remember=10m\nconnect default tcp\nlisten port 80 quic+tcp\nlisten default tcp\n"},
		{"ports same", Flags{Ports: "same"}, "ports same udp=8277\nprotocol 261 quic\nconnect default quic\nlisten default quic\n"},
		{"ports and pairs", Flags{Ports: "shared,8000=9443,80=8080", UDPPort: 9000}, "ports shared udp=9000 80=8080 8000=9443\nprotocol 261 quic\nconnect default quic\nlisten default quic\n"},
		{"pairs alone", Flags{Ports: "80=8080"}, "ports shared udp=8277 80=8080\nprotocol 261 quic\nconnect default quic\nlisten default quic\n"},
		{"protocol", Flags{Proto: []string{"123456=quic"}}, "ports shared udp=8277\nprotocol 261 quic\nprotocol 123456 quic\nconnect default tcp\nlisten default tcp\n"},
		{"protocol beside to", Flags{Proto: []string{"261=quic"}, To: []string{"a"}}, head + "connect a quic\nconnect default tcp\nlisten default tcp\n"},
		{"protocol beside listen", Flags{Proto: []string{"261=quic"}, Listen: []string{"80"}}, head + "connect default tcp\nlisten port 80 quic\nlisten default tcp\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := FromFlags(tc.flags)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for line := range strings.Lines(p.String()) {
				got.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
			}
			if got.String() != tc.want {
				t.Errorf("got\n%swant\n%s", &got, tc.want)
			}
			if _, err := Parse("printed", []byte(p.String())); err != nil {
				t.Errorf("what it prints does not parse: %v", err)
			}
		})
	}
}

func TestFlagsThatContradictOrMakeNoSenseAreNamed(t *testing.T) {
	var odd []string
	for i := range maxSpans + 1 {
		odd = append(odd, itoa(2*i+1))
	}
	for _, tc := range []struct {
		flags Flags
		want  string
	}{
		{Flags{Policy: "p.conf", To: []string{"a"}}, "--policy: got --to as well, want one of the two; hint: write it into p.conf"},
		{Flags{Policy: "p.conf", Listen: []string{"1"}, Fallback: "tcp"}, "--policy: got --listen as well, want one of the two; hint: write it into p.conf\n--policy: got --fallback as well, want one of the two; hint: write it into p.conf"},
		{Flags{Policy: "p.conf", Ports: "same"}, "--policy: got --ports as well, want one of the two; hint: write it into p.conf"},
		{Flags{Policy: "p.conf", Proto: []string{"300=quic"}}, "--policy: got --proto as well, want one of the two; hint: write it into p.conf"},
		{Flags{Ports: "same", UDPPort: 1}, "--udp-port: got --ports same as well, want one of the two; hint: with same every TCP port has the UDP port of its own number"},
		{Flags{To: []string{""}}, "--to: got nothing, want a list; hint: without the flag everything goes over QUIC"},
		{Flags{Listen: []string{" ,"}}, "--listen: got nothing, want a list; hint: without the flag everything goes over QUIC"},
		{Flags{To: []string{"all"}}, `--to: got "all", want destinations, such as 10.0.0.7:8000 or 10.0.0.0/8; hint: without --to everything goes over QUIC`},
		{Flags{To: []string{"10.0.0.1/8"}}, `--to: got "10.0.0.1/8", want HOST, ADDRESS or CIDR, with :PORT or without, such as 10.0.0.7:8000; hint: write 10.0.0.0/8, or the address alone`},
		{Flags{To: []string{"a:x"}}, `--to: got "a:x", want ports from 1 to 65535 such as 443 or 443,8000-8100`},
		{Flags{To: []string{"a:"}}, `--to: got "a:", want ports from 1 to 65535 such as 443 or 443,8000-8100`},
		{Flags{To: []string{"a:80,81"}}, `--to: got "81", want HOST, ADDRESS or CIDR, with :PORT or without, such as 10.0.0.7:8000`},
		{Flags{Listen: []string{"al"}}, `--listen: got "al", want ports from 1 to 65535 such as 443 or 443,8000-8100, or all; hint: did you mean all?`},
		{Flags{Listen: []string{"all,80"}}, `--listen: got all and port 80, want one of the two`},
		{Flags{Listen: odd}, "--listen: got more than 64 ranges, want at most 64; hint: a --policy file takes more, in several lines"},
		{Flags{Fallback: "tpc"}, `--fallback: got "tpc", want tcp or fail; hint: did you mean tcp?`},
		{Flags{Ports: "smae"}, `--ports: got "smae", want shared or same, then TCP=UDP pairs such as 8000=9443; hint: did you mean same?`},
		{Flags{Ports: "80=81,same"}, `--ports: got "same", want shared or same, then TCP=UDP pairs such as 8000=9443`},
		{Flags{Ports: "80=81,80=82"}, `--ports: got "80=82", want one UDP port for TCP port 80; hint: before it stands 80=81`},
		{Flags{UDPPort: 70000}, `--udp-port: got "70000", want a port from 1 to 65535`},
		{Flags{UDPPort: -1}, `--udp-port: got "-1", want a port from 1 to 65535`},
		{Flags{Proto: []string{"261"}}, `--proto: got "261", want N=quic; hint: the other sockets go as --to and --listen say`},
		{Flags{Proto: []string{"6=quic"}}, `--proto: got "6", want a number that is not TCP's own; hint: 0, 6 and 262 (MPTCP) go as the rules say`},
		{Flags{To: []string{"a b", "c"}, Fallback: "x"}, `--fallback: got "x", want tcp or fail` + "\n" + `--to: got "a b", want HOST, ADDRESS or CIDR, with :PORT or without, such as 10.0.0.7:8000`},
	} {
		if _, err := FromFlags(tc.flags); err == nil || err.Error() != tc.want {
			t.Errorf("%+v:\n got %v\nwant %s", tc.flags, err, tc.want)
		}
	}
}

func TestPolicyFlagReadsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.conf")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("connect 10.0.0.0/8 tcp\n")
	p, err := FromFlags(Flags{Policy: path, UDPPort: 9000})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Connect(at("10.0.0.1:80")); d.Via != TCP || d.Rule != path+":1: connect 10.0.0.0/8 tcp" {
		t.Errorf("%+v, want TCP by line 1", d)
	}
	if d := p.Connect(at("11.0.0.1:80")); d.Peer != at("11.0.0.1:9000") {
		t.Errorf("peer %v, want port 9000 by --udp-port", d.Peer)
	}
	write("ports same\n")
	if _, err := FromFlags(Flags{Policy: path, UDPPort: 9000}); err == nil || err.Error() != "--udp-port: got ports same in "+path+" as well, want one of the two" {
		t.Errorf("error %v, want the contradiction with the file", err)
	}
	if _, err := FromFlags(Flags{Policy: path, UDPPort: -1}); err == nil {
		t.Error("no error for port -1")
	}
	write(strings.Repeat("#", maxText+10))
	if _, err := FromFlags(Flags{Policy: path}); err == nil || !strings.Contains(err.Error(), "want at most 1048576") {
		t.Errorf("error %v, want that the file is too large", err)
	}
	if _, err := FromFlags(Flags{Policy: path + "x"}); err == nil || !strings.HasPrefix(err.Error(), "--policy: open ") {
		t.Errorf("error %v, want that there is no such file", err)
	}
}
