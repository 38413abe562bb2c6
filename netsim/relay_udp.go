package netsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// RunUDP relays between clients that send to cfg.Listen and the server at cfg.Target through the scenario, in
// real time, until ctx ends; then the error is nil. Each address from which the server sees the client,
// after the scenario's NAT, is a socket of its own. The traces show the addresses of the test network: the
// client as ClientV4 (ClientV6) with its real port, the server as ServerV4 (ServerV6), port 443.
//
// One goroutine per socket reads; one, with a thread of its own, writes what falls due.
func RunUDP(ctx context.Context, cfg UDPConfig) (st Stats, err error) {
	c, err := newCarrier(cfg.Scenario, cfg.Seed, cfg.Log, [2]string{cfg.LeftTrace, cfg.RightTrace})
	if err != nil {
		return Stats{}, err
	}
	r := &udpRelay{carrier: c, target: cfg.Target, clients: make(map[netip.AddrPort]netip.AddrPort),
		inside: make(map[netip.AddrPort]netip.AddrPort), flows: make(map[netip.AddrPort]*udpFlow)}
	defer func() { err = errors.Join(err, c.close()) }()
	if r.alarm, err = newAlarm(); err != nil {
		return Stats{}, fmt.Errorf("netsim: alarm: %w", err)
	}
	defer r.alarm.close()
	if err := r.listen(cfg.Listen); err != nil {
		return Stats{}, err
	}
	r.sim.Start(time.Now())
	r.readers.Go(r.readClients)
	if cfg.Ready != nil {
		cfg.Ready(r.front.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	defer context.AfterFunc(ctx, r.alarm.ring)()
	r.deliver(ctx)
	r.shut()
	return r.stats(), nil
}

// udpRelay is one run of RunUDP.
type udpRelay struct {
	front       *net.UDPConn // to the clients
	target      netip.AddrPort
	v6          bool       // family of the client-facing socket and so of the addresses in the traces
	own, server netip.Addr // of client and server in the traces
	eth         [2]wires   // headers in the traces, by side
	alarm       *alarm
	readers     sync.WaitGroup

	mu       sync.Mutex                        // guards all below; not held while reading or writing a socket
	*carrier                                   // packets, traces, counters
	clients  map[netip.AddrPort]netip.AddrPort // real address to the one in the test network
	inside   map[netip.AddrPort]netip.AddrPort // and back
	flows    map[netip.AddrPort]*udpFlow       // by the address from which the server sees the client
	wakeAt   time.Time                         // when the deliverer wakes by itself
	nextPort uint16                            // to try for a client whose own is taken
	closed   bool
}

// udpFlow is a socket towards the server.
type udpFlow struct {
	conn *net.UDPConn
	as   netip.AddrPort // the client in the test network, outside of the NAT
}

const (
	maxClients    = 4096 // client addresses; packets of more are refused
	maxFlows      = 4096 // sockets towards the server; rebindings add some
	socketBuffer  = 4 << 20
	maxDatagram   = 65535
	deliverAtOnce = 64 // packets written between two looks at the clock
)

// listen opens the client-facing socket.
func (r *udpRelay) listen(at netip.AddrPort) (err error) {
	if r.front, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err != nil {
		return fmt.Errorf("netsim: relay: %w", err)
	}
	tune(r.front)
	r.v6 = at.Addr().Is6() && !at.Addr().Is4In6()
	r.own, r.server = ClientV4, ServerV4
	if r.v6 {
		r.own, r.server = ClientV6, ServerV6
	}
	r.eth = [2]wires{Left: newWires(clientMAC, routerMAC, r.v6), Right: newWires(serverMAC, routerMAC, r.v6)}
	r.logf("relay from %s to %s", r.front.LocalAddr(), r.target)
	return nil
}

func tune(c *net.UDPConn) {
	c.SetReadBuffer(socketBuffer)
	c.SetWriteBuffer(socketBuffer)
	wantECN(c)
}

// readClients takes datagrams from the clients until the socket is closed.
func (r *udpRelay) readClients() {
	readAll(r.front, func(payload []byte, ecn uint8, from netip.AddrPort) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if src, ok := r.clientFor(from); ok {
			r.take(Left, src, netip.AddrPortFrom(r.server, ServerPort), ecn, payload)
			return
		}
		r.extra.Refused++
	})
}

// readServer takes datagrams from the server to one flow until its socket is closed.
func (r *udpRelay) readServer(f *udpFlow) {
	readAll(f.conn, func(payload []byte, ecn uint8, _ netip.AddrPort) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.take(Right, netip.AddrPortFrom(r.server, ServerPort), f.as, ecn, payload)
	})
}

// readAll calls handle for each datagram that c receives until c is closed. Errors that ICMP brought (nobody
// listens yet) belong to single datagrams and are passed over.
func readAll(c *net.UDPConn, handle func(payload []byte, ecn uint8, from netip.AddrPort)) {
	buf, oob := make([]byte, maxDatagram), make([]byte, ecnSpace)
	for {
		n, oobn, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // whatever it is must not keep a processor busy
			continue
		}
		handle(buf[:n], readECN(oob[:oobn]), from)
	}
}

