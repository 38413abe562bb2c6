package gateway

import (
	"fmt"
	"testing"
)

func TestPairsAreReadAsWritten(t *testing.T) {
	for _, tc := range []struct{ in, out, want string }{
		{"tcp://127.0.0.1:8000", "quic://gw.example", "tcp 127.0.0.1:8000 0 > quic gw.example 8277 - "},
		{"tcp://:8000", "quic://gw.example:9000/10.0.0.7:80", "tcp :8000 0 > quic gw.example 9000 10.0.0.7:80 "},
		{"tcp://[::1]:8000", "quic://[2001:db8::1]:9000/[2001:db8::2]:80", "tcp [::1]:8000 0 > quic 2001:db8::1 9000 [2001:db8::2]:80 "},
		{"tcp://localhost:0", "quic://10.0.0.1/db.example:5432?identity=spiffe://corp/*", "tcp localhost:0 0 > quic 10.0.0.1 8277 db.example:5432 spiffe://corp/*"},
		{"tcp://127.0.0.1:8000", "quic://gw.example/80", "tcp 127.0.0.1:8000 0 > quic gw.example 8277 :80 "},
		{"quic://:8277", "tcp://127.0.0.1:8000", "quic :8277 0 > tcp 127.0.0.1 8000 - "},
		{"quic://", "tcp://localhost:8000", "quic :8277 0 > tcp localhost 8000 - "},
		{"quic://10.0.0.1/80", "tcp://127.0.0.1:8000", "quic 10.0.0.1:8277 80 > tcp 127.0.0.1 8000 - "},
		{"quic://[::]:9000/80", "tcp://[::1]:8000", "quic [::]:9000 80 > tcp ::1 8000 - "},
		{"quic://:8277", "tcp://", "quic :8277 0 > tcp  0 - "},
		{"socks5://127.0.0.1:1080", "quic://gw.example", "socks5 127.0.0.1:1080 0 > quic gw.example 8277 - "},
		{"socks5://127.0.0.1:1080", "quic://", "socks5 127.0.0.1:1080 0 > quic  0 - "},
	} {
		p, err := ParsePair(tc.in, tc.out)
		if err != nil {
			t.Errorf("%s > %s: %v", tc.in, tc.out, err)
			continue
		}
		dest := "-"
		if p.out.dest.addr.IsValid() || p.out.dest.name != "" {
			dest = p.out.dest.String()
		} else if p.out.dest.port != 0 {
			dest = fmt.Sprintf(":%d", p.out.dest.port)
		}
		got := fmt.Sprintf("%s %s %d > %s %s %d %s %s", p.in.scheme, p.in.addr, p.in.port, p.out.scheme, p.out.host, p.out.port, dest, p.out.identity)
		if got != tc.want {
			t.Errorf("%s > %s is %s, want %s", tc.in, tc.out, got, tc.want)
		}
		if p.String() != tc.in+" > "+tc.out {
			t.Errorf("String = %s", p)
		}
	}
}

func TestPairsThatMakeNoSenseAreRefusedWithBothSides(t *testing.T) {
	const ok = "tcp://127.0.0.1:1"
	for _, tc := range []struct{ in, out, want string }{
		{"127.0.0.1:1", "quic://a", `--in "127.0.0.1:1", want tcp://…, socks5://… or quic://…`},
		{"http://a:1", "quic://a", `--in "http://a:1", want tcp://…, socks5://… or quic://…`},
		{"tcp://127.0.0.1", "quic://a", `--in "tcp://127.0.0.1": no port, want tcp://[HOST]:PORT`},
		{"tcp://a b:1", "quic://a", `--in "tcp://a b:1": "a b" is no host, want tcp://[HOST]:PORT`},
		{"tcp://a:99999", "quic://a", `--in "tcp://a:99999": "99999" is no port, want tcp://[HOST]:PORT`},
		{"tcp://a:1/2", "quic://a", `--in "tcp://a:1/2": nothing may follow the port, want tcp://[HOST]:PORT`},
		{"socks5://a:1?x", "quic://a", `--in "socks5://a:1?x": nothing may follow ?, want socks5://[HOST]:PORT`},
		{"quic://:1/x", "tcp://a:1", `--in "quic://:1/x": "x" is no port, want quic://[HOST][:PORT][/PORT]`},
		{ok, "a:1", `--out "a:1", want quic://… or tcp://…`},
		{ok, "quic://a:0", `--out "quic://a:0": "0" is no port, want quic://[HOST[:PORT]][/DEST:PORT][?identity=ID]`},
		{ok, "quic://a/b", `--out "quic://a/b": address b: missing port in address, want quic://[HOST[:PORT]][/DEST:PORT][?identity=ID]`},
		{ok, "quic:///a:1", `--out "quic:///a:1": a destination without a host before it, want quic://[HOST[:PORT]][/DEST:PORT][?identity=ID]`},
		{ok, "quic://a?id=b", `--out "quic://a?id=b": unknown option "id=b", want quic://[HOST[:PORT]][/DEST:PORT][?identity=ID]`},
		{"quic://:1", "tcp://a", `--out "tcp://a": no port, want tcp://HOST:PORT, or tcp:// for where the far side says`},
		{"quic://:1", "tcp://:1", `--out "tcp://:1": "" is no host, want tcp://HOST:PORT, or tcp:// for where the far side says`},
		{"quic://:1", "tcp://a:1/2", `--out "tcp://a:1/2": nothing may follow the port, want tcp://HOST:PORT, or tcp:// for where the far side says`},
		{ok, "tcp://a:1", `--in tcp://127.0.0.1:1 and --out tcp://a:1, want QUIC on one of the two sides`},
		{"quic://:1", "quic://a", `--in quic://:1 and --out quic://a, want QUIC on one of the two sides`},
		{ok, "quic://", `--out quic:// after --in tcp://127.0.0.1:1, want a host: plain TCP does not say where it is to go`},
		{"socks5://a:1", "tcp://", `--in socks5://a:1 and --out tcp://, want QUIC on one of the two sides`},
		{"socks5://a:1", "quic://a/b:1", `--out quic://a/b:1 after socks5://a:1, want no destination: whoever uses the proxy names it`},
		{"quic://:1/2", "tcp://", `--in quic://:1/2 before --out tcp://, want no TCP port: the far side names it`},
	} {
		if _, err := ParsePair(tc.in, tc.out); err == nil || err.Error() != tc.want {
			t.Errorf("%s > %s:\n got %v\nwant %s", tc.in, tc.out, err, tc.want)
		}
	}
}

func FuzzPair(f *testing.F) {
	f.Add("tcp://[::1]:8000", "quic://a:1/b:2?identity=c")
	f.Add("quic://:8277/80", "tcp://a:1")
	f.Fuzz(func(t *testing.T, in, out string) {
		p, err := ParsePair(in, out)
		if err == nil && (p.in.addr == "" || p.in.scheme == overTCP && p.out.host == "") {
			t.Errorf("%q > %q is %+v", in, out, p)
		}
	})
}
