package quic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/nstest"
	"github.com/seed51309289/quiver/quic"
	"golang.org/x/sys/unix"
)

// closedPort returns an address where nobody listens, and keeps the port for the
// test: it is that of a connected socket, which takes nothing of strangers.
func closedPort(t *testing.T, ip string) *net.UDPAddr {
	t.Helper()
	local := &net.UDPAddr{IP: net.ParseIP(ip)}
	sock, err := net.DialUDP("udp", local, &net.UDPAddr{IP: local.IP, Port: 9})
	if err != nil {
		t.Skipf("no address %s here: %v", ip, err)
	}
	t.Cleanup(func() { sock.Close() })
	return sock.LocalAddr().(*net.UDPAddr)
}

func openTransport(t *testing.T, addr string) *quic.Transport {
	t.Helper()
	sock, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Skipf("no address %s here: %v", addr, err)
	}
	tr := &quic.Transport{Conn: sock}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func TestDialOfAClosedPortFailsAtOnce(t *testing.T) {
	clientTLS, _ := configs()
	for _, tc := range []struct{ name, local, remote string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "::1"},
		{"IPv4 from a socket of both families", "[::]:0", "127.0.0.1"},
		{"IPv6 from a socket of both families", "[::]:0", "::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, to := openTransport(t, tc.local), closedPort(t, tc.remote)
			for range 70 { // a Transport is as good as before, also after more errors than a socket bears in a row
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // the handshake has 10
				_, err := tr.Dial(ctx, to, clientTLS, nil)
				cancel()
				var unreachable *quic.UnreachableError
				if !errors.As(err, &unreachable) || !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, net.ErrClosed) {
					t.Fatalf("Dial: %v, want UnreachableError with ECONNREFUSED", err)
				}
				if unreachable.Addr.String() != to.String() {
					t.Errorf("error about %v, want %v", unreachable.Addr, to)
				}
			}
		})
	}
}

// mute is a peer that hears a client's first datagram and says nothing.
type mute struct {
	t      *testing.T
	sock   *net.UDPConn
	client netip.AddrPort // whom it heard
	first  []byte         // what it heard
}

// dialed is what came of a dial.
type dialed struct {
	conn *quic.Conn
	err  error
}

