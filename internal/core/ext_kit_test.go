package core_test

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// probe is an extension that implements all of package hook, as the host of
// WebAssembly does, and does what a test tells it. What has no function answers
// as if it were not there.
type probe struct {
	info hook.Info
	conn hook.Conn

	attach   func(s *hook.AttachState) error
	detach   func(why hook.DetachReason)
	timer    func(id uint32)
	call     func(op uint32, in []byte) ([]byte, error)
	event    func(payload []byte)
	process  func(f *hook.ReceivedFrame) hook.Verdict
	write    func(t hook.Token, b []byte, p *hook.PacketPlan) int
	fate     func(t hook.Token, f hook.Fate, rtt time.Duration)
	begin    func(p *hook.PacketPlan)
	ride     func(frame uint8, b []byte, p *hook.PacketPlan) int
	sealing  func(p *hook.SentPayload)
	payload  func(p *hook.ReceivedPayload)
	datagram func(d *hook.ReceivedDatagram)
	received func(p *hook.ReceivedPacket)
	sent     func(p *hook.SentPacket)
	acked    func(p *hook.PacketFate)
	lost     func(p *hook.PacketFate)
	rtt      func(path uint8, rtt *hook.RTT)
	state    func(from, to hook.State)
	stream   func(stream uint64, e hook.StreamEvent)
	data     func(stream, offset uint64, n int, fin bool)
	arrived  func(stream, offset uint64, n int, fin bool)
	ackAt    func(s *hook.AckState) hook.Instant
	ask      func(s *hook.SendState) hook.AckRequest
	next     func(s *hook.StreamsReady) int
	replace  func(c hook.CongestionConfig, core hook.Congestion) hook.Congestion

	ends []hook.DetachReason
	seen [hook.NumOps]int // calls
	each func(o hook.Op)  // told of each, before the rest
}

// saw counts a call.
func (p *probe) saw(o hook.Op) {
	p.seen[o]++
	if p.each != nil {
		p.each(o)
	}
}

// newProbe makes an extension with hooks at these operations and all permissions.
func newProbe(id string, ops ...hook.Op) *probe {
	p := &probe{info: hook.Info{ID: id, Version: "1.0.0", Digest: [32]byte{1}, Mode: hook.Negotiated}}
	for _, o := range ops {
		p.info.Hooks = append(p.info.Hooks, hook.HookDecl{Op: o, Anchor: o.Anchor()})
	}
	for _, m := range hook.Permissions() {
		p.info.Permissions |= m
	}
	return p
}

// newFramer makes one with a frame of up to hook.MaxFrameBody bytes that elicits
// acknowledgments, and does nothing but that.
func newFramer(id string, ops ...hook.Op) *probe {
	p := newProbe(id, append(ops, hook.OpFrameProcess, hook.OpFrameWrite, hook.OpFrameFate, hook.OpAppCall)...)
	p.info.Frames = []hook.FrameDecl{{Name: "F", AckEliciting: true, InFlight: true, MaxLen: hook.MaxFrameBody}}
	return p
}

// native makes its hooks those of native code.
func (p *probe) native() *probe { p.info.Digest = [32]byte{}; return p }

func (p *probe) Info() *hook.Info { return &p.info }

func (p *probe) Attach(c hook.Conn, s *hook.AttachState) error {
	p.conn = c
	p.saw(hook.OpAttach)
	if p.attach != nil {
		return p.attach(s)
	}
	return nil
}

func (p *probe) Detach(why hook.DetachReason) {
	p.ends = append(p.ends, why)
	p.saw(hook.OpDetach)
	if p.detach != nil {
		p.detach(why)
	}
}

func (p *probe) Timer(now hook.Instant, id uint32) {
	p.saw(hook.OpTimer)
	if p.timer != nil {
		p.timer(id)
	}
}

func (p *probe) AppCall(op uint32, in, out []byte) ([]byte, error) {
	p.saw(hook.OpAppCall)
	if p.call != nil {
		return p.call(op, in)
	}
	return out, nil
}

func (p *probe) TakeEvent(payload []byte) {
	if p.event != nil {
		p.event(payload)
	}
}

