package core_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/netsim"
)

func TestEveryWishNeedsItsPermission(t *testing.T) {
	wishes := []struct {
		p    hook.Permission
		wish func(c hook.Conn) error
	}{
		{hook.MayReserve, func(c hook.Conn) error { _, err := c.Reserve(hook.Reservation{Size: 1}); return err }},
		{hook.MayReserve, func(c hook.Conn) error { return c.Cancel(1) }},
		{hook.MayTimer, func(c hook.Conn) error { return c.SetTimer(1, 1) }},
		{hook.MayTimer, func(c hook.Conn) error { return c.StopTimer(1) }},
		{hook.MayEmit, func(c hook.Conn) error { return c.Emit(1, nil) }},
		{hook.MayCount, func(c hook.Conn) error { return c.Count(1, 1) }},
		{hook.MayLog, func(c hook.Conn) error { return c.Log(nil) }},
		{hook.MayRand, func(c hook.Conn) error { return c.Rand(make([]byte, 8)) }},
		{hook.MayGet, func(c hook.Conn) error { _, err := c.Get(hook.FieldNow, 0); return err }},
		{hook.MayEvent, func(c hook.Conn) error { return c.Event(nil) }},
		{hook.MayRecover, func(c hook.Conn) error { return c.Recovered(0, 1, nil) }},
		{hook.MayRecover, func(c hook.Conn) error { return c.Delivered(0, 1) }},
	}
	e := connected(t)
	allowed := newFramer("org.example.allowed", hook.OpTimer)
	e.attachTo(e.client, allowed)
	for i, w := range wishes {
		p := newFramer("org.example.denied", hook.OpTimer)
		p.info.Permissions &^= w.p
		if err := e.client.Attach(e.client.Now(), p, offered(9)); err != nil {
			t.Fatal(err)
		}
		e.do(e.client, p, func(c hook.Conn) {
			if err := w.wish(c); err != hook.ErrPermission {
				t.Errorf("wish %d without permission %v: %v", i, w.p, err)
			}
		})
		if err := w.wish(p.conn); err != hook.ErrPermission {
			t.Errorf("wish %d outside of a call: %v", i, err)
		}
		e.do(e.client, allowed, func(c hook.Conn) {
			if err := w.wish(c); err == hook.ErrPermission {
				t.Errorf("wish %d is refused in spite of permission %v", i, w.p)
			}
		})
		e.client.Detach(e.client.Now(), p.info.ID, hook.DetachAsked, nil)
	}
}

