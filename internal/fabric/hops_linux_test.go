package fabric

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Routers that talk with their neighbours drop what has come through another one (RFC 5082).
func TestProgramsThatHearOnlyNeighboursHearUs(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, far := range anyFar {
		level, name := unix.SOL_IP, unix.IP_MINTTL
		if far.Is6() {
			level, name = unix.SOL_IPV6, unix.IPV6_MINHOPCOUNT
		}
		begin := func() int {
			fd := p.socket(domainOf(far), unix.SOCK_NONBLOCK)
			if err := unix.SetsockoptInt(fd, level, name, 255); err != nil {
				t.Fatal(err)
			}
			if err := unix.Connect(fd, sockaddr(netip.AddrPortFrom(far, 179))); err != unix.EINPROGRESS {
				t.Fatalf("connect: %v", err)
			}
			return fd
		}
		for _, tc := range []struct {
			name   string
			answer func(h *Held) error
			want   unix.Errno
		}{
			{"joined", func(h *Held) error {
				leg, err := h.Connect()
				if err == nil {
					t.Cleanup(func() { leg.Close() })
				}
				return err
			}, 0},
			{"refused", func(h *Held) error { return h.Refuse(Refused) }, unix.ECONNREFUSED},
		} {
			fd := begin()
			if err := tc.answer(next(t, f)); err != nil {
				t.Fatalf("%s at %v: %v", tc.name, far, err)
			}
			if events := poll(t, fd, unix.POLLOUT, patience); events&unix.POLLOUT == 0 {
				t.Fatalf("%s at %v: nothing came", tc.name, far)
			}
			if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || unix.Errno(got) != tc.want {
				t.Errorf("%s at %v: SO_ERROR is %v, %v, want %v", tc.name, far, unix.Errno(got), err, tc.want)
			}
			unix.Close(fd)
		}
		ln, at := p.listen(netip.AddrPortFrom(ownAddr[far], 0), 5)
		if err := unix.SetsockoptInt(ln, level, name, 255); err != nil {
			t.Fatal(err)
		}
		if _, err := deliver(t, f, netip.AddrPortFrom(far, 4711), at); err != nil {
			t.Errorf("deliver from %v: %v", far, err)
		}
	}
}