// dialMute dials tr to a mute, and returns it with what will come of the dial.
func dialMute(t *testing.T, tr *quic.Transport, ip string, clientTLS *tls.Config) (*mute, <-chan dialed) {
	t.Helper()
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	m, result := &mute{t: t, sock: sock}, make(chan dialed, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	t.Cleanup(cancel)
	go func() {
		c, err := tr.Dial(ctx, sock.LocalAddr(), clientTLS, nil)
		result <- dialed{c, err}
	}()
	m.first = make([]byte, 2000)
	sock.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := sock.ReadFromUDPAddrPort(m.first)
	if err != nil {
		t.Fatal(err)
	}
	m.first, m.client = m.first[:n], from
	return m, result
}

// addr is the mute's.
func (m *mute) addr() netip.AddrPort { return m.sock.LocalAddr().(*net.UDPAddr).AddrPort() }

// icmp sends the client an ICMP message about a datagram of its own to dst.
func (m *mute) icmp(typ, code byte, dst netip.AddrPort, quote []byte) {
	m.t.Helper()
	src, inet6 := m.client, dst.Addr().Is6()
	udp := binary.BigEndian.AppendUint16(nil, src.Port())
	udp = binary.BigEndian.AppendUint16(udp, dst.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(m.first)))
	udp = append(append(udp, 0, 0), quote...)
	msg, domain, proto := []byte{typ, code, 0, 0, 0, 0, 0, 0}, unix.AF_INET, unix.IPPROTO_ICMP
	if inet6 {
		domain, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		msg = append(msg, 0x60, 0, 0, 0, byte(len(udp)>>8), byte(len(udp)), unix.IPPROTO_UDP, 64)
	} else {
		msg = append(msg, 0x45, 0, byte((20+len(udp))>>8), byte(20+len(udp)), 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0)
	}
	msg = append(append(msg, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	msg = append(msg, udp...)
	sum := uint32(0)
	for i := 0; i < len(msg); i += 2 {
		sum += uint32(msg[i])<<8 | uint32(append(msg, 0)[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(msg[2:], ^uint16(sum)) // the kernel's own for IPv6
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		m.t.Fatal(err)
	}
	defer unix.Close(fd)
	var to unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if inet6 {
		to = &unix.SockaddrInet6{Addr: src.Addr().As16()}
	}
	if err := unix.Sendto(fd, msg, 0, to); err != nil {
		m.t.Fatal(err)
	}
}

// families are what ICMP has two of.
var families = []struct {
	name, ip    string
	unreachable byte                       // type
	codes       map[byte]syscall.Errno     // of that type
	other       []struct{ typ, code byte } // messages that say something else
}{
	{"IPv4", "127.0.0.1", 3, map[byte]syscall.Errno{0: syscall.ENETUNREACH, 1: syscall.EHOSTUNREACH, 3: syscall.ECONNREFUSED, 13: syscall.EHOSTUNREACH},
		[]struct{ typ, code byte }{{3, 4}, {11, 0}, {12, 0}}},
	{"IPv6", "::1", 1, map[byte]syscall.Errno{0: syscall.ENETUNREACH, 3: syscall.EHOSTUNREACH, 4: syscall.ECONNREFUSED, 1: syscall.EHOSTUNREACH},
		[]struct{ typ, code byte }{{2, 0}, {3, 0}, {4, 0}}},
}

func TestICMPEndsADialOnlyWithAQuoteOfItsOwnDatagram(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if !nstest.Enter(t) {
				return
			}
			nstest.Link(t) // which brings up loopback
			clientTLS, _ := configs()
			for code, want := range f.codes {
				other := byte(0) // a code with another reason: what is forged must not count
				if want == syscall.ENETUNREACH {
					other = 3
				}
				tr := openTransport(t, net.JoinHostPort(f.ip, "0"))
				m, result := dialMute(t, tr, f.ip, clientTLS)
				wrong := bytes.Clone(m.first)
				wrong[15] ^= 1 // of the source ID, behind a destination ID of 8 bytes and its length
				m.icmp(f.unreachable, other, m.addr(), wrong)
				for _, n := range []int{0, 8, 22} { // the header is longer: 1+4+1+8+1+8
					m.icmp(f.unreachable, other, m.addr(), m.first[:n])
				}
				m.icmp(f.unreachable, other, netip.AddrPortFrom(m.addr().Addr(), m.addr().Port()^1), m.first)
				for _, o := range f.other {
					m.icmp(o.typ, o.code, m.addr(), m.first)
				}
				m.icmp(f.unreachable, code, m.addr(), m.first[:23])
				err := (<-result).err
				var unreachable *quic.UnreachableError
				if !errors.As(err, &unreachable) || !errors.Is(err, want) {
					t.Errorf("code %d: %v, want UnreachableError with %v", code, err, want)
				}
				tr.Close()
			}
		})
	}
}

func TestICMPIsNotBelievedAfterAnAnswer(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if !nstest.Enter(t) {
				return
			}
			nstest.Link(t)
			clientTLS, serverTLS := configs()
			tr, server := openTransport(t, net.JoinHostPort(f.ip, "0")), openTransport(t, net.JoinHostPort(f.ip, "0"))
			ln, err := server.Listen(serverTLS, nil)
			if err != nil {
				t.Fatal(err)
			}
			// What the client sends to the server passes through a mute, so that it can be quoted.
			m, result := dialMute(t, tr, f.ip, clientTLS)
			if !hears(t, tr) {
				t.Error("the Transport does not hear ICMP while it dials")
			}
			m.relay(server.LocalAddr().(*net.UDPAddr).AddrPort())
			first := <-result
			if first.err != nil {
				t.Fatal(first.err)
			}
			wantDeaf(t, tr, "after the answer")
			other, otherResult := dialMute(t, tr, f.ip, clientTLS) // for which it does
			m.icmp(f.unreachable, 3, m.addr(), m.first)
			other.icmp(f.unreachable, 0, other.addr(), other.first)
			if err := (<-otherResult).err; !errors.Is(err, syscall.ENETUNREACH) {
				t.Errorf("the other dial: %v, want ENETUNREACH", err)
			}
			wantDeaf(t, tr, "after all dials")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			s, err := ln.Accept(ctx)
			if err != nil {
				t.Fatal(err)
			}
			wantWord(ctx, t, first.conn, s)
		})
	}
}

// wantWord sends a word from one end to the other.
func wantWord(ctx context.Context, t *testing.T, from, to *quic.Conn) {
	t.Helper()
	out, err := from.OpenUniStream()
	if err == nil {
		_, err = out.Write([]byte("alive"))
	}
	if err != nil {
		t.Fatalf("open and write: %v", err)
	}
	in, err := to.AcceptUniStream(ctx)
	if err == nil {
		_, err = io.ReadFull(in, make([]byte, 5))
	}
	if err != nil {
		t.Errorf("accept and read: %v", err)
	}
}

