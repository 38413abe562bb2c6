package core_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
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

func wantCode(t *testing.T, err error, code core.Code) {
	t.Helper()
	var local *core.LocalError
	if !errors.As(err, &local) || local.Code != uint64(code) {
		t.Fatalf("got %v, want %v", err, code)
	}
}
