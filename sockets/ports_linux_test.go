package sockets

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/seed51309289/quiver/sockets/control"
	"golang.org/x/sys/unix"
)

func TestUDPPortsOfARunAreBounded(t *testing.T) {
	p := ports{endpoints: map[uint16]*endpoint{}}
	for i := range maxEndpoints {
		p.endpoints[uint16(1000+i)] = &endpoint{}
	}
	if err := p.openUDP(1); !errors.Is(err, unix.EMFILE) {
		t.Errorf("one port more than %d: %v, want EMFILE", maxEndpoints, err)
	}
	if err := p.openUDP(1000); err != nil {
		t.Errorf("a port that is open: %v", err)
	}
}

func TestListenersThatAreToldAreBounded(t *testing.T) {
	p := ports{known: map[netip.AddrPort]control.Listener{}}
	for i := range maxKnown + 10 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)}), 80)
		p.note(control.Listener{TCP: at, UDP: 8277})
	}
	if len(p.known) != maxKnown {
		t.Errorf("%d listeners known, want %d", len(p.known), maxKnown)
	}
	if udp, ok := p.where(80); !ok || udp != 8277 {
		t.Errorf("port 80 is at %d, %v, want 8277", udp, ok)
	}
	if _, ok := p.where(81); ok {
		t.Error("port 81 is known, and nobody listens")
	}
}