// hears reports whether the kernel is asked for ICMP messages on a Transport's socket.
func hears(t *testing.T, tr *quic.Transport) bool {
	t.Helper()
	raw, err := tr.Conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	on := 0
	raw.Control(func(fd uintptr) { on, err = unix.GetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR) })
	if err != nil {
		t.Fatal(err)
	}
	return on != 0
}

// wantDeaf waits for the end of that: a Dial may have returned a little earlier.
func wantDeaf(t *testing.T, tr *quic.Transport, when string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); hears(t, tr); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("the Transport hears ICMP %s", when)
			return
		}
	}
}

// relay passes what the client sends on to a server, and back, to the end of the test. What the mute heard first goes first.
func (m *mute) relay(server netip.AddrPort) {
	m.t.Helper()
	m.sock.SetReadDeadline(time.Time{})
	if _, err := m.sock.WriteToUDPAddrPort(m.first, server); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := m.sock.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			to := server
			if from == server {
				to = m.client
			}
			m.sock.WriteToUDPAddrPort(buf[:n], to)
		}
	}()
	m.t.Cleanup(func() {
		m.sock.Close()
		<-done
	})
}

func TestPatientClientWaitsForAServerThatStartsLater(t *testing.T) {
	clientTLS, serverTLS := configs()
	tr := openTransport(t, "127.0.0.1:0")
	late, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to := late.LocalAddr().(*net.UDPAddr)
	late.Close()
	refused, result := closedPort(t, "127.0.0.1"), make(chan dialed, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		c, err := tr.Dial(ctx, to, clientTLS, &quic.Config{IgnoreUnreachable: true})
		result <- dialed{c, err}
	}()
	// Another dial is refused meanwhile, so the ICMP of both has come.
	if _, err := tr.Dial(ctx, refused, clientTLS, nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial without patience: %v, want ECONNREFUSED", err)
	}
	if late, err = net.ListenUDP("udp", to); err != nil {
		t.Skipf("somebody else has the port meanwhile: %v", err)
	}
	ln, err := quic.Listen(late, serverTLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if d := <-result; d.err != nil {
		t.Errorf("dial with patience: %v, want a connection", d.err)
	}
}

// TestManyRefusalsHarmNoOtherConnection has more refusals in a row than a socket bears errors, beside a connection that
// carries data.
func TestManyRefusalsHarmNoOtherConnection(t *testing.T) {
	clientTLS, serverTLS := configs()
	tr, server := openTransport(t, "127.0.0.1:0"), openTransport(t, "127.0.0.1:0")
	ln, err := server.Listen(serverTLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := tr.Dial(ctx, server.LocalAddr(), clientTLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	to := closedPort(t, "127.0.0.1")
	for range 40 {
		var dials sync.WaitGroup
		for range 4 {
			dials.Go(func() {
				if _, err := tr.Dial(ctx, to, clientTLS, nil); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("Dial: %v, want ECONNREFUSED", err)
				}
			})
		}
		wantWord(ctx, t, c, s)
		dials.Wait()
	}
	wantDeaf(t, tr, "after all dials")
}

// TestClosedPortAcrossALinkIsKnownAtOnce asks another host, which quotes as much as its kernel likes.
func TestClosedPortAcrossALinkIsKnownAtOnce(t *testing.T) {
	for _, v := range []struct{ name, local, remote, from string }{
		{"IPv4", "10.9.0.1/24", "10.9.0.9/24", "0.0.0.0:0"},
		{"IPv6", "fd00::1/64", "fd00::9/64", "[::]:0"},
		{"IPv4 on a socket for both", "10.9.0.1/24", "10.9.0.9/24", "[::]:0"},
	} {
		t.Run(v.name, func(t *testing.T) {
			if !nstest.Enter(t) {
				return
			}
			h := onHosts(t, v.local, v.remote, v.from)
			nobody := net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.server.Addr(), h.server.Port()+1))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := h.client.Dial(ctx, nobody, h.clientTLS, nil); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("Dial: %v, want ECONNREFUSED", err)
			}
			h.pair() // and the server at the next port is reached
		})
	}
}

func TestEarlyDialOfAClosedPortEndsTheConnection(t *testing.T) {
	clientTLS, _ := configs()
	tr := openTransport(t, "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := tr.DialEarly(ctx, closedPort(t, "127.0.0.1"), clientTLS, nil)
	if err == nil {
		select {
		case <-c.Context().Done():
			err = context.Cause(c.Context())
		case <-ctx.Done():
			t.Fatal("the connection did not end")
		}
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, want ECONNREFUSED", err)
	}
}
