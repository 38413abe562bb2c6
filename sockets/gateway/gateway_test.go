package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed51309289/quiver/sockets/control"
	"github.com/seed51309289/quiver/sockets/identity"
)

func TestBytesAndEndsCrossTwoGateways(t *testing.T) {
	a, _ := chain(t, Config{}, Config{}, serve(t, echo))
	wantEcho(t, dial(t, a.tcp(0)), "hello")
	wantEcho(t, dial(t, a.tcp(0)), "")
	wantEcho(t, dial(t, a.tcp(0)), strings.Repeat("0123456789abcdef", 1<<16)) // 1 MiB
}

func TestManyConnectionsShareOneQUICConnection(t *testing.T) {
	a, b := chain(t, trusting, trusting, serve(t, echo))
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Go(func() { wantEcho(t, dial(t, a.tcp(0)), fmt.Sprintf("connection %d", i)) })
	}
	wait.Wait()
	if n := len(a.dialer.Snapshot()); n != 1 {
		t.Errorf("%d QUIC connections, want 1", n)
	}
	eventually(t, "all are counted as over", func() bool { return len(a.conns.list())+len(b.conns.list()) == 0 })
	if a, b := a.conns.made.Load(), b.conns.made.Load(); a != 100 || b != 100 {
		t.Errorf("%d and %d connections are counted, want 100", a, b)
	}
}

func TestATargetThatRefusesResetsTheClient(t *testing.T) {
	a, b := chain(t, trusting, trusting, closedPort(t))
	wantResetAt(t, a.tcp(0))
	eventually(t, "both count it", func() bool { return a.conns.refused.Load() == 1 && b.conns.refused.Load() == 1 })
}

func TestATargetThatResetsResetsTheClient(t *testing.T) {
	a, _ := chain(t, trusting, trusting, serve(t, func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 5))
		c.SetLinger(0)
	}))
	c := dial(t, a.tcp(0))
	io.WriteString(c, "hello")
	wantReset(t, c)
}

func TestPairsOnOneUDPPortAreToldApartByTheTCPPort(t *testing.T) {
	greet := func(text string) netip.AddrPort {
		return serve(t, func(c *net.TCPConn) { io.WriteString(c, text) })
	}
	one, two := greet("one"), greet("two")
	probe, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp := probe.LocalAddr().String() // both pairs must name the same port
	probe.Close()
	b := start(t, trusting, "quic://"+udp, "tcp://"+one.String(), "quic://"+udp+"/80", "tcp://"+two.String())
	if len(b.endpoints) != 1 {
		t.Fatalf("%d UDP ports, want 1", len(b.endpoints))
	}
	if ways := b.Ways(); len(ways) != 2 || ways[0].At.String() != udp || ways[0].Pair.out.host != "127.0.0.1" || ways[0].Pair.wants() != 80 || ways[1].Pair.wants() != one.Port() {
		t.Errorf("ways are %v, want that of port 80 first", ways)
	}
	a := start(t, trusting,
		"tcp://127.0.0.1:0", fmt.Sprintf("quic://%s/%d", udp, one.Port()),
		"tcp://127.0.0.1:0", "quic://"+udp+"/80",
		"tcp://127.0.0.1:0", "quic://"+udp+"/81",
		"tcp://127.0.0.1:0", "quic://"+udp) // asks for the port of its own inlet
	for i, want := range []string{"one", "two"} {
		if got, err := io.ReadAll(dial(t, a.tcp(i))); err != nil || string(got) != want {
			t.Errorf("inlet %d leads to %q, %v, want %s", i, got, err, want)
		}
	}
	wantResetAt(t, a.tcp(2))
	wantResetAt(t, a.tcp(3))
	own := fmt.Sprintf("port=%d", addrPort(a.inlets[3].listener.Addr()).Port())
	if log := b.log.String(); !strings.Contains(log, "no --in is for this TCP port") || !strings.Contains(log, "port=81") || !strings.Contains(log, own) {
		t.Errorf("log lacks ports 81 and %s:\n%s", own, log)
	}
}

func TestAPeerIsRememberedWhenItIsFirstSeen(t *testing.T) {
	to := serve(t, echo)
	a, b := chain(t, Config{}, Config{}, to)
	wantEcho(t, dial(t, a.tcp(0)), "hello")
	a.end()
	hosts, err := os.ReadFile(filepath.Join(a.conf.Identity.StateDir, "known_hosts"))
	if err != nil || !strings.Contains(string(hosts), b.pin()) {
		t.Errorf("known_hosts has %q, %v, want the far key %s", hosts, err, b.pin())
	}
	b.end()

	// Somebody else at that address is not believed, and the user hears why.
	other := start(t, Config{}, fmt.Sprintf("quic://%s/%d", b.udp(), to.Port()), "tcp://"+to.String())
	again := start(t, Config{Identity: identity.Options{StateDir: a.conf.Identity.StateDir}}, "tcp://127.0.0.1:0", fmt.Sprintf("quic://%s/%d", other.udp(), to.Port()))
	wantResetAt(t, again.tcp(0))
	eventually(t, "the warning is there", func() bool { return strings.Contains(again.log.String(), "level=WARN") })
	if log := again.log.String(); !strings.Contains(log, "has another key than before") || !strings.Contains(log, "somebody else may be answering") {
		t.Errorf("log:\n%s", log)
	}
}