// take puts one datagram on the link, as an IP packet of the test network.
func (r *udpRelay) take(side Side, src, dst netip.AddrPort, ecn uint8, payload []byte) {
	if r.closed {
		return
	}
	b := AppendUDP(r.buffer(len(payload)+ipv6HeaderLen+udpHeaderLen), src, dst, ecn, defaultTTL, payload)
	p, err := ParseIP(b)
	if err != nil {
		return // longer than an IP packet can be
	}
	r.enter(time.Now(), side, r.eth[side].in, p)
	if next, ok := r.sim.Next(); ok && next.Before(r.wakeAt) {
		r.alarm.ring()
	}
}

// clientFor returns the address that a client has in the test network: its own port, if that is free.
func (r *udpRelay) clientFor(real netip.AddrPort) (netip.AddrPort, bool) {
	if a, ok := r.clients[real]; ok {
		return a, true
	}
	if len(r.clients) >= maxClients {
		return netip.AddrPort{}, false
	}
	a := netip.AddrPortFrom(r.own, real.Port())
	for _, taken := r.inside[a]; taken; _, taken = r.inside[a] { // ends: maxClients is less than there are ports
		r.nextPort = max(r.nextPort+1, 1024)
		a = netip.AddrPortFrom(r.own, r.nextPort)
	}
	r.clients[real], r.inside[a] = a, real
	return a, true
}

// flowFor returns the socket from which the server hears the client that it knows as as.
func (r *udpRelay) flowFor(as netip.AddrPort) *udpFlow {
	if f, ok := r.flows[as]; ok {
		return f
	}
	if len(r.flows) >= maxFlows || r.closed {
		r.extra.Refused++
		return nil
	}
	conn, err := r.dial(as.Addr())
	if err != nil {
		r.logf("no socket for %s: %v", as, err)
		r.extra.Refused++
		return nil
	}
	f := &udpFlow{conn, as}
	r.flows[as] = f
	r.readers.Go(func() { r.readServer(f) })
	return f
}

// dial opens a socket to the server. On an IPv4 loopback a client with another address than the usual gets
// another address here, too, 127.0.0.N, where the system has these.
func (r *udpRelay) dial(as netip.Addr) (*net.UDPConn, error) {
	var local *net.UDPAddr
	if target := r.target.Addr(); as != r.own && as.Is4() && target.Is4() && target.IsLoopback() {
		local = &net.UDPAddr{IP: net.IPv4(127, 0, 0, as.As4()[3])}
	}
	target := net.UDPAddrFromAddrPort(r.target)
	conn, err := net.DialUDP("udp", local, target)
	if err != nil && local != nil {
		conn, err = net.DialUDP("udp", nil, target)
	}
	if err != nil {
		return nil, err
	}
	tune(conn)
	return conn, nil
}

// parcel is a packet that has arrived and is on its way to a socket.
type parcel struct {
	conn *net.UDPConn
	to   netip.AddrPort // invalid for a connected socket
	p    Packet
}

// deliver writes what falls due, at the time when it does, until ctx ends.
func (r *udpRelay) deliver(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer sharpen()()
	var due []parcel
	oob := make([]byte, 0, ecnSpace)
	for ctx.Err() == nil {
		var wait time.Duration
		due, wait = r.collect(due)
		for _, d := range due {
			oob = appendECN(oob[:0], d.p.ECN, d.conn.LocalAddr().(*net.UDPAddr).IP.To4() == nil)
			if _, _, err := d.conn.WriteMsgUDPAddrPort(d.p.UDPPayload(), oob, d.to); err != nil {
				r.mu.Lock()
				r.extra.WriteErrors++
				r.mu.Unlock()
			}
		}
		if len(due) == 0 {
			r.alarm.sleep(wait)
		}
	}
}

// collect returns the packets that are due, in the slice done, whose own packets it takes back; and how long
// to sleep if there is none.
func (r *udpRelay) collect(done []parcel) (due []parcel, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range done {
		r.recycle(d.p.Data)
	}
	due = done[:0]
	now := time.Now()
	r.tick(now)
	for len(due) < deliverAtOnce {
		to, p, ok := r.sim.Pop(now)
		if !ok {
			break
		}
		r.traces[to].Write(now, r.eth[to].out, p.Data)
		if d, ok := r.address(to, p); ok {
			due = append(due, d)
		}
	}
	r.wakeAt = now.Add(flushEvery)
	if next, ok := r.sim.Next(); ok && next.Before(r.wakeAt) {
		r.wakeAt = next
	}
	return due, r.wakeAt.Sub(now)
}

// address finds the socket for a packet that has arrived at side to.
func (r *udpRelay) address(to Side, p Packet) (parcel, bool) {
	if to == Left {
		real, ok := r.inside[p.Dst]
		if !ok {
			r.extra.Unresolved++
		}
		return parcel{r.front, real, p}, ok
	}
	f := r.flowFor(p.Src)
	if f == nil {
		return parcel{}, false
	}
	return parcel{conn: f.conn, p: p}, true
}

// shut closes all sockets and waits for their readers.
func (r *udpRelay) shut() {
	r.mu.Lock()
	r.closed = true
	r.front.Close()
	for _, f := range r.flows {
		f.conn.Close()
	}
	r.mu.Unlock()
	r.readers.Wait()
}