func TestTimersPassOnceAndAreLimited(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.timers", hook.OpTimer, hook.OpAppCall)
	var passed []uint32
	p.timer = func(id uint32) { passed = append(passed, id) }
	e.attachTo(e.client, p)
	e.do(e.client, p, func(c hook.Conn) {
		now, _ := c.Get(hook.FieldNow, 0)
		for i := range uint32(hook.MaxTimers) {
			if err := c.SetTimer(i, hook.Instant(now).Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.SetTimer(99, hook.Instant(now)); err != hook.ErrLimit {
			t.Errorf("one more than MaxTimers: %v", err)
		}
		c.StopTimer(3)
		c.SetTimer(7, hook.Instant(now)-1) // in the past: after MinTimer
	})
	began := e.Clock.Now()
	e.Run(time.Minute, func() bool { return len(passed) == 1 })
	if took := e.Clock.Now().Sub(began); passed[0] != 7 || took != hook.MinTimer {
		t.Errorf("timer %d passed after %v, want 7 after %v", passed[0], took, hook.MinTimer)
	}
	e.wait(time.Minute)
	if len(passed) != hook.MaxTimers-1 || p.seen[hook.OpTimer] != len(passed) {
		t.Errorf("%d timers passed, want each but the one that was stopped, once", len(passed))
	}
}

func TestATimerThatIsSetAgainForEverEndsEachTick(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.timers", hook.OpTimer)
	p.attach = func(*hook.AttachState) error { return p.conn.SetTimer(1, 0) }
	p.timer = func(id uint32) { p.conn.SetTimer(id, 0) }
	e.attachTo(e.client, p)
	e.wait(100 * time.Millisecond)
	if n := p.seen[hook.OpTimer]; n < 90 || n > 101 {
		t.Errorf("a timer of %v passed %d times in 100 ms", hook.MinTimer, n)
	}
}

func TestNewsReachTheApplicationAndAreLimited(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.news", hook.OpAppCall)
	e.attachTo(e.client, p)
	var news []core.ExtensionNews
	e.client.OnEvent = func(ev core.Event) {
		if ev.Kind == core.EventExtension {
			news = append(news, *ev.Extension)
		}
	}
	flood := func() (taken int) {
		e.do(e.client, p, func(c hook.Conn) {
			payload := []byte("hello")
			for range hook.MaxEmit + 50 {
				if err := c.Emit(7, payload); err == nil {
					taken++
				} else if err != hook.ErrLimit {
					t.Fatal(err)
				}
			}
			payload[0] = 'j'
			if err := c.Emit(7, make([]byte, hook.MaxEmitBytes+1)); err != hook.ErrRange {
				t.Errorf("more than MaxEmitBytes: %v", err)
			}
		})
		return taken
	}
	if n := flood(); n != hook.MaxEmit || len(news) != n {
		t.Errorf("%d news were taken and %d came, want MaxEmit", n, len(news))
	}
	if n := news[0]; n.ID != p.info.ID || n.Event != 7 || string(n.Payload) != "hello" {
		t.Errorf("news %+v", n)
	}
	e.wait(time.Second / 2)
	if n := flood(); n != hook.MaxEmit/2 {
		t.Errorf("%d after half a second, want half of MaxEmit", n)
	}
	if s := e.client.ExtensionStats(nil)[0]; s.Emitted != hook.MaxEmit*3/2 || s.Dropped == 0 {
		t.Errorf("counted %d news and %d dropped", s.Emitted, s.Dropped)
	}
}

func TestNewsThatNobodyTakesAreDropped(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.news", hook.OpAppCall)
	e.attachTo(e.client, p)
	taken := 0
	p.call = func(uint32, []byte) ([]byte, error) {
		for p.conn.Emit(1, nil) == nil {
			taken++
		}
		return nil, nil
	}
	for range 10 { // without a flush: the driver is busy
		e.wait(time.Second)
		e.client.CallExtension(e.client.Now(), p.info.ID, 0, nil)
	}
	if taken != core.MaxExtensionNews { // maxExtensionNews
		t.Errorf("%d news wait, want %d", taken, core.MaxExtensionNews)
	}
}

func TestLogsAndMetricsAreLimited(t *testing.T) {
	var log bytes.Buffer
	seed := quictest.Seed(t, 2)
	e := connect(t, seed, quictest.Options{Config: func(side netsim.Side, cfg *core.Config) {
		if side == netsim.Left {
			cfg.Log = qlog.New(&log, qlog.Header{})
		}
	}})
	p := newProbe("org.example.metrics", hook.OpAppCall)
	p.info.Metrics = []hook.MetricDecl{{ID: 5, Name: "sum", Unit: "packets"}, {ID: 9, Name: "gauge", Gauge: true}}
	e.attachTo(e.client, p)
	e.do(e.client, p, func(c hook.Conn) {
		line, written := bytes.Repeat([]byte("x"), 100), 0
		for c.Log(line) == nil {
			written += len(line)
		}
		if written > hook.MaxLogBytes || written < hook.MaxLogBytes-100 {
			t.Errorf("%d bytes of log in no time, want MaxLogBytes", written)
		}
		for _, n := range []int64{3, 4} {
			c.Count(5, n)
			c.Count(9, n)
		}
		if err := c.Count(6, 1); err != hook.ErrRange {
			t.Errorf("an undeclared metric: %v", err)
		}
	})
	e.client.Detach(e.client.Now(), p.info.ID, hook.DetachAsked, nil)
	m := e.client.ExtensionStats(nil)[0].Metrics
	if len(m) != 2 || m[0] != (hook.Metric{Name: "sum", Unit: "packets", Value: 7}) || m[1].Value != 4 {
		t.Errorf("metrics %+v", m)
	}
	for _, want := range []string{`"name":"plugin:attached"`, `"name":"plugin:log"`, `"name":"plugin:detached"`, `"reason":"application asked"`, `"frames_written":0`} {
		if !bytes.Contains(log.Bytes(), []byte(want)) {
			t.Errorf("the log has no %s", want)
		}
	}
}

func TestFieldsAreThoseOfTheConnection(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.get", hook.OpAppCall)
	e.attachTo(e.client, p)
	e.fetch(100_000, 5e9)
	e.do(e.client, p, func(c hook.Conn) {
		s := e.client.Stats()
		for f, want := range map[hook.Field]uint64{
			hook.FieldSmoothedRTT: uint64(s.SmoothedRTT), hook.FieldMinRTT: uint64(s.MinRTT), hook.FieldLatestRTT: uint64(s.LatestRTT),
			hook.FieldRTTVar: uint64(s.RTTVar), hook.FieldWindow: uint64(s.CongestionWindow), hook.FieldInFlight: uint64(s.InFlight),
			hook.FieldPacingRate: s.PacingRate, hook.FieldDatagramSize: uint64(s.MTU), hook.FieldPacketsSent: s.PacketsSent,
			hook.FieldPacketsLost: s.PacketsLost, hook.FieldBytesSent: s.BytesSent, hook.FieldBytesReceived: s.BytesReceived, hook.FieldSendQueue: 0,
		} {
			if got, err := c.Get(f, 0); err != nil || got != want {
				t.Errorf("field %d = %d, %v, want %d", f, got, err, want)
			}
		}
		for _, bad := range []struct {
			f    hook.Field
			path uint8
		}{{hook.NumFields, 0}, {1 << 20, 0}, {hook.FieldWindow, 3}, {hook.FieldWindow, 255}} {
			if _, err := c.Get(bad.f, bad.path); err != hook.ErrRange {
				t.Errorf("field %d of path %d: %v, want ErrRange", bad.f, bad.path, err)
			}
		}
	})
}

func TestCallsOfTheApplicationAreBounded(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.call", hook.OpAppCall)
	e.attachTo(e.client, p)
	p.call = func(op uint32, in []byte) ([]byte, error) {
		if _, err := e.client.CallExtension(e.client.Now(), p.info.ID, 0, nil); err != core.ErrExtensionBusy {
			t.Errorf("a call within a call: %v", err)
		}
		return append(in, byte(op)), nil
	}
	if got, err := e.client.CallExtension(e.client.Now(), p.info.ID, 'c', []byte("ab")); err != nil || string(got) != "abc" {
		t.Errorf("CallExtension = %q, %v", got, err)
	}
	p.call = func(uint32, []byte) ([]byte, error) { return make([]byte, hook.MaxCallBytes+1), nil }
	if got, err := e.client.CallExtension(e.client.Now(), p.info.ID, 0, nil); err == nil || got != nil {
		t.Errorf("an answer of more than MaxCallBytes: %d bytes, %v", len(got), err)
	}
	e.wantDetached(p, hook.DetachFault)
	if _, err := e.client.CallExtension(e.client.Now(), p.info.ID, 0, nil); err != core.ErrNoExtension {
		t.Errorf("a call of a detached extension: %v", err)
	}
	silent := newProbe("org.example.silent", hook.OpTimer)
	e.attachTo(e.client, silent)
	if _, err := e.client.CallExtension(e.client.Now(), silent.info.ID, 0, nil); err != core.ErrNotCallable {
		t.Errorf("a call of an extension without the hook: %v", err)
	}
	broken := errors.New("broken")
	other := newProbe("org.example.other", hook.OpAppCall)
	other.call = func(uint32, []byte) ([]byte, error) { other.conn.Fault(broken); return []byte("x"), nil }
	e.attachTo(e.client, other)
	if got, err := e.client.CallExtension(e.client.Now(), other.info.ID, 0, nil); err != broken || got != nil {
		t.Errorf("a call that fails = %q, %v", got, err)
	}
	e.wantAlive()
}

func TestMessagesAreTakenByWhoWantsThem(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.events", hook.OpTakeEvent)
	got := ""
	p.event = func(payload []byte) { got += string(payload) }
	e.attachTo(e.client, p)
	if !e.client.TakeExtensionEvent(0, []byte("hi")) || got != "hi" {
		t.Errorf("the extension got %q", got)
	}
	if e.client.TakeExtensionEvent(2, []byte("hi")) {
		t.Error("a message for nobody was taken")
	}
}

func TestFieldsTellOfWhichPacketsNewsCame(t *testing.T) {
	e := connected(t)
	p := newProbe("org.example.news", hook.OpAppCall, hook.OpPacketSent, hook.OpPacketAcked)
	acked, oldest := uint64(0), uint64(0)
	waiting := map[uint64]bool{}
	last := uint64(0)
	p.sent = func(s *hook.SentPacket) {
		last = s.Packet
		if s.AckEliciting {
			waiting[s.Packet] = true
		}
	}
	p.acked = func(f *hook.PacketFate) { acked++; delete(waiting, f.Packet) }
	e.attachTo(e.client, p)
	var before uint64
	e.do(e.client, p, func(c hook.Conn) { before, _ = c.Get(hook.FieldPacketsAcked, 0) })
	was := acked
	e.upload(t, 50_000)
	e.do(e.client, p, func(c hook.Conn) {
		n, err := c.Get(hook.FieldPacketsAcked, 0)
		if err != nil || n-before != acked-was || acked-was < 30 {
			t.Errorf("%d packets acknowledged since, %v, want %d, 30 at least", n-before, err, acked-was)
		}
		oldest, err = c.Get(hook.FieldOldestPacket, 0)
		if err != nil || len(waiting) > 0 || oldest <= last {
			t.Errorf("oldest packet %d, %v, want more than %d: none waits but %v", oldest, err, last, waiting)
		}
	})
	s, _ := e.client.Open(false)
	e.client.Write(s, make([]byte, 3000))
	e.client.Flush()
	e.do(e.client, p, func(c hook.Conn) {
		now, err := c.Get(hook.FieldOldestPacket, 0)
		if err != nil || !waiting[now] || now < oldest {
			t.Errorf("oldest packet %d, %v, want one of %v", now, err, waiting)
		}
		for pn := range waiting {
			if pn < now {
				t.Errorf("packet %d is older than %d", pn, now)
			}
		}
	})
}
