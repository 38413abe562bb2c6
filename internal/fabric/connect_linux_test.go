package fabric

import (
	"errors"
	"io"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAHeldConnectIsJoinedWithALegAtItsDestination(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, far := range anyFar {
		dest := netip.AddrPortFrom(far, 443)
		fd, done := p.connect(dest)
		h := next(t, f)
		if h.Dest != dest || h.App.Addr() != ownAddr[far] || h.Mark != 0 {
			t.Fatalf("held %v to %v with mark %d, want from %v to %v", h.App, h.Dest, h.Mark, ownAddr[far], dest)
		}
		select {
		case err := <-done:
			t.Fatalf("connect to %v returned %v before its answer", dest, err)
		default:
		}
		leg, err := h.Connect()
		if err != nil {
			t.Fatal(err)
		}
		if err := wait(t, "connect", done); err != nil {
			t.Fatalf("connect to %v: %v", dest, err)
		}
		if local, remote := localOf(t, fd), remoteOf(t, fd); local != h.App || remote != dest {
			t.Errorf("the program is at %v and talks with %v, want %v and %v", local, remote, h.App, dest)
		}
		if leg.LocalAddr().String() != dest.String() || leg.RemoteAddr().String() != h.App.String() {
			t.Errorf("the leg is at %v and talks with %v", leg.LocalAddr(), leg.RemoteAddr())
		}
		talk(t, fd, leg)
		leg.Close()
		unix.Close(fd)
	}
}

func TestRefusalsAreTheKernelsOwnErrors(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, tc := range []struct {
		reason Reason
		want   error
	}{
		{Refused, unix.ECONNREFUSED},
		{HostUnreachable, unix.EHOSTUNREACH},
		{NetUnreachable, unix.ENETUNREACH},
	} {
		for _, far := range anyFar {
			fd, done := p.connect(netip.AddrPortFrom(far, 443))
			if err := next(t, f).Refuse(tc.reason); err != nil {
				t.Fatal(err)
			}
			if err := wait(t, "connect", done); !errors.Is(err, tc.want) {
				t.Errorf("connect to %v, %v: %v, want %v", far, tc.reason, err, tc.want)
			}
			unix.Close(fd)

			fd = p.socket(domainOf(far), unix.SOCK_NONBLOCK)
			if err := unix.Connect(fd, sockaddr(netip.AddrPortFrom(far, 443))); err != unix.EINPROGRESS {
				t.Fatalf("non-blocking connect to %v: %v", far, err)
			}
			if events := poll(t, fd, unix.POLLOUT, 0); events != 0 {
				t.Errorf("poll of a held connect to %v: %#x, want nothing", far, events)
			}
			if err := next(t, f).Refuse(tc.reason); err != nil {
				t.Fatal(err)
			}
			if events := poll(t, fd, unix.POLLOUT, patience); events&unix.POLLERR == 0 {
				t.Errorf("poll of a refused connect to %v: %#x, want POLLERR", far, events)
			}
			if errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || unix.Errno(errno) != tc.want {
				t.Errorf("SO_ERROR of a connect to %v: %v, %v, want %v", far, unix.Errno(errno), err, tc.want)
			}
			unix.Close(fd)
		}
	}
}

// TestWhatAProgramSendsBeforeItsResetIsThereForTheLeg has the program be faster than we are: its connection is over when we look at it.
func TestWhatAProgramSendsBeforeItsResetIsThereForTheLeg(t *testing.T) {
	f := newFabric(t, Config{})
	p := newProgram(t, f)
	for _, sent := range []string{"abc", ""} {
		for _, far := range anyFar {
			dest := netip.AddrPortFrom(far, 443)
			fd, done := p.connect(dest)
			h := next(t, f)
			leg, err := makeLegIn(f, domainOf(far))
			if err == nil {
				err = beginLeg(leg, h.Dest, h.App)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := wait(t, "connect", done); err != nil {
				t.Fatal(err)
			}
			unix.Write(fd, []byte(sent))
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			unix.Close(fd)
			c, err := finishLeg(t.Context(), leg)
			if err != nil {
				t.Fatalf("after %q and a reset: %v", sent, err)
			}
			got, err := io.ReadAll(c)
			if string(got) != sent || !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("the leg reads %q, %v, want %q and ECONNRESET", got, err, sent)
			}
			c.Close()
		}
	}
}

func makeLegIn(f *Fabric, family int) (int, error) {
	return onCrew(f.crew, func() (int, error) { return makeLeg(family) })
}
