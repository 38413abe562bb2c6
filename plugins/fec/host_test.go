package fec_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// hosted is the plugin in the real host, on a connection that notes what it asks for.
type hosted struct {
	hook.Conn
	ext       hook.Extension
	now       hook.Instant
	reserved  []hook.Reservation
	recovered []packet
	delivered []uint64
	fault     error
}

func newHosted(t testing.TB, m *plugin.Module, config map[string]string) *hosted {
	t.Helper()
	bytes, err := m.Manifest().Configure(config)
	if err != nil {
		t.Fatal(err)
	}
	h := &hosted{now: 1e9}
	if h.ext, err = m.New(); err != nil {
		t.Fatal(err)
	}
	if err := h.ext.Attach(h, &hook.AttachState{Now: h.now, Config: bytes}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.ext.Detach(hook.DetachClosed)
		if h.fault != nil {
			t.Error(h.fault)
		}
	})
	return h
}

func (h *hosted) Reserve(r hook.Reservation) (hook.Token, error) {
	h.reserved = append(h.reserved, r)
	return hook.Token(len(h.reserved)), nil
}
func (h *hosted) Cancel(t hook.Token) error                 { return hook.ErrNoToken }
func (h *hosted) SetTimer(id uint32, at hook.Instant) error { return nil }
func (h *hosted) Count(m uint32, n int64) error             { return nil }
func (h *hosted) Get(f hook.Field, path uint8) (uint64, error) {
	if f == hook.FieldPacketsAcked || f == hook.FieldPacketsLost || f == hook.FieldOldestPacket {
		return 0, nil // no news of any packet
	}
	return uint64(100 * time.Millisecond), nil
}
func (h *hosted) Fault(err error) { h.fault = err }
func (h *hosted) Delivered(path uint8, pn uint64) error {
	h.delivered = append(h.delivered, pn)
	return nil
}
func (h *hosted) Recovered(path uint8, pn uint64, b []byte) error {
	h.recovered = append(h.recovered, packet{pn, bytes.Clone(b)})
	return nil
}

// send sends a packet and returns the SOURCE frame in it.
func (h *hosted) send(p packet, waiting uint64) []byte {
	var b [4]byte
	plan := &hook.PacketPlan{Now: h.now, Packet: p.pn, Room: 1200, Waiting: waiting, Ride: -1}
	h.ext.(hook.Packets).BeginPacket(plan)
	if plan.Ride != frameSource {
		return nil
	}
	plan.Frames, plan.Streams = p.frames, true
	n := h.ext.(hook.Packets).WriteRide(frameSource, b[:], plan)
	return bytes.Clone(b[:n])
}

// repairs writes what was reserved.
func (h *hosted) repairs(pn uint64) (list [][]byte) {
	for i, r := range h.reserved {
		b := make([]byte, r.Size)
		n := h.ext.(hook.Frames).WriteFrame(hook.Token(i+1), b, &hook.PacketPlan{Now: h.now, Packet: pn + uint64(i)})
		list = append(list, b[:n])
	}
	return list
}

func (h *hosted) take(frame uint8, pn uint64, body, before []byte) hook.Verdict {
	return h.ext.(hook.Frames).ProcessFrame(&hook.ReceivedFrame{Now: h.now, Packet: pn, Index: frame, Body: body, Before: before})
}

func TestTheRealHostHealsToo(t *testing.T) {
	m := load(t)
	for _, tc := range schemes {
		t.Run(tc.name, func(t *testing.T) {
			config := map[string]string{"scheme": tc.name, "rate": "fixed", "k": "10", "r": "3"}
			tx, rx := newHosted(t, m, config), newHosted(t, m, config)
			ps := packets(rand.New(rand.NewPCG(1, 3)), 10, 500, 1100)
			for i, p := range ps {
				source := tx.send(p, uint64(9-i))
				if len(source) == 0 {
					t.Fatalf("packet %d is not protected", i)
				}
				if i != 2 && i != 4 {
					if v := rx.take(frameSource, p.pn, source, p.frames); v != hook.FrameTaken {
						t.Errorf("SOURCE %d: verdict %d", i, v)
					}
				}
			}
			for i, b := range tx.repairs(1000) {
				rx.take(frameRepair, 1000+uint64(i), b, nil)
			}
			if len(rx.recovered) != 2 {
				t.Fatalf("%d recovered, want 2", len(rx.recovered))
			}
			for _, p := range rx.recovered {
				if i := int(p.pn) - 7; i != 2 && i != 4 || !bytes.Equal(p.frames, ps[i].frames) {
					t.Errorf("packet %d is wrong", p.pn)
				}
			}
		})
	}
}

// BenchmarkHooks times what happens to every packet: at the sender, and at the receiver.
func BenchmarkHooks(b *testing.B) {
	m := load(b)
	config := map[string]string{"scheme": "xor", "policy": "full", "rate": "fixed", "k": "25", "r": "1", "effort": "100000"}
	p := packet{frames: make([]byte, 1400)}
	b.Run("begin", func(b *testing.B) {
		h := newHosted(b, m, config)
		plan := &hook.PacketPlan{Now: h.now, Room: 1424, Waiting: 1000}
		for b.Loop() {
			h.ext.(hook.Packets).BeginPacket(plan)
		}
	})
	b.Run("send", func(b *testing.B) {
		h := newHosted(b, m, config)
		for b.Loop() {
			p.pn++
			h.now += 1e9
			h.send(p, 1000)
			if len(h.reserved) > 0 {
				h.repairs(p.pn)
				h.reserved = h.reserved[:0]
			}
		}
	})
	b.Run("take", func(b *testing.B) {
		h := newHosted(b, m, config)
		for b.Loop() {
			p.pn++
			h.now += 1e9
			h.take(frameSource, p.pn, appendVarint(nil, p.pn), p.frames)
		}
	})
}

func TestPacketsCostNoAllocation(t *testing.T) {
	h := newHosted(t, load(t), map[string]string{"policy": "full"})
	plan := &hook.PacketPlan{Now: h.now, Room: 1200, Waiting: 1000}
	frames := make([]byte, 1000)
	got := &hook.ReceivedFrame{Now: h.now, Index: frameSource, Body: []byte{0}, Before: frames}
	var body [4]byte
	if n := testing.AllocsPerRun(4, func() { // too few packets for a repair, whose reservation the test notes
		plan.Packet++
		got.Packet = plan.Packet
		got.Body[0]++
		h.ext.(hook.Packets).BeginPacket(plan)
		plan.Frames, plan.Streams = frames, true
		h.ext.(hook.Packets).WriteRide(frameSource, body[:], plan)
		plan.Frames = nil
		h.ext.(hook.Frames).ProcessFrame(got)
	}); n != 0 {
		t.Errorf("a packet costs %v allocations, want none", n)
	}
}
