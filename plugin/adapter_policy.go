package plugin

import (
	"math"
	"time"

	"github.com/seed51309289/quiver/hook"
)

var (
	_ hook.AckPolicy       = (*extension)(nil)
	_ hook.AckRequester    = (*extension)(nil)
	_ hook.StreamScheduler = (*extension)(nil)
)

// AckAt is ack_policy.
func (x *extension) AckAt(s *hook.AckState) hook.Instant {
	b := x.enter(hook.OpAckPolicy, s.Now, 0)
	if b == nil {
		return hook.DeferAck
	}
	in := b[inAt:outAt]
	putHead(in, 32, flag(s.Reordered, 0)|flag(s.CE, 1))
	le.PutUint64(in[8:], uint64(s.Oldest))
	le.PutUint32(in[16:], uint32(s.Eliciting))
	le.PutUint32(in[20:], uint32(s.Threshold))
	le.PutUint64(in[24:], uint64(s.MaxDelay))
	r, ok := x.run(x.fuel)
	if !ok || r == resultDefer {
		return hook.DeferAck
	}
	at := le.Uint64(x.i.block[outAt+8:])
	if at > math.MaxInt64 {
		x.reject("acknowledges at instant %d", at)
		return hook.DeferAck
	}
	return hook.Instant(at)
}

// RequestAcks is ack_request. Without an answer the peer goes on as it does.
func (x *extension) RequestAcks(s *hook.SendState) hook.AckRequest {
	b := x.again(hook.OpAckRequest, 0)
	if b == nil {
		return s.Last
	}
	in := b[inAt:outAt]
	putHead(in, 80, 0)
	le.PutUint64(in[8:], uint64(s.Window))
	le.PutUint64(in[16:], uint64(s.DatagramSize))
	le.PutUint64(in[24:], uint64(s.RTT.Smoothed))
	le.PutUint64(in[32:], uint64(s.RTT.Min))
	le.PutUint32(in[40:], uint32(s.Reordering))
	le.PutUint32(in[44:], 0)
	le.PutUint64(in[48:], uint64(s.MinDelay))
	le.PutUint64(in[56:], uint64(s.MaxDelay))
	le.PutUint32(in[64:], uint32(s.Last.Threshold))
	le.PutUint32(in[68:], uint32(s.Last.Reordering))
	le.PutUint64(in[72:], uint64(s.Last.MaxDelay))
	r, ok := x.run(x.fuel)
	if !ok || r == resultDefer {
		return s.Last
	}
	out := x.i.block[outAt:]
	threshold, reordering, delay := le.Uint32(out[8:]), le.Uint32(out[12:]), le.Uint64(out[16:])
	if threshold == 0 || threshold > math.MaxInt32 || reordering > math.MaxInt32 || delay > uint64(maxAckDelay) {
		x.reject("asks for acknowledgments of %d packets, reordered by %d, after %d ns", threshold, reordering, delay)
		return s.Last
	}
	return hook.AckRequest{Threshold: int(threshold), MaxDelay: time.Duration(delay), Reordering: int(reordering)}
}

// maxAckDelay is the largest delay that a peer can be asked for (RFC 9000 §18.2, max_ack_delay).
const maxAckDelay = 1<<14*time.Millisecond - 1

// Entries of stream_next.
const (
	readyAt   = 16
	readySize = 32
)

// NextStream is stream_next.
func (x *extension) NextStream(s *hook.StreamsReady) int {
	b := x.enter(hook.OpStreamNext, s.Now, 0)
	if b == nil {
		return hook.Defer
	}
	ready := s.Ready[:min(len(s.Ready), hook.MaxReady)]
	le.PutUint32(b[wordArg:], uint32(len(ready)))
	in := b[inAt:outAt]
	putHead(in, uint32(readyAt+readySize*len(ready)), 0)
	le.PutUint32(in[8:], uint32(s.Room))
	le.PutUint32(in[12:], 0)
	for n := range ready {
		e := in[readyAt+readySize*n:][:readySize]
		le.PutUint64(e[0:], ready[n].ID)
		le.PutUint64(e[8:], ready[n].Bytes)
		le.PutUint64(e[16:], ready[n].Sent)
		le.PutUint32(e[24:], flag(ready[n].Fin, 0))
		le.PutUint32(e[28:], 0)
	}
	r, ok := x.run(x.fuel)
	switch {
	case !ok, r == resultDefer:
		return hook.Defer
	case r >= int64(len(ready)):
		x.reject("stream %d of %d", r, len(ready))
		return hook.Defer
	}
	return int(r)
}
