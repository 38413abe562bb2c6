package netwatch

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/nstest"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets/tunnel"
)

// watch watches one peer and tells of changes.
func watch(t *testing.T, peer netip.Addr) chan Change {
	t.Helper()
	told := make(chan Change, 8)
	w, err := New(func() []netip.Addr { return []netip.Addr{peer} }, func(_ context.Context, list []Change) {
		for _, c := range list {
			told <- c
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.Note(peer)
	return told
}

func wantChange(t *testing.T, told chan Change, peer, old, now string) {
	t.Helper()
	want := Change{netip.MustParseAddr(peer), netip.MustParseAddr(old), netip.MustParseAddr(now)}
	select {
	case got := <-told:
		if got != want {
			t.Errorf("told of %v, want %v", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("told of nothing, want %v", want)
	}
}

func TestAReplacedAddressAndABetterWayAreTold(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	near, _ := nstest.Link(t)
	near.AddAddr("10.9.0.1/24")
	near.AddRoute("192.0.2.0/24", "10.9.0.9")
	told := watch(t, netip.MustParseAddr("192.0.2.7"))
	near.DelAddr("10.9.0.1/24") // and the route with it
	near.AddAddr("10.9.0.2/24")
	near.AddRoute("192.0.2.0/24", "10.9.0.9")
	wantChange(t, told, "192.0.2.7", "10.9.0.1", "10.9.0.2")
	near.AddAddr("10.8.0.1/24")
	near.AddRoute("192.0.2.0/28", "10.8.0.9")
	wantChange(t, told, "192.0.2.7", "10.9.0.2", "10.8.0.1")
	near.SetUp(false)
	near.SetUp(true) // the routes are gone
	near.AddRoute("192.0.2.0/24", "10.9.0.9")
	wantChange(t, told, "192.0.2.7", "10.8.0.1", "10.9.0.2")
}

func TestChangesThatConcernNoPeerAreNotTold(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	near, _ := nstest.Link(t)
	near.AddAddr("10.9.0.1/24")
	told := watch(t, netip.MustParseAddr("10.9.0.9"))
	near.AddAddr("10.8.0.1/24")
	near.AddRoute("192.0.2.0/24", "10.8.0.9")
	near.DelAddr("10.8.0.1/24")
	time.Sleep(5 * quiet) // so that a look is taken at each of them
	near.AddAddr("fd00::1/64")
	time.Sleep(5 * quiet)
	near.DelAddr("10.9.0.1/24") // and this concerns it
	near.AddAddr("10.9.0.2/24")
	wantChange(t, told, "10.9.0.9", "10.9.0.1", "10.9.0.2")
}

// A program that waits for its server's bytes sends nothing from which the server
// could learn of a new address: only who watches the host can tell.
func TestAQuietTunnelSurvivesReplacementOfTheOnlyAddress(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	near, far := nstest.Link(t)
	near.AddAddr("10.9.0.1/24")
	far.AddAddr("10.9.0.9/24")
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), tcpq.ALPN)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	server := &quic.Transport{Conn: far.ListenUDP(netip.MustParseAddrPort("[::]:8277"))}
	defer server.Close()
	srv := &tunnel.Server{}
	ln, err := server.Listen(serverTLS, srv.Options.ListenConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan *tunnel.Stream, 1)
	served := make(chan error, 1)
	go func() {
		served <- srv.Serve(ctx, ln, func(in *tunnel.Incoming) {
			if s, err := in.Accept(); err == nil {
				accepted <- s
			}
		})
	}()
	client := &quic.Transport{Conn: near.ListenUDP(netip.MustParseAddrPort("[::]:0"))}
	defer client.Close()
	dialer := &tunnel.Dialer{Transport: client}
	defer func() {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		dialer.Close(gone)
		ln.Close()
		<-served
		srv.Close(gone)
	}()

	peer := netip.MustParseAddrPort("10.9.0.9:8277")
	w, err := New(func() []netip.Addr { return []netip.Addr{peer.Addr()} }, func(ctx context.Context, list []Change) {
		if stayed, err := dialer.Moved(ctx); stayed > 0 {
			t.Errorf("%v: %d connections stayed: %v", list, stayed, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Note(peer.Addr())

	s, err := dialer.Dial(ctx, tunnel.Target{
		Peer: peer, TLS: func() (*tls.Config, error) { return clientTLS, nil },
		Open: tcpq.Open{Dest: netip.MustParseAddrPort("10.9.0.9:80"), Source: netip.MustParseAddrPort("10.9.0.1:4000")},
	})
	if err != nil {
		t.Fatal(err)
	}
	far1 := <-accepted
	hear := func(what string) {
		t.Helper()
		begin := time.Now()
		if _, err := far1.Write([]byte(what)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(what))
		s.SetReadDeadline(begin.Add(10 * time.Second)) // sooner than a keep-alive would tell the server
		if _, err := io.ReadFull(s, got); err != nil || string(got) != what {
			t.Fatalf("heard %q, %v, want %q", got, err, what)
		}
		t.Logf("%s: %v", what, time.Since(begin))
	}
	hear("hello")
	time.Sleep(time.Second) // until nothing is on its way
	near.DelAddr("10.9.0.1/24")
	near.AddAddr("10.9.0.2/24")
	hear("after the move")
	near.DelAddr("10.9.0.2/24")
	time.Sleep(300 * time.Millisecond)
	near.AddAddr("10.9.0.1/24")
	hear("and back")
}

func TestNothingIsLeftOpen(t *testing.T) {
	files := func() int {
		list, _ := os.ReadDir("/proc/self/fd")
		return len(list)
	}
	w, err := New(func() []netip.Addr { return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	before := files()
	for range 10 {
		w, err := New(func() []netip.Addr { return nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Note(netip.MustParseAddr("127.0.0.1"))
		w.Close()
	}
	if after := files(); after > before {
		t.Errorf("%d descriptors, had %d", after, before)
	}
}
