package check

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"testing"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestGoodRunSucceeds(t *testing.T) {
	for test, c := range cases {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, test)
			s.good()
			v := s.judge()
			if v.Result != Succeeded {
				t.Fatalf("a good run is %v", v)
			}
			for i, k := range c.criteria {
				if v.Evidence[i].Criterion != k.name || v.Evidence[i].Observed == "" {
					t.Errorf("evidence %d = %+v, want what %q saw", i, v.Evidence[i], k.name)
				}
			}
		})
	}
}

// violation is a run that breaks exactly one criterion.
type violation struct {
	name  string
	tests []string // nil = all that have the criterion
	do    func(s *script)
	// broken is the criterion that must fail, alone, and seen what its evidence says.
	broken criterion
	seen   string
	trace  string
	packet int // frame number; 0 = none, -1 the last one, -2 the one before
}

// violations break every criterion of every test at least once.
var violations = slices.Concat(plainViolations, laterViolations, pluginViolations)

var plainViolations = []violation{
	{
		name: "server answers with a second connection ID", broken: oneHandshake, seen: "2 (50010102", trace: rightTrace, packet: -1,
		do: func(s *script) {
			s.good()
			p := *s.find(kit.Server, wire.PacketInitial, 0)
			p.SCID, p.Number = []byte{1, 2, 3, 4}, 7
			s.send(&p)
		},
	},
	{
		name: "two connections", broken: oneHandshake, seen: "2 (", trace: rightTrace, packet: -2,
		tests: []string{"handshake", "transfer", "longrtt", "multiplexing", "ipv6"},
		do: func(s *script) {
			s.good()
			c := s.connect(2)
			s.hello(c)
			s.finishHandshake(c)
		},
	},
	{
		name: "server speaks version 2", broken: versionOne, seen: "version 0x6b3343cf", trace: rightTrace, packet: -1,
		do: func(s *script) {
			s.good()
			p := *s.find(kit.Server, wire.PacketInitial, 0)
			p.Version, p.Number = wire.Version2, 7
			s.send(&p)
		},
	},
	{
		name: "a file is missing", broken: filesArrived, seen: "other-file is missing",
		do: func(s *script) { s.good(); s.files[1].got = "" },
	},
	{
		name: "a file has another byte", broken: filesArrived, seen: "one-file differs at offset 3 (it has 8 bytes, want 8)",
		do: func(s *script) { s.good(); s.files[0].got = "abcDefgh" },
	},
	{
		name: "a file is too short", broken: filesArrived, seen: "one-file has 6 bytes, want 8",
		do: func(s *script) { s.good(); s.files[0].got = "abcdef" },
	},
	{
		name: "a file is too long", broken: filesArrived, seen: "one-file has 10 bytes, want 8",
		do: func(s *script) { s.good(); s.files[0].got = "abcdefghij" },
	},
	{
		name: "a file was not requested", broken: filesArrived, seen: `"ticket.bin" was not requested`,
		do: func(s *script) { s.good(); s.extra["ticket.bin"] = "x" },
	},
	{
		name: "server sends a Retry", tests: []string{"handshake", "ecn"}, broken: noRetry, seen: "a Retry packet from 193.167.100.100",
		trace: leftTrace, packet: 3,
		do: func(s *script) {
			s.ecn = 2
			c := s.connect(1)
			s.hello(c)
			s.send(c.Retry([]byte{0x7e, 1, 2, 3, 4, 5, 6, 7}, []byte("token")))
			s.hello(c)
			s.finishHandshake(c)
			s.transfer(c)
			s.ackECN(c, kit.Client)
			s.ackECN(c, kit.Server)
		},
	},
	{
		name: "client waits patiently", tests: []string{"longrtt"}, broken: helloRepeated, seen: "1", trace: leftTrace, packet: 2,
		do: func(s *script) {
			c := s.connect(1)
			s.hello(c)
			s.finishHandshake(c)
			s.transfer(c)
		},
	},
	{
		name: "client's timer sends a PING only", tests: []string{"longrtt"}, broken: helloRepeated, seen: "1", trace: leftTrace, packet: 2,
		do: func(s *script) {
			c := s.connect(1)
			s.hello(c)
			s.send(c.Packet(kit.Client, wire.PacketInitial, kit.Frame(wire.Frame{Type: wire.FramePing}), kit.Padding(1100)))
			s.finishHandshake(c)
			s.transfer(c)
		},
	},
	{
		name: "client offers AES first", tests: []string{"chacha20"}, broken: chachaOffered,
		seen: "offers TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256", trace: leftTrace, packet: 2,
		do: func(s *script) {
			c := s.connect(1)
			c.H.Offer(tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256)
			s.hello(c)
			s.finishHandshake(c)
			s.transfer(c)
		},
	},
	{
		name: "ClientHello is never complete", tests: []string{"chacha20"}, broken: chachaOffered, seen: "no complete ClientHello", trace: leftTrace,
		do: func(s *script) {
			s.good()
			p := s.find(kit.Client, wire.PacketInitial, 0)
			p.Payload = kit.Crypto(0, s.conns[0].H.Initial[kit.Client][:100])
		},
	},
	{
		name: "server allows 1,001 streams", tests: []string{"multiplexing"}, broken: streamLimit, seen: "1001", trace: leftTrace, packet: 3,
		do: func(s *script) { s.config.Params[kit.Server].MaxStreamsBidi = 1001; s.good() },
	},
	{
		name: "server sends no stream limit", tests: []string{"multiplexing"}, broken: streamLimit, seen: "no such transport parameter", trace: leftTrace,
		do: func(s *script) { s.config.Params[kit.Server].MaxStreamsBidi = 0; s.good() },
	},
	{
		name: "key log is of another run", tests: []string{"multiplexing"}, broken: streamLimit, seen: "that client/keys.log decrypts", trace: leftTrace,
		do: func(s *script) {
			s.good()
			other := newScript(s.t, s.in.Test)
			other.good()
			s.keyLogs = other.keyLogs
		},
	},
	{
		name: "Retry has no token", tests: []string{"retry"}, broken: retrySent, seen: "a Retry packet without a token", trace: leftTrace, packet: -1,
		do: func(s *script) {
			s.good()
			c := kit.NewConn(s.conns[0].H, 1)
			s.send(c.Retry([]byte{0x7e, 9}, nil))
		},
	},
	{
		name: "client uses another token", tests: []string{"retry"}, broken: retryTokenUsed, seen: "2 client Initial packets have a token", trace: leftTrace,
		do: func(s *script) {
			s.good()
			for i := 1; i < 3; i++ {
				s.find(kit.Client, wire.PacketInitial, i).Token = []byte("from NEW_TOKEN")
			}
		},
	},
	{
		name: "client uses no token", tests: []string{"retry"}, broken: retryTokenUsed, seen: "no client Initial packet has a token", trace: leftTrace,
		do: func(s *script) {
			s.good()
			for i := 1; i < 3; i++ {
				s.find(kit.Client, wire.PacketInitial, i).Token = nil
			}
		},
	},
	{
		name: "client starts counting again after the Retry", tests: []string{"retry"}, broken: retryTokenUsed,
		seen: "has number 0, after number 0", trace: leftTrace, packet: 4,
		do: func(s *script) { s.good(); s.find(kit.Client, wire.PacketInitial, 1).Number = 0 },
	},
	{
		name: "server sends over IPv4", tests: []string{"ipv6"}, broken: onlyIPv6, seen: "a packet from 193.167.100.100:443", trace: rightTrace, packet: -1,
		do: func(s *script) {
			s.good()
			c := kit.NewConn(s.conns[0].H, 9)
			s.ends = [2]netip.AddrPort{client4, server4}
			s.send(c.Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePing}), kit.Padding(30)))
		},
	},
}

