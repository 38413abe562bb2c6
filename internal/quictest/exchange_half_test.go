package quictest

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// half is one end's half of a plugin: as soon as it may it sends frames to the
// other half, one every few milliseconds, and it counts those that come.
type half struct {
	id     string
	frames int // types of frames
	mode   hook.Mode
	fails  bool // Attach does

	conn   hook.Conn
	config string
	server bool
	sent   uint64
	got    []uint64 // what is in the frames that came; bounded by the test
	events []string
	ended  []hook.DetachReason
	broken error // to tell Fault of
}

var errBroken = errors.New("it is broken")

func newHalf(o hook.Offer) *half { return &half{id: o.ID, frames: o.Frames, mode: o.Mode} }

func (h *half) Info() *hook.Info {
	i := &hook.Info{ID: h.id, Version: "1.2.3", Mode: h.mode, Permissions: hook.MayReserve | hook.MayTimer | hook.MayEvent, Digest: [32]byte{1}}
	for _, op := range []hook.Op{hook.OpTimer, hook.OpTakeEvent} {
		i.Hooks = append(i.Hooks, hook.HookDecl{Op: op, Anchor: op.Anchor()})
	}
	for n := range h.frames {
		i.Frames = append(i.Frames, hook.FrameDecl{Name: string(rune('A' + n)), AckEliciting: true, InFlight: true, Early: true, MaxLen: 100})
	}
	if h.frames > 0 {
		for _, op := range []hook.Op{hook.OpFrameProcess, hook.OpFrameWrite, hook.OpFrameFate} {
			i.Hooks = append(i.Hooks, hook.HookDecl{Op: op, Anchor: op.Anchor()})
		}
	}
	return i
}

func (h *half) Attach(conn hook.Conn, at *hook.AttachState) error {
	if h.fails {
		return errBroken
	}
	h.conn, h.config, h.server = conn, string(at.Config), at.Server
	h.Timer(at.Now, 1)
	return nil
}

func (h *half) Detach(why hook.DetachReason) { h.ended = append(h.ended, why) }

func (h *half) Timer(now hook.Instant, id uint32) {
	if h.broken != nil {
		h.conn.Fault(h.broken)
		return
	}
	if h.frames > 0 {
		h.conn.Reserve(hook.Reservation{Frame: uint8(h.frames - 1), Size: 8})
	}
	h.conn.SetTimer(1, now.Add(5*time.Millisecond))
}

func (h *half) ProcessFrame(f *hook.ReceivedFrame) hook.Verdict {
	if len(f.Body) != 8 || int(f.Index) != h.frames-1 {
		return hook.FrameMalformed
	}
	h.got = append(h.got, binary.BigEndian.Uint64(f.Body))
	if h.conn.Event([]byte("got")) == nil {
		return hook.FrameTaken
	}
	return hook.FrameIgnored
}

func (h *half) WriteFrame(_ hook.Token, b []byte, _ *hook.PacketPlan) int {
	binary.BigEndian.PutUint64(b, h.sent)
	h.sent++
	return 8
}

func (h *half) FrameFate(hook.Token, hook.Fate, time.Duration) {}

func (h *half) TakeEvent(payload []byte) { h.events = append(h.events, string(payload)) }
