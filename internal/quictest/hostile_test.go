package quictest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// randomFrame is a well-formed frame whose fields are likely to matter: small
// numbers, numbers at the limits of small, now and then a huge one.
func randomFrame(r *RawPeer, random *rand.Rand, own []*core.Stream) []byte {
	num := func() uint64 {
		switch random.IntN(12) {
		case 0:
			return wire.MaxVarint - uint64(random.IntN(3))
		case 1:
			return 95 + uint64(random.IntN(10))
		}
		return uint64(random.IntN(8))
	}
	id := r.peerStream(uint64(random.IntN(3)), random.IntN(2) == 0)
	if len(own) > 0 && random.IntN(3) == 0 {
		id = own[random.IntN(len(own))].ID()
	}
	if random.IntN(500) == 0 {
		id = num()
	}
	f := wire.Frame{StreamID: id, Code: num(), FinalSize: num(), Limit: num() & (1<<60 - 1), Sequence: num(), Data: padding(1 + random.IntN(20))}
	f.RetirePriorTo = min(f.Sequence, num())
	f.ConnID = []byte{1, 2, 3, 4, 5, 6, 7, byte(f.Sequence)}
	out, in := id&2 == 0 || id&1 != r.peerStream(0, false)&1, id&2 == 0 || id&1 == r.peerStream(0, false)&1
	switch k := random.IntN(40); {
	case k < 12 && in:
		return stream(id, num()&0x1f, string(padding(random.IntN(30))), random.IntN(12) == 0)
	case k < 15:
		largest := r.sp[App].largest - int64(random.IntN(4))
		if largest < 0 {
			return padding(1)
		}
		return ack(wire.AckRange{Smallest: uint64(max(0, largest-int64(random.IntN(5)))), Largest: uint64(largest)})
	case k == 15 && random.IntN(20) == 0:
		return crypto(num()&0xff, padding(random.IntN(10)))
	default:
		types := []wire.FrameType{wire.FramePing, wire.FrameMaxData, wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni, wire.FrameDataBlocked,
			wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni, wire.FramePathChallenge, wire.FramePathResponse}
		if in {
			types = append(types, wire.FrameResetStream, wire.FrameStreamDataBlocked)
		}
		if out {
			types = append(types, wire.FrameStopSending, wire.FrameMaxStreamData)
		}
		if random.IntN(10) == 0 {
			types = append(types, wire.FrameNewConnectionID, wire.FrameRetireConnectionID)
		}
		f.Type = types[random.IntN(len(types))]
		return encode(f)
	}
}

// appDoes is one random command of the application under test.
func appDoes(r *RawPeer, random *rand.Rand, own []*core.Stream) []*core.Stream {
	now := r.Clock.Now()
	if s, ok := r.Conn.Open(random.IntN(2) == 0); ok && random.IntN(4) == 0 {
		own = append(own, s)
	}
	all := append(append([]*core.Stream(nil), own...), r.Opened...)
	if len(all) == 0 {
		return own
	}
	s := all[random.IntN(len(all))]
	switch k := random.IntN(7); {
	case k == 0 && s.CanSend():
		r.Conn.CloseWrite(s)
	case k == 1 && s.CanSend():
		r.Conn.Reset(s, 1)
	case k == 2 && s.CanReceive():
		r.Conn.Stop(now, s, 1)
	case k < 5 && s.CanReceive():
		r.Conn.Read(now, s, make([]byte, random.IntN(40)))
	case s.CanSend():
		r.Conn.Write(s, padding(random.IntN(200)))
	}
	r.Flush()
	return own
}

func TestRandomFramesEndInAnErrorOrInPeace(t *testing.T) {
	codes := map[core.Code]int{}
	seeds(t, 400, func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 5))
		opts := RawOptions{Config: small, Params: func(p *wire.Params) { p.MaxStreamsBidi, p.MaxStreamsUni, p.MaxData = 2, 2, 300 }}
		var r *RawPeer
		if seed%2 == 0 {
			r = NewRawClient(t, opts).Connect()
		} else {
			r = NewRawServer(t, opts).Connect()
		}
		r.AutoAck = random.IntN(2) == 0
		var own []*core.Stream
		for range 200 {
			if r.Conn.Err() != nil {
				break
			}
			var frames [][]byte
			for range 1 + random.IntN(4) {
				frames = append(frames, randomFrame(r, random, own))
			}
			r.Send(App, frames...)
			own = appDoes(r, random, own)
			r.Advance(time.Duration(random.IntN(60)) * time.Millisecond)
			if st := r.Conn.Stats(); st.InFlight < 0 || st.CongestionWindow < 2*recovery.BaseMTU {
				t.Fatalf("%d bytes in flight, window %d", st.InFlight, st.CongestionWindow)
			}
			if r.Router.Len() > 6 {
				t.Fatalf("the router keeps %d IDs", r.Router.Len())
			}
		}
		var local *core.LocalError
		if errors.As(r.Conn.Err(), &local) {
			codes[core.Code(local.Code)]++
			if core.Code(local.Code) == core.InternalError {
				t.Fatalf("the peer's mistake is called ours: %v", local)
			}
		}
		r.Advance(3 * time.Minute)
		if !r.has(core.EventDrained) || r.Router.Len() != 0 {
			t.Fatalf("not forgotten: %d IDs, %v", r.Router.Len(), r.Conn.Err())
		}
	})
	t.Logf("errors: %v", codes)
}