func TestEachCriterionFailsAlone(t *testing.T) {
	for _, v := range violations {
		for _, test := range v.appliesTo() {
			t.Run(test+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				s := newScript(t, test)
				v.do(s)
				v.want(t, s, s.judge())
			})
		}
	}
}

// appliesTo returns the tests that the violation breaks.
func (v *violation) appliesTo() []string {
	if v.tests != nil {
		return v.tests
	}
	var tests []string
	for name, c := range cases {
		if slices.ContainsFunc(c.criteria, v.breaks) {
			tests = append(tests, name)
		}
	}
	return tests
}

// breaks reports whether k is the criterion that must fail.
func (v *violation) breaks(k criterion) bool {
	return k.name == v.broken.name && k.want == v.broken.want
}

func (v *violation) want(t *testing.T, s *script, got Verdict) {
	t.Helper()
	if got.Result != Failed || len(got.Evidence) != 1 {
		t.Fatalf("verdict is %v\nwant failed with one piece of evidence", got)
	}
	e := got.Evidence[0]
	packet := v.packet
	if packet < 0 {
		packet += len(s.datagrams) + 2 // the first frame is not QUIC
	}
	if e.Criterion != v.broken.name || !strings.Contains(e.Observed, v.seen) || e.Trace != v.trace || e.Packet != packet {
		t.Errorf("verdict is %v\nwant %q broken, %q seen in %q, frame %d", got, v.broken.name, v.seen, v.trace, packet)
	}
	if !strings.HasPrefix(got.Reason, v.broken.name+": ") || !strings.Contains(got.Reason, v.seen) {
		t.Errorf("reason is %q, want one that starts with the criterion and says %q", got.Reason, v.seen)
	}
}

func TestEachCriterionHasAViolation(t *testing.T) {
	for test, c := range cases {
		for _, k := range c.criteria {
			if !slices.ContainsFunc(violations, func(v violation) bool {
				return v.breaks(k) && slices.Contains(v.appliesTo(), test)
			}) {
				t.Errorf("no violation of %q in %s", k.name, test)
			}
		}
	}
}
