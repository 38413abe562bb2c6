package netsim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// RunVeth relays between two interfaces in real time until ctx ends; then the error is nil. It opens packet
// sockets (CAP_NET_RAW) in the network namespace of the calling thread, which the caller has locked to its
// goroutine; the loop runs in the caller's goroutine and needs no other. Packets are carried from the start;
// the time of the scenario starts, and Ready is called, when all four endpoint addresses have answered ARP or
// neighbour discovery, so both links work, or after a second and a half.
//
// It carries every IP packet that an endpoint sends to the interface's Ethernet address and that is addressed to
// the network of the other side, whatever its protocol. Packets to the simulator's own addresses (193.167.0.2 and
// so on) are left to the kernel, and so are ARP and neighbour discovery for those of them that the interface
// has; the relay answers for the others itself. The kernel must not forward between the two interfaces, which
// is the default in a new namespace. Offloads of the endpoints may stay as they are: super-packets are split
// and partial checksums completed before a packet enters the queue.
func RunVeth(ctx context.Context, cfg RelayConfig) (st Stats, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := newCarrier(cfg.Scenario, cfg.Seed, cfg.Log, [2]string{cfg.LeftTrace, cfg.RightTrace})
	if err != nil {
		return Stats{}, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	r := &vethRelay{carrier: c}
	defer r.close()
	if err := r.open(cfg); err != nil {
		return Stats{}, err
	}
	defer sharpen()()
	defer context.AfterFunc(ctx, r.alarm.ring)()
	r.run(ctx, cfg.Ready)
	return r.stats(), nil
}

// vethRelay is one run of RunVeth.
type vethRelay struct {
	*carrier
	ports  [2]*port
	alarm  *alarm
	opened time.Time
	asked  time.Time // when unknown neighbours were last asked for
	asks   int       // how often they were
	ticks  time.Time // when the last housekeeping was
	begun  bool      // the caller knows that packets are carried
}

const (
	readAtOnce = 64                    // frames of one side between two looks at the other and the clock
	askEvery   = 50 * time.Millisecond // until a neighbour has answered
	maxAsks    = 60                    // later only when there is a packet for it
	patience   = 1500 * time.Millisecond
)

func (r *vethRelay) open(cfg RelayConfig) (err error) {
	if r.ports[Left], err = openPort(Left, cfg.Left, cfg.LeftMAC); err != nil {
		return err
	}
	if r.ports[Right], err = openPort(Right, cfg.Right, cfg.RightMAC); err != nil {
		return err
	}
	if r.alarm, err = newAlarm(); err != nil {
		return fmt.Errorf("netsim: alarm: %w", err)
	}
	return nil
}

func (r *vethRelay) close() {
	for _, p := range r.ports {
		if p != nil {
			p.close()
		}
	}
	if r.alarm != nil {
		r.alarm.close()
	}
}

func (r *vethRelay) run(ctx context.Context, ready func()) {
	start := time.Now()
	r.opened = start
	r.ask(start)
	fds := [3]unix.PollFd{{Fd: int32(r.alarm.fd), Events: unix.POLLIN}}
	for i, p := range r.ports {
		fds[1+i] = unix.PollFd{Fd: int32(p.fd), Events: unix.POLLIN}
	}
	for ctx.Err() == nil {
		r.alarm.poll(fds[:], r.untilNext())
		r.deliver()
		for i, p := range r.ports {
			if fds[1+i].Revents != 0 {
				r.receive(p)
			}
		}
		now := time.Now()
		if !r.begun && (r.allAnswered() || now.Sub(r.opened) > patience) {
			r.begin(now, ready)
		}
		r.housekeep(now)
	}
	r.countMissed()
	r.extra.Unresolved += len(r.ports[Left].held) + len(r.ports[Right].held)
}

// begin starts the time of the scenario.
func (r *vethRelay) begin(now time.Time, ready func()) {
	r.begun = true
	r.sim.Start(now)
	r.logf("relay between %s and %s after %v, all endpoints have answered: %v", r.ports[Left].name, r.ports[Right].name,
		now.Sub(r.opened).Round(time.Microsecond), r.allAnswered())
	if ready != nil {
		ready()
	}
}

// untilNext returns how long to wait for frames.
func (r *vethRelay) untilNext() time.Duration {
	if !r.begun && r.allAnswered() {
		return 0
	}
	wait := flushEvery
	if r.wantsAsk() {
		wait = askEvery
	}
	if next, ok := r.sim.Next(); ok {
		wait = min(wait, time.Until(next))
	}
	return wait
}

// housekeep does what has to be done now and then.
func (r *vethRelay) housekeep(now time.Time) {
	r.tick(now)
	if r.wantsAsk() && now.Sub(r.asked) >= askEvery {
		r.ask(now)
	}
	if now.Sub(r.ticks) >= flushEvery {
		r.ticks = now
		r.countMissed()
	}
}

func (r *vethRelay) countMissed() { r.extra.Missed += r.ports[Left].missed() + r.ports[Right].missed() }

// deliver writes the packets that are due.
func (r *vethRelay) deliver() {
	for {
		now := time.Now()
		to, p, ok := r.sim.Pop(now)
		if !ok {
			return
		}
		r.leave(now, to, p)
	}
}

// leave writes a packet to its endpoint, or holds it until the endpoint has answered.
func (r *vethRelay) leave(now time.Time, to Side, p Packet) {
	port := r.ports[to]
	mac, known := port.macOf(p.Dst.Addr())
	if !known && len(port.held) < maxHeld {
		port.held = append(port.held, p)
		r.write(now, port, appendQuestion(nil, port.mac, port.gatewayFor(p.Dst.Addr()), p.Dst.Addr()), nil)
		return
	}
	if known {
		var header [etherHeaderLen]byte
		r.write(now, port, appendEther(header[:0], mac, port.mac, etherKind(p.Data)), p.Data)
	} else {
		r.extra.Unresolved++
	}
	r.recycle(p.Data)
}

// write sends a frame and records it.
func (r *vethRelay) write(now time.Time, p *port, header, body []byte) {
	r.traces[p.side].Write(now, header, body)
	if err := p.write(header, body); err != nil {
		r.extra.WriteErrors++
	}
}

// receive reads what waits at a port.
func (r *vethRelay) receive(p *port) {
	for range readAtOnce {
		h, frame, ok := p.read()
		if !ok {
			return
		}
		if len(frame) > 0 {
			r.frame(time.Now(), p, h, frame)
		}
	}
}

// frame takes one frame of an endpoint: packets to the other side enter the link, all else is only recorded.
func (r *vethRelay) frame(now time.Time, p *port, h vnetHeader, frame []byte) {
	if said, ok := parseHello(frame); ok {
		r.traces[p.side].Write(now, frame, nil)
		r.heard(now, p, said)
		return
	}
	kind := binary.BigEndian.Uint16(frame[12:])
	if kind != etherIPv4 && kind != etherIPv6 {
		r.traces[p.side].Write(now, frame, nil)
		return
	}
	across := hardwareAddr(frame[:6]) == p.mac
	err := h.split(frame, func(ip []byte) {
		q, err := ParseIP(append(r.buffer(len(ip)), ip...))
		if err != nil {
			return
		}
		r.met(now, p, q.Src.Addr(), hardwareAddr(frame[6:12]))
		if across && networks[p.side.Other()].contains(q.Dst.Addr()) {
			r.enter(now, p.side, frame[:etherHeaderLen], q)
			return
		}
		if !toGateway(&q) {
			r.traces[p.side].Write(now, frame[:etherHeaderLen], q.Data)
		}
		r.recycle(q.Data)
	})
	if err != nil {
		r.traces[p.side].Write(now, frame, nil)
	}
}

// heard learns from an ARP or neighbour message and answers it if it asks for the simulator and the kernel
// does not.
func (r *vethRelay) heard(now time.Time, p *port, said hello) {
	r.met(now, p, said.from, said.mac)
	if !said.asks {
		return
	}
	for i, gateway := range networks[p.side].gateways {
		if said.target == gateway && !p.deaf[i] {
			r.write(now, p, appendAnswer(nil, p.mac, said), nil)
		}
	}
}

// met learns where an address is, and sends what waited for it.
func (r *vethRelay) met(now time.Time, p *port, a netip.Addr, mac hardwareAddr) {
	if !p.learn(a, mac) {
		return
	}
	held := p.held
	p.held = nil
	for _, q := range held {
		r.leave(now, p.side, q)
	}
}

// ask sends a question for each endpoint that has not been heard of yet.
func (r *vethRelay) ask(now time.Time) {
	r.asked = now
	r.asks++
	for _, p := range r.ports {
		for i, host := range networks[p.side].hosts {
			if _, answered := p.near[host]; !answered {
				r.write(now, p, appendQuestion(nil, p.mac, networks[p.side].gateways[i], host), nil)
			}
		}
	}
}

// wantsAsk reports whether an endpoint is still silent, and it makes sense to ask again.
func (r *vethRelay) wantsAsk() bool { return r.asks < maxAsks && !r.allAnswered() }

// allAnswered reports whether all endpoints of the test network have been heard of. That they have an Ethernet
// address by configuration says nothing about their links.
func (r *vethRelay) allAnswered() bool {
	for _, p := range r.ports {
		for _, host := range networks[p.side].hosts {
			if _, answered := p.near[host]; !answered {
				return false
			}
		}
	}
	return true
}

// gatewayFor returns the simulator's address that a neighbour with address a knows.
func (p *port) gatewayFor(a netip.Addr) netip.Addr {
	if a.Is4() {
		return networks[p.side].gateways[0]
	}
	return networks[p.side].gateways[1]
}
