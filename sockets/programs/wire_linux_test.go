package programs

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A wire is what is captured of a place. That of somebody who may not capture is empty.
type wire struct{ tcp, udp *capture }

// watch starts to count what passes on the ports of the place.
func (p *place) watch() (*wire, error) {
	ports := append(p.between(), p.legs()...)
	tcp, err := watch(unix.IPPROTO_TCP, ports...)
	if errors.Is(err, os.ErrPermission) {
		return &wire{}, nil
	}
	if err != nil {
		return nil, err
	}
	udp, err := watch(unix.IPPROTO_UDP, p.udp)
	if err != nil {
		tcp.stop()
		return nil, err
	}
	return &wire{tcp, udp}, nil
}

// between are the TCP ports of the way between the two ends, where QUIC takes it none of TCP may be seen.
func (p *place) between() []int {
	if p.arrangement.client == behind {
		return p.portsOf(p.listen)
	}
	return p.portsOf(p.ports)
}

// legs are the TCP ports between a program and its gateway.
func (p *place) legs() []int {
	switch behind {
	case p.arrangement.client:
		return p.portsOf(p.ports)
	case p.arrangement.server:
		return p.portsOf(p.listen)
	}
	return nil
}

// portsOf returns the ports at which the server listens, by the names of one end.
func (p *place) portsOf(named map[string]int) (list []int) {
	for _, name := range p.program.listening() {
		list = append(list, named[name])
	}
	return list
}

// stop says whether what was to pass over QUIC did, and nothing of it over TCP; and the other way round.
func (w *wire) stop(p *place) error {
	if w.tcp == nil {
		return nil
	}
	segments, _, err := w.tcp.stop()
	datagrams, _, udpErr := w.udp.stop()
	if err := errors.Join(err, udpErr); err != nil {
		return err
	}
	return p.judge(sum(segments, p.between()), sum(segments, p.legs()), datagrams[p.udp])
}

func sum(seen map[int]count, ports []int) (all count) {
	for _, port := range ports {
		all.packets += seen[port].packets
		all.payload += seen[port].payload
	}
	return all
}

// judge says what is wrong with what was seen: TCP between the ends, TCP between a program and its gateway, and the run's QUIC.
func (p *place) judge(between, leg, datagrams count) error {
	a := p.arrangement
	least := max(p.program.moves, 1)
	gateway := a.server == behind || a.client == behind
	switch {
	case a.overQUIC() && between.packets != 0:
		return fmt.Errorf("wire: %d TCP segments with %d bytes passed in the clear, want none", between.packets, between.payload)
	case a.overQUIC() && datagrams.payload < least:
		return fmt.Errorf("wire: %d bytes passed in UDP datagrams, want at least %d", datagrams.payload, least)
	case gateway && leg.payload < least:
		return fmt.Errorf("wire: %d bytes passed between the program and its gateway, want at least %d", leg.payload, least)
	case !a.overQUIC() && between.payload < least:
		return fmt.Errorf("wire: %d bytes passed over TCP, want at least %d", between.payload, least)
	}
	return nil
}

func TestWireIsJudgedByWhatPassed(t *testing.T) {
	none, some, much := count{}, count{10, 500}, count{100, 5000}
	for _, tt := range []struct {
		name                    string
		server, client          end
		between, leg, datagrams count
		want                    bool
	}{
		{"plain TCP", plain, plain, much, none, none, true},
		{"plain TCP, too little", plain, plain, some, none, none, false},
		{"QUIC", inside, outside, none, none, much, true},
		{"QUIC, too little", inside, outside, none, none, some, false},
		{"TCP where QUIC must be", inside, inside, some, none, much, false},
		{"a SYN where QUIC must be", inside, inside, count{1, 0}, none, much, false},
		{"gateway", behind, inside, none, much, much, true},
		{"gateway passed by", inside, behind, none, none, much, false},
		{"fallback", plain, auto, much, none, some, true},
		{"fallback to nothing", auto, plain, none, none, much, false},
	} {
		p := &place{program: &program{moves: 1000}, arrangement: &arrangement{server: tt.server, client: tt.client}}
		if err := p.judge(tt.between, tt.leg, tt.datagrams); (err == nil) != tt.want {
			t.Errorf("%s: %v, want it to pass: %v", tt.name, err, tt.want)
		}
	}
}
