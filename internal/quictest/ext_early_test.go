package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// earlyFrames sends a frame of each kind as soon as it is attached: one that may
// travel in early data, and one that may not.
type earlyFrames struct {
	conn  hook.Conn
	early map[hook.Token]bool // written in a 0-RTT packet
	fates map[hook.Token][]hook.Fate
}

func (x *earlyFrames) Info() *hook.Info {
	info := &hook.Info{ID: "org.example.early", Version: "1.0.0", Mode: hook.Negotiated, Permissions: hook.MayReserve}
	for _, o := range []hook.Op{hook.OpFrameProcess, hook.OpFrameWrite, hook.OpFrameFate} {
		info.Hooks = append(info.Hooks, hook.HookDecl{Op: o, Anchor: o.Anchor()})
	}
	for i, name := range []string{"LATE", "EARLY"} {
		info.Frames = append(info.Frames, hook.FrameDecl{Name: name, AckEliciting: true, InFlight: true, Early: i == 1, MaxLen: 10})
	}
	return info
}

func (x *earlyFrames) Attach(c hook.Conn, _ *hook.AttachState) error {
	x.conn, x.early, x.fates = c, map[hook.Token]bool{}, map[hook.Token][]hook.Fate{}
	for frame := range uint8(2) {
		if _, err := c.Reserve(hook.Reservation{Frame: frame, Size: 10}); err != nil {
			return err
		}
	}
	return nil
}

func (x *earlyFrames) Detach(hook.DetachReason)                        {}
func (x *earlyFrames) ProcessFrame(f *hook.ReceivedFrame) hook.Verdict { return hook.FrameTaken }

func (x *earlyFrames) WriteFrame(t hook.Token, b []byte, p *hook.PacketPlan) int {
	x.early[t] = p.Early
	return len(b)
}

func (x *earlyFrames) FrameFate(t hook.Token, f hook.Fate, _ time.Duration) {
	x.fates[t] = append(x.fates[t], f)
}

// TestFramesOfExtensionsInEarlyData sends those that may travel there, and tells
// that they are dropped if the server rejects them.
func TestFramesOfExtensionsInEarlyData(t *testing.T) {
	for _, rejected := range []bool{false, true} {
		p := earlyPair(t, Seed(t, 1), Options{Config: func(_ netsim.Side, cfg *core.Config) { cfg.Plugins = true }})
		if rejected {
			p.Server.Config.Guard = nil
		}
		conn, err := core.NewClient(p.Clock.Now(), &p.Client.Config, p.Client.Addr.Addr(), p.Server.Addr)
		must(err)
		c, x := p.Client.Add(conn), &earlyFrames{}
		if err := c.Attach(c.Now(), x, core.AttachOptions{Local: ^uint64(0), TypeBase: uint64(wire.FramePlugin)}); err != nil {
			t.Fatal(err)
		}
		c.Flush()
		const late, early = 1, 2
		if !x.early[early] || len(x.early) != 1 {
			t.Fatalf("rejected %t: written in early data: %v, want the second frame alone", rejected, x.early)
		}
		runUntil(t, p, "the fates of both frames", func() bool { return len(x.fates) == 2 })
		p.Run(2*time.Second, func() bool { return false })
		want := hook.FrameAcked
		if rejected {
			want = hook.FrameDropped
		}
		if got := x.fates[early]; len(got) != 1 || got[0] != want {
			t.Errorf("rejected %t: the early frame has the fates %v, want %v", rejected, got, want)
		}
		if got := x.fates[late]; x.early[late] || len(got) != 1 || got[0] != hook.FrameAcked {
			t.Errorf("rejected %t: the other frame left early: %t, and has the fates %v", rejected, x.early[late], got)
		}
		if c.Err() != nil {
			t.Error(c.Err())
		}
	}
}