func (p *probe) ProcessFrame(f *hook.ReceivedFrame) hook.Verdict {
	p.saw(hook.OpFrameProcess)
	if p.process != nil {
		return p.process(f)
	}
	return hook.FrameTaken
}

func (p *probe) WriteFrame(t hook.Token, b []byte, plan *hook.PacketPlan) int {
	p.saw(hook.OpFrameWrite)
	if p.write != nil {
		return p.write(t, b, plan)
	}
	return 0
}

func (p *probe) FrameFate(t hook.Token, f hook.Fate, rtt time.Duration) {
	p.saw(hook.OpFrameFate)
	if p.fate != nil {
		p.fate(t, f, rtt)
	}
}

func (p *probe) BeginPacket(plan *hook.PacketPlan) {
	p.saw(hook.OpPacketBegin)
	if p.begin != nil {
		p.begin(plan)
	}
}

func (p *probe) WriteRide(frame uint8, b []byte, plan *hook.PacketPlan) int {
	if p.ride != nil {
		return p.ride(frame, b, plan)
	}
	return 0
}

func (p *probe) SendPayload(e *hook.SentPayload) {
	p.saw(hook.OpSendPayload)
	if p.sealing != nil {
		p.sealing(e)
	}
}

func (p *probe) ReceivePayload(e *hook.ReceivedPayload) {
	p.saw(hook.OpReceivePayload)
	if p.payload != nil {
		p.payload(e)
	}
}

func (p *probe) ReceiveDatagram(e *hook.ReceivedDatagram) {
	p.saw(hook.OpReceiveDatagram)
	if p.datagram != nil {
		p.datagram(e)
	}
}

func (p *probe) ReceiveDone(e *hook.ReceivedPacket) {
	p.saw(hook.OpReceiveDone)
	if p.received != nil {
		p.received(e)
	}
}

func (p *probe) PacketSent(e *hook.SentPacket) {
	p.saw(hook.OpPacketSent)
	if p.sent != nil {
		p.sent(e)
	}
}

func (p *probe) PacketAcked(e *hook.PacketFate) {
	p.saw(hook.OpPacketAcked)
	if p.acked != nil {
		p.acked(e)
	}
}

func (p *probe) PacketLost(e *hook.PacketFate) {
	p.saw(hook.OpPacketLost)
	if p.lost != nil {
		p.lost(e)
	}
}

func (p *probe) RTTSampled(now hook.Instant, path uint8, rtt *hook.RTT, ackDelay time.Duration) {
	p.saw(hook.OpRTTSample)
	if p.rtt != nil {
		p.rtt(path, rtt)
	}
}

func (p *probe) StateChanged(from, to hook.State) {
	p.saw(hook.OpStateChanged)
	if p.state != nil {
		p.state(from, to)
	}
}

func (p *probe) StreamEvent(now hook.Instant, stream uint64, e hook.StreamEvent) {
	p.saw(hook.OpStreamEvent)
	if p.stream != nil {
		p.stream(stream, e)
	}
}

func (p *probe) DataSent(now hook.Instant, stream, offset uint64, n int, fin bool) {
	p.saw(hook.OpDataSent)
	if p.data != nil {
		p.data(stream, offset, n, fin)
	}
}

func (p *probe) DataDelivered(now hook.Instant, stream, offset uint64, n int, fin bool) {
	p.saw(hook.OpDataReceived)
	if p.arrived != nil {
		p.arrived(stream, offset, n, fin)
	}
}

func (p *probe) AckAt(s *hook.AckState) hook.Instant {
	p.saw(hook.OpAckPolicy)
	if p.ackAt != nil {
		return p.ackAt(s)
	}
	return hook.DeferAck
}

func (p *probe) RequestAcks(s *hook.SendState) hook.AckRequest {
	p.saw(hook.OpAckRequest)
	if p.ask != nil {
		return p.ask(s)
	}
	return s.Last
}

func (p *probe) NextStream(s *hook.StreamsReady) int {
	p.saw(hook.OpStreamNext)
	if p.next != nil {
		return p.next(s)
	}
	return hook.Defer
}

func (p *probe) ReplaceCongestion(c hook.CongestionConfig, core hook.Congestion) hook.Congestion {
	p.saw(hook.OpCongestionInit)
	if p.replace != nil {
		return p.replace(c, core)
	}
	return nil
}

