//go:build !udpportable

package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// told is a copy of an Unreachable.
type told struct {
	to     netip.AddrPort
	reason syscall.Errno
	quote  string
}

// teller makes a socket whose reader passes on what ICMP says, and the datagrams that arrive.
func teller(t *testing.T, network, addr string) (s *Socket, refused <-chan told, arrived <-chan string) {
	t.Helper()
	r, a, done := make(chan told, 1000), make(chan string, 1000), make(chan struct{})
	s = listen(t, network, addr, Config{Unreachable: func(u *Unreachable) { r <- told{u.To, u.Reason, string(u.Quote)} }})
	go func() {
		defer close(done)
		Serve(s, make([]Train, 4), func(trains []Train) {
			for i := range trains {
				a <- string(trains[i].Buf)
			}
		})
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return s, r, a
}

func receive[T any](t *testing.T, what string, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(5 * time.Second):
		t.Fatalf("no %s within 5 s", what)
	}
	return got
}

func TestWatchedSocketTellsWhoRefusedWhat(t *testing.T) {
	testFamilies(t, func(t *testing.T, network, addr string, dst netip.Addr) {
		gone := listen(t, network, addr, Config{})
		port := gone.LocalAddr().Port()
		gone.Close()
		s, refused, arrived := teller(t, network, addr)
		peer := listen(t, network, addr, Config{})
		to, self := netip.AddrPortFrom(dst.Unmap(), port), netip.AddrPortFrom(dst, s.LocalAddr().Port())
		datagram := bytes.Repeat([]byte("a question, "), 100)
		s.Watch(true)
		s.Watch(true)
		for range 2 * maxSoftErrors { // and no datagram between them
			mustWrite(t, s, datagram, 0, to)
			got := receive(t, "refusal", refused)
			if got.to != to || got.reason != syscall.ECONNREFUSED || got.quote != string(datagram[:quoteSize]) {
				t.Fatalf("refused %v, %v, %q, want %v, ECONNREFUSED and how the datagram began", got.to, got.reason, got.quote, to)
			}
		}
		// With errors of many others pending, all that is sent arrives.
		for range maxDrain {
			mustWrite(t, s, datagram, 0, to)
			mustWrite(t, s, []byte("word"), 0, netip.AddrPortFrom(dst, peer.LocalAddr().Port()))
		}
		readDatagrams(t, peer, maxDrain, netip.AddrPortFrom(dst.Unmap(), s.LocalAddr().Port()))
		for range maxDrain {
			receive(t, "refusal", refused)
		}
		s.Watch(false)
		mustWrite(t, s, datagram, 0, to)
		receive(t, "refusal for who still watches", refused)
		s.Watch(false)
		mustWrite(t, s, datagram, 0, to)
		mustWrite(t, s, []byte("after it"), 0, self)
		if got := receive(t, "datagram", arrived); got != "after it" {
			t.Errorf("arrived: %q", got)
		}
		select {
		case got := <-refused:
			t.Errorf("told of %v when nobody watched", got)
		default:
		}
		s.Watch(false) // one too many, which is nothing
		withFD(t, s, func(fd int) error {
			for _, option := range [][2]int{{unix.SOL_IP, unix.IP_RECVERR}, {unix.SOL_IPV6, unix.IPV6_RECVERR}} {
				if on, err := unix.GetsockoptInt(fd, option[0], option[1]); err == nil && on != 0 {
					t.Errorf("option %v is still on", option)
				}
			}
			return nil
		})
	})
}

func TestUnwatchedSocketHearsNoICMP(t *testing.T) {
	s := listen(t, "udp4", "127.0.0.1:0", Config{})
	s.Watch(true) // with nobody to tell
	withFD(t, s, func(fd int) error {
		if on, err := unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR); err != nil || on != 0 {
			t.Errorf("IP_RECVERR = %d, %v, want 0", on, err)
		}
		return nil
	})
	s.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := s.Read(make([]Train, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v, want a timeout", err)
	}
}

// TestControlMessagesOfErrorsAreReadFromAnyBytes cuts and flips what the kernel would give.
func TestControlMessagesOfErrorsAreReadFromAnyBytes(t *testing.T) {
	b := make([]byte, 64)
	binary.NativeEndian.PutUint64(b, unix.SizeofCmsghdr+32) // struct cmsghdr: length, level, type
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_IP)
	binary.NativeEndian.PutUint32(b[12:], unix.IP_RECVERR)
	copy(b[unix.SizeofCmsghdr:], []byte{byte(unix.ECONNREFUSED), 0, 0, 0, unix.SO_EE_ORIGIN_ICMP, icmp4Unreachable, 3})
	if got := icmpReason(b); got != unix.ECONNREFUSED {
		t.Fatalf("reason %v, want ECONNREFUSED", got)
	}
	for cut := range unix.SizeofCmsghdr + 32 {
		if got := icmpReason(b[:cut]); got != 0 {
			t.Errorf("reason %v from the first %d bytes", got, cut)
		}
	}
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		icmpReason(b)
		b[bit/8] ^= 1 << (bit % 8)
	}
	b[unix.SizeofCmsghdr+4] = unix.SO_EE_ORIGIN_LOCAL
	if got := icmpReason(b); got != 0 {
		t.Errorf("reason %v from an error of this host", got)
	}
}