func TestAnIdentityOfThePairIsAskedFor(t *testing.T) {
	to := serve(t, echo)
	b := start(t, Config{}, fmt.Sprintf("quic://127.0.0.1:0/%d", to.Port()), "tcp://"+to.String())
	out := fmt.Sprintf("quic://%s/%d?identity=", b.udp(), to.Port())
	a := start(t, Config{}, "tcp://127.0.0.1:0", out+b.pin(), "tcp://127.0.0.1:0", out+"sha256:"+strings.Repeat("00", 32))
	wantEcho(t, dial(t, a.tcp(0)), "hello")
	wantResetAt(t, a.tcp(1))
}

func TestOnlyPeersThatAreAllowedAreServed(t *testing.T) {
	to := serve(t, echo)
	key := start(t, Config{}, "tcp://127.0.0.1:0", "quic://127.0.0.1:1") // makes a key
	key.end()
	far := Config{Identity: identity.Options{Allow: []string{key.pin()}}}
	b := start(t, far, fmt.Sprintf("quic://127.0.0.1:0/%d", to.Port()), "tcp://"+to.String())
	out := fmt.Sprintf("quic://%s/%d", b.udp(), to.Port())
	a := start(t, Config{Identity: identity.Options{StateDir: key.conf.Identity.StateDir}}, "tcp://127.0.0.1:0", out)
	stranger := start(t, Config{}, "tcp://127.0.0.1:0", out)
	wantEcho(t, dial(t, a.tcp(0)), "hello")
	wantResetAt(t, stranger.tcp(0))
}

func TestAPortOfAnotherRunIsFoundThere(t *testing.T) {
	to := serve(t, func(c *net.TCPConn) { io.WriteString(c, "elsewhere") })
	other := start(t, trusting, "quic://127.0.0.1:0/4711", "tcp://"+to.String())
	pub, err := control.Publish(t.Context(), func() control.Program { return control.Program{Kind: control.Run} }, func(tcp uint16) (uint16, bool) {
		return addrPort(other.endpoints[0].listener.Addr()).Port(), tcp == 4711
	})
	if err != nil {
		t.Skip(err)
	}
	defer pub.Close()
	b := start(t, trusting, "quic://127.0.0.1:0/80", "tcp://127.0.0.1:1")
	a := start(t, trusting, "tcp://127.0.0.1:0", "quic://"+b.udp()+"/4711")
	if got, err := io.ReadAll(dial(t, a.tcp(0))); err != nil || string(got) != "elsewhere" {
		t.Errorf("got %q, %v, want elsewhere", got, err)
	}
}

func TestGatewaysAreSeenFromOutside(t *testing.T) {
	conf := trusting
	conf.Command = []string{"quiver", "gateway"}
	to := serve(t, echo)
	a, b := chain(t, conf, trusting, to)
	c := dial(t, a.tcp(0))
	io.WriteString(c, "hello")
	io.ReadFull(c, make([]byte, 5))
	local := c.LocalAddr().(*net.TCPAddr).AddrPort()
	var near, far control.Program
	eventually(t, "both are published", func() bool {
		programs, _ := control.List(context.Background())
		for _, p := range programs {
			switch {
			case len(p.Command) > 0:
				near = p
			case len(p.Conns) > 0 && p.Conns[0].App == local:
				far = p
			}
		}
		return near.PID != 0 && far.PID != 0 && near.Counters.BytesDown == 5 && far.Counters.BytesUp == 5
	})
	if len(near.Conns) != 1 || len(near.Peers) != 1 || len(near.Listeners) != 1 || len(near.UDP) != 1 || near.Kind != control.Gateway {
		t.Fatalf("near gateway is %+v", near)
	}
	if got := near.Conns[0]; got.App != local || got.Dest.Port() != to.Port() || got.Direction != control.Out || got.State != "open" || got.BytesUp != 5 || got.BytesDown != 5 || !strings.HasPrefix(got.Rule, "tcp://127.0.0.1:0 > quic://") {
		t.Errorf("near connection is %+v", got)
	}
	if got := far.Conns[0]; got.Direction != control.In || got.State != "open" || got.Via != control.QUIC {
		t.Errorf("far connection is %+v", got)
	}
	if got := far.Listeners[0]; got.TCP.Port() != to.Port() || got.UDP != addrPort(b.endpoints[0].listener.Addr()).Port() {
		t.Errorf("far listener is %+v", got)
	}
	c.Close()
	a.end()
	eventually(t, "the QUIC connection is over", func() bool { return len(b.conns.list())+len(b.tunnels()) == 0 })
	if got := b.snapshot().Counters; got.BytesUp != 5 || got.BytesDown != 5 {
		t.Errorf("after the end the counters are %+v, want 5 bytes each way", got)
	}
}

func TestOpenSaysWhichSocketCannotBe(t *testing.T) {
	taken := serve(t, echo).String()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for want, pair := range map[string]Pair{
		"--in tcp://" + taken + ": ":                     mustPair(t, "tcp://"+taken, "quic://127.0.0.1"),
		"--in quic://" + udp.LocalAddr().String() + ": ": mustPair(t, "quic://"+udp.LocalAddr().String(), "tcp://127.0.0.1:1"),
		`--out quic://127.0.0.1?identity=a b:1: `:        mustPair(t, "tcp://127.0.0.1:0", "quic://127.0.0.1?identity=a b"),
	} {
		first := mustPair(t, "tcp://127.0.0.1:0", "quic://127.0.0.1") // which must not stay open
		_, err := Open(t.Context(), Config{Pairs: []Pair{first, pair}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s…", err, want)
		}
	}
	if _, err := Open(t.Context(), Config{Pairs: []Pair{mustPair(t, "tcp://127.0.0.1:0", "quic://127.0.0.1")}, Identity: identity.Options{Cert: "nowhere"}}); err == nil {
		t.Error("no error without a certificate")
	}
}
