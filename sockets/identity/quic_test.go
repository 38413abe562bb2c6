package identity

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// serve answers one stream a connection with what it carries, and tells of each
// connection.
func serve(t *testing.T, id *Identity, at netip.AddrPort) (addr netip.AddrPort, conns chan *quic.Conn, stop func()) {
	t.Helper()
	sock, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := id.Server()
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: sock}
	ln, err := tr.Listen(conf, &quic.Config{Allow0RTT: true})
	if err != nil {
		t.Fatal(err)
	}
	conns = make(chan *quic.Conn, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				s, err := c.AcceptStream(context.Background())
				if err != nil {
					return
				}
				b, _ := io.ReadAll(s)
				s.WriteFinal(b)
				conns <- c
			}()
		}
	}()
	stop = func() {
		tr.Close()
		<-done
	}
	t.Cleanup(stop)
	return sock.LocalAddr().(*net.UDPAddr).AddrPort(), conns, stop
}

// visit is one short life of a client: it loads, dials, asks, and closes.
func visit(t *testing.T, opts Options, addr netip.AddrPort, expect string) (quic.ConnectionState, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	id := load(t, opts)
	defer id.Close()
	conf, err := id.Client(addr, expect)
	if err != nil {
		return quic.ConnectionState{}, err
	}
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: sock}
	defer tr.Close()
	c, err := tr.DialEarly(ctx, net.UDPAddrFromAddrPort(addr), conf, nil)
	if err != nil {
		return quic.ConnectionState{}, err
	}
	defer c.CloseWithError(0, "")
	if state := c.ConnectionState(); state.TLS.HandshakeComplete {
		if err := id.Confirm(addr, expect, state.TLS); err != nil {
			return state, err
		}
	}
	s, err := c.OpenStream()
	if err == nil {
		_, err = s.WriteFinal([]byte("hello"))
	}
	if err != nil {
		return c.ConnectionState(), err // of a connection that began with early data and ended at once
	}
	got, err := io.ReadAll(s)
	select {
	case <-c.HandshakeComplete():
	case <-c.Context().Done():
	case <-ctx.Done():
		t.Fatal("the handshake is not complete")
	}
	if string(got) != "hello" || err != nil {
		return c.ConnectionState(), errors.Join(err, errors.New("got "+string(got)))
	}
	awaitTicket(ctx, t, id)
	return c.ConnectionState(), id.Confirm(addr, expect, c.ConnectionState().TLS)
}

// awaitTicket waits until a session is held: servers send it after the handshake.
func awaitTicket(ctx context.Context, t *testing.T, id *Identity) {
	t.Helper()
	for {
		id.sessions.mu.Lock()
		n := len(id.sessions.held)
		id.sessions.mu.Unlock()
		if n > 0 {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatal("no session came")
		}
	}
}

func TestASecondProcessIsHeardInTheFirstFlight(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue("spiffe://corp/web")
	srv := load(t, Options{StateDir: t.TempDir(), ClientCA: ca.file})
	addr, conns, _ := serve(t, srv, netip.MustParseAddrPort("127.0.0.1:0"))
	dir := filepath.Join(t.TempDir(), "quiver")
	for run, early := range []bool{false, true, true} {
		state, err := visit(t, Options{StateDir: dir, Cert: cert, Key: key}, addr, "")
		if err != nil {
			t.Fatalf("run %d: %v", run, err)
		}
		if state.Used0RTT != early || state.TLS.DidResume != early {
			t.Errorf("run %d: 0-RTT %v, resumed %v, want %v", run, state.Used0RTT, state.TLS.DidResume, early)
		}
		if p := srv.Of((<-conns).ConnectionState().TLS); !p.Matches("spiffe://corp/web") {
			t.Errorf("run %d: the server takes the client for %v", run, p)
		}
	}
	wantModes(t, dir)
}

func TestTicketsSurviveARestartButNotTheirEarlyData(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	addr, _, stop := serve(t, load(t, Options{StateDir: state}), netip.MustParseAddrPort("127.0.0.1:0"))
	if _, err := visit(t, Options{StateDir: dir}, addr, ""); err != nil {
		t.Fatal(err)
	}
	stop()
	serve(t, load(t, Options{StateDir: state}), addr)
	got, err := visit(t, Options{StateDir: dir}, addr, "")
	if !got.TLS.DidResume || got.Used0RTT {
		t.Errorf("resumed %v, 0-RTT %v, %v, want true, false", got.TLS.DidResume, got.Used0RTT, err)
	}
}

func TestAMismatchComesThroughQUIC(t *testing.T) {
	dir := t.TempDir()
	addr, _, stop := serve(t, load(t, Options{StateDir: t.TempDir()}), netip.MustParseAddrPort("127.0.0.1:0"))
	if _, err := visit(t, Options{StateDir: dir}, addr, ""); err != nil {
		t.Fatal(err)
	}
	stop()
	srv := load(t, Options{StateDir: t.TempDir()})
	serve(t, srv, addr)
	_, err := visit(t, Options{StateDir: dir}, addr, "")
	e, ok := errors.AsType[*PinMismatchError](err)
	if !ok || e.Seen != srv.Pin() || Hint(err) == "" {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "known_hosts")); err != nil {
		t.Fatal(err)
	}
	if state, err := visit(t, Options{StateDir: dir}, addr, ""); err != nil || state.TLS.DidResume {
		t.Errorf("after the line was removed: %v, resumed %v", err, state.TLS.DidResume)
	}
}