// ends are both sides of a connection.
type ends struct {
	*quictest.Pair
	t              *testing.T
	client, server *quictest.Peer
	slots          uint64 // of frame types that were given away
}

// connect makes a connection and confirms it.
func connect(t *testing.T, seed uint64, opts quictest.Options) *ends {
	t.Helper()
	e := &ends{Pair: quictest.NewPair(t, seed, opts), t: t}
	e.client = e.Dial()
	if !e.Run(10*time.Second, func() bool { return e.client.Confirmed && len(e.Server.Conns) > 0 && e.Server.Conns[0].Confirmed }) {
		t.Fatal("no handshake")
	}
	e.server = e.Server.Conns[0]
	e.Run(time.Second, func() bool { return false })
	return e
}

// connected is connect over the plainest of networks.
func connected(t *testing.T) *ends {
	return connect(t, quictest.Seed(t, 1), quictest.Options{})
}

// lossy are options for a path that loses packets in both directions.
func lossy(chance float64) quictest.Options {
	link := netsim.LinkConfig{Delay: 15 * time.Millisecond, Bandwidth: 20e6, QueuePackets: 64, Loss: chance}
	return quictest.Options{ToServer: link, ToClient: link}
}

// attachTo attaches p to one end, with frame types of its own.
func (e *ends) attachTo(c *quictest.Peer, p *probe) {
	e.t.Helper()
	e.attachAs(c, p, e.slots)
	e.slots++
}

// attachAs attaches p as the n-th offer.
func (e *ends) attachAs(c *quictest.Peer, p *probe, n uint64) {
	e.t.Helper()
	if err := c.Attach(c.Now(), p, offered(n)); err != nil {
		e.t.Fatal(err)
	}
	c.Flush()
}

// attachBoth attaches an extension's two halves.
func (e *ends) attachBoth(client, server *probe) {
	e.attachAs(e.client, client, e.slots)
	e.attachAs(e.server, server, e.slots)
	e.slots++
}

// offered are the options of the n-th offer.
func offered(n uint64) core.AttachOptions {
	return core.AttachOptions{Local: 2 * n, TypeBase: uint64(wire.FramePlugin) + n%16*hook.MaxFrames}
}

// do lets p act within a call.
func (e *ends) do(c *quictest.Peer, p *probe, f func(c hook.Conn)) {
	e.t.Helper()
	p.call = func(uint32, []byte) ([]byte, error) {
		f(p.conn)
		return nil, nil
	}
	c.CallExtension(c.Now(), p.info.ID, 0, nil)
	c.Flush()
}

// wait lets time pass.
func (e *ends) wait(d time.Duration) { e.Run(d, func() bool { return false }) }

// fetch moves n bytes from the server to the client and reports whether they came.
func (e *ends) fetch(n int, limit time.Duration) bool {
	e.server.Serve(func([]byte) []byte { return make([]byte, n) })
	f := e.client.Get([]byte("go"))
	return e.Run(limit, func() bool { return f.Done || e.client.Closed || e.server.Closed }) && f.Done && f.Body.Len() == n
}

// wantAlive ends the test if a connection is over.
func (e *ends) wantAlive() {
	e.t.Helper()
	for _, c := range []*quictest.Peer{e.client, e.server} {
		if c.Err() != nil {
			e.t.Fatalf("seed %d: the connection ended: %v", e.Seed, c.Err())
		}
	}
}

// wantDetached ends the test unless p was detached for the reason.
func (e *ends) wantDetached(p *probe, why hook.DetachReason) {
	e.t.Helper()
	if len(p.ends) != 1 || p.ends[0] != why {
		e.t.Fatalf("%s was detached for %v, want once for %v", p.info.ID, p.ends, why)
	}
}

// smallDatagrams keeps datagrams at 1200 bytes.
func smallDatagrams(_ netsim.Side, cfg *core.Config) { cfg.MaxMTU = 1200 }

// upload lets the client write n bytes to a stream at once, and waits a second.
func (e *ends) upload(t *testing.T, n int) {
	t.Helper()
	s, ok := e.client.Open(false)
	if !ok {
		t.Fatal("no stream")
	}
	if _, err := e.client.Write(s, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	e.client.Flush()
	e.Run(time.Second, func() bool { return false })
}
