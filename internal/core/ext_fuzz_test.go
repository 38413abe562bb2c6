package core_test

import (
	"math"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/quictest"
)

// script is an extension of which bytes say what it wants and answers.
type script struct {
	ops  []byte
	used int
}

func (s *script) byte() byte {
	if len(s.ops) == 0 {
		return 0
	}
	b := s.ops[s.used%len(s.ops)]
	s.used++
	return b
}

// number is small mostly, and sometimes out of any range.
func (s *script) number() int {
	b := s.byte()
	switch {
	case b < 200:
		return int(b)
	case b < 230:
		return -int(b)
	case b < 240:
		return int(b)<<8 | int(s.byte())
	case b < 250:
		return math.MaxInt - int(b)
	}
	return math.MinInt + int(b)
}

// wish asks a connection for something.
func (s *script) wish(c hook.Conn) {
	if s.used > 4000 {
		return
	}
	switch s.byte() % 16 {
	case 0, 1, 2:
		c.Reserve(hook.Reservation{Frame: s.byte() % 5, Size: s.number(), Urgent: s.byte()%2 == 0, Wait: s.byte()%2 == 0})
	case 3:
		c.Cancel(hook.Token(s.number()))
	case 4:
		now, _ := c.Get(hook.FieldNow, 0)
		c.SetTimer(uint32(s.byte()%20), hook.Instant(now)+hook.Instant(s.number())<<24)
	case 5:
		c.StopTimer(uint32(s.byte()))
	case 6:
		c.Emit(1, make([]byte, min(max(s.number(), 0), 5000)))
	case 7:
		c.Count(uint32(s.byte()%3), int64(s.number()))
	case 8:
		c.Log([]byte{s.byte()})
	case 9:
		c.Event([]byte{s.byte()})
	case 10, 11:
		c.Get(hook.Field(s.byte()%16), s.byte()%10)
	case 12, 13:
		payload := make([]byte, s.byte())
		for i := range payload {
			payload[i] = s.byte()
		}
		c.Recovered(s.byte()%2, uint64(s.number()), payload)
	case 14:
		c.Delivered(0, uint64(s.number()))
	case 15:
		if s.byte() < 2 {
			c.Fault(errBroken)
		}
	}
}

// newScript makes an extension of it.
func newScript(ops []byte) *probe {
	s := &script{ops: ops}
	p := newBusy("org.example.script")
	p.timer = func(id uint32) { // not each millisecond, for hours
		now, _ := p.conn.Get(hook.FieldNow, 0)
		p.conn.SetTimer(id, hook.Instant(now).Add(time.Second))
	}
	p.info.Metrics = []hook.MetricDecl{{ID: 1}, {ID: 2, Gauge: true}}
	p.each = func(o hook.Op) {
		if o != hook.OpCongestionAck {
			s.wish(p.conn)
		}
	}
	p.write = func(_ hook.Token, b []byte, _ *hook.PacketPlan) int {
		if s.byte() < 250 {
			return s.number() % (len(b) + 1)
		}
		return s.number()
	}
	p.begin = func(plan *hook.PacketPlan) {
		plan.Reserve, plan.Ride = int(s.byte())%(hook.MaxReserve+1), int(s.byte()%2)*2-1
		if s.byte() > 250 {
			plan.Reserve, plan.Ride = s.number(), s.number()
		}
	}
	p.next = func(r *hook.StreamsReady) int { return int(s.byte())%(len(r.Ready)+1) - 1 }
	p.ackAt = func(a *hook.AckState) hook.Instant { return a.Now + hook.Instant(s.number()) }
	p.ask = func(*hook.SendState) hook.AckRequest {
		return hook.AckRequest{Threshold: s.number(), MaxDelay: time.Duration(s.number()), Reordering: s.number()}
	}
	p.process = func(*hook.ReceivedFrame) hook.Verdict { return hook.Verdict(s.byte() % 200 / 66) }
	p.replace = func(_ hook.CongestionConfig, core hook.Congestion) hook.Congestion {
		return &controller{Congestion: core, name: "theirs", window: s.number, rate: func() uint64 { return uint64(s.number()) }}
	}
	return p
}

// FuzzExtension attaches an extension that wants and answers anything to both ends
// of a connection. Whatever it does, neither end accuses the other, what is written
// arrives unless the extension recovered or delivered lies, and limits hold.
func FuzzExtension(f *testing.F) {
	f.Add([]byte{0}, false)
	f.Add([]byte{0xf0}, true) // asks for endless reordering
	f.Add([]byte("\x00\x01\x40\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"), true)
	f.Add([]byte("reservations, timers and windows, all of them wild: \xff\xfe\xfb\xf0\xe8\xd0"), true)
	f.Add([]byte("\xe7\x10\xe8\x00\xf9\xfa\xfb\xfc\xfd\xfe\xff\x0e\x0e\x0e"), false)
	f.Fuzz(func(t *testing.T, ops []byte, lies bool) {
		if len(ops) > 2000 {
			return
		}
		e := connect(t, 50, lossy(0.01))
		client, server := newScript(ops), newScript(ops)
		for _, p := range []*probe{client, server} {
			if !lies {
				p.info.Permissions &^= hook.MayRecover
			}
		}
		for c, p := range map[*quictest.Peer]*probe{e.client: client, e.server: server} {
			if err := c.Attach(c.Now(), p, offered(0)); err == nil {
				c.Flush()
			}
		}
		ok := e.fetch(20_000, 20*time.Minute)
		if lies { // trusted as the peer is: it may spoil what comes, but nothing else
			return
		}
		if !ok {
			t.Fatalf("nothing came; the ends have %v and %v", e.client.Err(), e.server.Err())
		}
		e.wantAlive()
		for _, p := range []*probe{client, server} {
			if len(p.ends) > 1 {
				t.Fatalf("detached for %v", p.ends)
			}
		}
		for _, s := range append(e.client.ExtensionStats(nil), e.server.ExtensionStats(nil)...) {
			if s.FramesWritten > 0 && s.FramesAcked+s.FramesLost > s.FramesWritten || s.FramesIgnored > s.FramesReceived {
				t.Fatalf("%+v", s)
			}
		}
	})
}
