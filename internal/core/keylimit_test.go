package core_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestKeysAreUpdatedWellBeforeTheirLimit(t *testing.T) {
	p := newPipe(t, 44)
	for i := range uint64(3) {
		p.server.SetSealed(func(limit uint64) uint64 { return limit / 2 })
		for range 3 {
			p.round()
		}
		if got := p.server.Stats().KeyUpdates; got != i+1 {
			t.Fatalf("RFC 9001 §6.6: %d key updates past half the limit, want %d", got, i+1)
		}
		if got := p.client.Stats().KeyUpdates; got != i+1 {
			t.Fatalf("RFC 9001 §6.2: the peer followed %d updates, want %d", got, i+1)
		}
		before := p.datagrams
		p.now = p.now.Add(time.Second) // for the old keys to go
		for range 10 {
			p.round()
		}
		if p.datagrams-before < 100 {
			t.Fatalf("only %d datagrams after the update", p.datagrams-before)
		}
	}
}

func TestKeysAreNeverUsedBeyondTheirLimit(t *testing.T) {
	p := newPipe(t, 44)
	p.server.SetSealed(func(limit uint64) uint64 { return limit / 2 })
	p.round() // an update: another one is not allowed for a while
	p.server.SetSealed(func(limit uint64) uint64 { return limit - 1 })
	p.server.Write(p.out, p.buf)
	sent := 0
	for p.server.Transmit(p.now, &p.batch) {
		sent += (len(p.batch.Buf) + p.batch.Segment - 1) / p.batch.Segment
	}
	wantCode(t, p.server.Err(), core.AEADLimitReached)
	if sent > 1 {
		t.Errorf("RFC 9001 §6.6: %d packets left where one was allowed", sent)
	}
}

func TestForgeriesAreLimited(t *testing.T) {
	p := newPipe(t, 44)
	p.server.Write(p.out, p.buf)
	if !p.server.Transmit(p.now, &p.batch) {
		t.Fatal("nothing to forge")
	}
	forged := p.batch.Buf[:p.batch.Segment]
	forged[len(forged)-1] ^= 1
	for _, back := range []uint64{2, 1} {
		p.client.SetForged(func(limit uint64) uint64 { return limit - back })
		p.client.Receive(p.now, &core.Datagram{Data: append([]byte(nil), forged...), Remote: serverAddr})
		if back == 2 && p.client.Err() != nil {
			t.Fatalf("one forgery below the limit: %v", p.client.Err())
		}
	}
	wantCode(t, p.client.Err(), core.AEADLimitReached)
}

// TestForgedDuplicateCostsAsMuchAsAnyForgery finds it in the integrity limit,
// which counts what was tried: a number that is known must not show in the time
// that a forged packet takes.
func TestForgedDuplicateCostsAsMuchAsAnyForgery(t *testing.T) {
	p := newPipe(t, 44)
	p.server.Write(p.out, p.buf)
	if !p.server.Transmit(p.now, &p.batch) {
		t.Fatal("nothing to forge")
	}
	packet := p.batch.Buf[:p.batch.Segment]
	receive := func() {
		p.client.Receive(p.now, &core.Datagram{Data: append([]byte(nil), packet...), Remote: serverAddr})
	}
	p.client.SetForged(func(limit uint64) uint64 { return limit - 1 })
	receive()
	receive() // a true duplicate is no forgery
	if err := p.client.Err(); err != nil {
		t.Fatalf("after a duplicate: %v", err)
	}
	packet[len(packet)-1] ^= 1
	receive()
	wantCode(t, p.client.Err(), core.AEADLimitReached)
}

func TestConnectionEndsInSilenceWithItsPacketNumbers(t *testing.T) {
	p := newPipe(t, 44)
	const left = 10
	p.server.SetLastNumber(left)
	p.server.Write(p.out, p.buf)
	sent := 0
	for range 3 {
		for p.server.Transmit(p.now, &p.batch) {
			sent += (len(p.batch.Buf) + p.batch.Segment - 1) / p.batch.Segment
		}
		p.now = p.now.Add(time.Second)
		p.server.Tick(p.now)
	}
	wantCode(t, p.server.Err(), core.InternalError)
	if sent < left-2 || sent > left {
		t.Errorf("RFC 9000 §12.3: %d packets left with %d numbers", sent, left)
	}
}

// phaseForger is a packet of the server whose key phase bit is flipped, and a
// client that gets it again and again.
func phaseForger(t testing.TB) (p *pipe, forge func()) {
	p = newPipe(t, 1)
	p.server.Write(p.out, p.buf)
	if !p.server.Transmit(p.now, &p.batch) {
		t.Fatal("nothing to forge")
	}
	packet := append([]byte(nil), p.batch.Buf...)
	packet[0] ^= wire.ShortKeyPhase // header protection is a XOR
	d := core.Datagram{Data: make([]byte, len(packet)), Remote: serverAddr}
	return p, func() {
		copy(d.Data, packet)
		p.client.Receive(p.now, &d)
	}
}

func TestForgedKeyPhaseCostsNoKeys(t *testing.T) {
	p, forge := phaseForger(t)
	if avg := testing.AllocsPerRun(1000, forge); avg != 0 {
		t.Errorf("RFC 9001 §9.5: a forged key phase allocates %v times, want 0", avg)
	}
	if !p.server.UpdateKeys(p.now) {
		t.Fatal("no key update")
	}
	p.round()
	if got := p.client.Stats().KeyUpdates; got != 1 || p.client.Err() != nil {
		t.Fatalf("%d key updates after the forgeries, want 1; %v", got, p.client.Err())
	}
	// While the old keys are kept, they are tried, too.
	forge()
	if avg := testing.AllocsPerRun(1000, forge); avg != 0 {
		t.Errorf("in an update: a forged key phase allocates %v times, want 0", avg)
	}
	if got := p.client.Stats().KeyUpdates; got != 1 || p.client.Err() != nil {
		t.Errorf("%d key updates after the forgeries, want 1; %v", got, p.client.Err())
	}
}

func BenchmarkForgedKeyPhase(b *testing.B) {
	_, forge := phaseForger(b)
	b.ReportAllocs()
	for b.Loop() {
		forge()
	}
}

func wantCode(t *testing.T, err error, code core.Code) {
	t.Helper()
	var local *core.LocalError
	if !errors.As(err, &local) || local.Code != uint64(code) {
		t.Fatalf("got %v, want %v", err, code)
	}
}
