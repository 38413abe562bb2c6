package lab

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// beacon is an extension with a frame of its own: it sends a count every interval, and counts what it hears from the other end.
type beacon struct {
	conn   hook.Conn
	every  time.Duration
	sent   uint64
	heard  uint64
	token  hook.Token
	fail   uint64 // so many frames heard are too many; 0 = never
	refuse error
}

// every is the configuration of a beacon: milliseconds, a byte.
const every = 20

func (b *beacon) Info() *hook.Info {
	return &hook.Info{
		ID: "test.beacon", Version: "1.0.0", Mode: hook.Negotiated,
		Hooks: []hook.HookDecl{
			{Op: hook.OpAttach, Anchor: hook.Replace}, {Op: hook.OpDetach, Anchor: hook.Replace},
			{Op: hook.OpTimer, Anchor: hook.Replace},
			{Op: hook.OpFrameProcess, Anchor: hook.Replace}, {Op: hook.OpFrameWrite, Anchor: hook.Replace}, {Op: hook.OpFrameFate, Anchor: hook.After},
		},
		Frames:      []hook.FrameDecl{{Name: "BEACON", AckEliciting: true, InFlight: true, MaxLen: 8}},
		Metrics:     []hook.MetricDecl{{ID: 0, Name: "heard"}},
		Permissions: hook.MayReserve | hook.MayTimer | hook.MayCount,
	}
}

func (b *beacon) Attach(conn hook.Conn, at *hook.AttachState) error {
	if b.refuse != nil {
		return b.refuse
	}
	b.conn, b.every = conn, time.Duration(at.Config[0])*time.Millisecond
	return conn.SetTimer(0, at.Now.Add(b.every))
}

func (b *beacon) Detach(hook.DetachReason) {}

func (b *beacon) Timer(now hook.Instant, id uint32) {
	if b.token == 0 {
		b.token, _ = b.conn.Reserve(hook.Reservation{Size: 8})
	}
	b.conn.SetTimer(0, now.Add(b.every))
}

func (b *beacon) ProcessFrame(f *hook.ReceivedFrame) hook.Verdict {
	if len(f.Body) != 8 {
		return hook.FrameMalformed
	}
	b.heard++
	b.conn.Count(0, 1)
	if b.heard == b.fail {
		b.conn.Fault(errors.New("heard enough"))
	}
	return hook.FrameTaken
}

func (b *beacon) WriteFrame(t hook.Token, p []byte, _ *hook.PacketPlan) int {
	b.token = 0
	b.sent++
	binary.BigEndian.PutUint64(p, b.sent)
	return 8
}

func (b *beacon) FrameFate(hook.Token, hook.Fate, time.Duration) {}

// beacons attaches a beacon to both ends.
func beacons(fail uint64) Setup {
	made := func() (hook.Extension, error) { return &beacon{fail: fail}, nil }
	x := []Extension{{New: made, Config: []byte{every}}}
	return Setup{Name: "beacon", Client: End{Extensions: x}, Server: End{Extensions: x}}
}

func TestExtensionsOfBothEndsTalk(t *testing.T) {
	const text = "loss-5 --size=200kB --repeat=6"
	r := mustRun(t, text, beacons(0))
	for i := range r.Repetitions {
		rep := &r.Repetitions[i]
		for _, e := range []*EndResult{&rep.Client, &rep.Server} {
			if len(e.Extensions) != 1 {
				t.Fatalf("seed %d: extensions %+v", rep.Seed, e.Extensions)
			}
		}
		c, s := &rep.Client.Extensions[0], &rep.Server.Extensions[0]
		if c.FramesWritten < 10 || s.FramesReceived < c.FramesWritten*3/4 || s.FramesReceived > c.FramesWritten || c.FramesAcked == 0 || c.FramesAcked > c.FramesWritten {
			t.Errorf("seed %d: client %+v, server %+v", rep.Seed, c, s)
		}
		if len(s.Metrics) != 1 || s.Metrics[0].Value != int64(s.FramesReceived) {
			t.Errorf("seed %d: metrics %+v, %d frames received", rep.Seed, s.Metrics, s.FramesReceived)
		}
	}
	if faults, heard := measure(t, r, "faults"), measure(t, r, "metric.heard"); faults != 0 || heard < 100 {
		t.Errorf("%v faults, %v heard", faults, heard)
	}
	if again := mustRun(t, text, beacons(0)); !slices.Equal(r.Times(), again.Times()) || measure(t, r, "frames") != measure(t, again, "frames") {
		t.Error("with extensions a seed is not replayed")
	}
}

// The server hears the fifth beacon first, and is silent from then on.
func TestAFaultyExtensionIsCountedAndTheFlowsGoOn(t *testing.T) {
	r := mustRun(t, "loss-1 --size=500kB --repeat=3", beacons(5))
	if failed, detached := measure(t, r, "failed"), measure(t, r, "detached"); failed != 0 || detached != 3 || measure(t, r, "faults") != 3 {
		t.Errorf("%v flows failed, %v extensions ended, %v faults; want 0, 3, 3", failed, detached, measure(t, r, "faults"))
	}
	var out strings.Builder
	if err := WriteExtensions(&out, r); err != nil || strings.Count(out.String(), "plugin failed: heard enough") != 1 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestAnExtensionThatRefusesEndsTheRun(t *testing.T) {
	refuse := errors.New("not with me")
	for _, made := range []func() (hook.Extension, error){
		func() (hook.Extension, error) { return nil, refuse },
		func() (hook.Extension, error) { return &beacon{refuse: refuse}, nil },
	} {
		_, err := Run(t.Context(), mustScenario(t, "clean --repeat=3"), Setup{Name: "x", Server: End{Extensions: []Extension{{New: made}}}})
		if !errors.Is(err, refuse) || !strings.Contains(err.Error(), "scenario clean, setup x: server: extension 0") {
			t.Errorf("error %v", err)
		}
	}
}

func TestAComparisonPairsLossesBySeed(t *testing.T) {
	c, err := Compare(t.Context(), []*Scenario{mustScenario(t, "loss-5 --repeat=20")}, Setup{}, beacons(0), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &c.Pairs[0]
	for i := range p.A.Repetitions {
		if p.A.Repetitions[i].Seed != p.B.Repetitions[i].Seed {
			t.Errorf("repetition %d has seeds %d and %d", i, p.A.Repetitions[i].Seed, p.B.Repetitions[i].Seed)
		}
	}
	if p.Ratio < 0.7 || p.Ratio > 1.6 {
		t.Errorf("a few bytes every %d ms take %.2f of the time", every, p.Ratio)
	}
}
