package quictest

import (
	"errors"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/netsim"
)

// claimer says of packets that it saw leave, or get lost, that the peer has them.
type claimer struct {
	conn       hook.Conn
	sent, lost []uint64
}

func (x *claimer) Info() *hook.Info {
	info := &hook.Info{ID: "org.example.claimer", Version: "1.0.0", Permissions: hook.MayRecover}
	for _, o := range []hook.Op{hook.OpPacketSent, hook.OpPacketLost, hook.OpAppCall} {
		info.Hooks = append(info.Hooks, hook.HookDecl{Op: o, Anchor: o.Anchor()})
	}
	return info
}

func (x *claimer) Attach(c hook.Conn, _ *hook.AttachState) error { x.conn = c; return nil }
func (x *claimer) Detach(hook.DetachReason)                      {}
func (x *claimer) PacketSent(p *hook.SentPacket)                 { x.sent = append(x.sent, p.Packet) }
func (x *claimer) PacketLost(p *hook.PacketFate)                 { x.lost = append(x.lost, p.Packet) }

// AppCall claims those that were sent with op 0, those lost with op 1; the error is that of the last.
func (x *claimer) AppCall(op uint32, _, out []byte) (_ []byte, err error) {
	list := x.sent
	if op == 1 {
		list = x.lost
	}
	for _, pn := range list {
		err = x.conn.Delivered(0, pn)
	}
	return out, err
}

// TestControlFramesAreNotDeliveredByClaim loses a packet with a control frame and
// says that the peer has it: nobody recovers such packets, and without the frame
// the exchange would stand still for ever.
func TestControlFramesAreNotDeliveredByClaim(t *testing.T) {
	dark := false
	opts := Options{Config: trading(nil), Tap: func(from netsim.Side, d []byte) []byte {
		if dark && from == netsim.Left {
			return nil
		}
		return d
	}}
	p := NewPair(t, 1, opts)
	client, server, from, to := sides(t, true, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
	p.Run(time.Second, func() bool { return false })
	x := &claimer{}
	if err := from.Attach(from.Now(), x, core.AttachOptions{Local: core.NoLocal}); err != nil {
		t.Fatal(err)
	}
	dark = true
	if err := from.SendPluginEvent(from.Now(), from.made[0].Local, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	from.Flush()
	if _, err := from.CallExtension(from.Now(), "org.example.claimer", 0, nil); err != nil || len(x.sent) == 0 {
		t.Fatalf("%d packets are claimed: %v", len(x.sent), err)
	}
	from.Flush()
	dark = false
	if !p.Run(10*time.Second, func() bool { return to.told(core.PluginEvent) == 1 }) {
		t.Error("the message in a packet that was lost, and claimed, never comes")
	}
}

// TestRejectedEarlyDataCannotBeDelivered: the streams of early data are over, and
// their numbers are those of others.
func TestRejectedEarlyDataCannotBeDelivered(t *testing.T) {
	p := earlyPair(t, Seed(t, 1), Options{})
	p.Server.Config.Guard = nil
	x := &claimer{}
	conn, err := core.NewClient(p.Clock.Now(), &p.Client.Config, p.Client.Addr.Addr(), p.Server.Addr)
	must(err)
	c := p.Client.Add(conn)
	if err := c.Attach(c.Now(), x, core.AttachOptions{Local: core.NoLocal}); err != nil {
		t.Fatal(err)
	}
	s, _ := c.Open(false)
	c.Write(s, make([]byte, 3000))
	c.Flush()
	runUntil(t, p, "the rejection", func() bool { return c.Early() == core.EarlyRejected && c.Confirmed })
	if len(x.lost) == 0 {
		t.Fatal("no early packet was lost")
	}
	if _, err := c.CallExtension(c.Now(), "org.example.claimer", 1, nil); !errors.Is(err, hook.ErrRange) {
		t.Errorf("what was in early packets, which the server rejected, is delivered: %v, want %v", err, hook.ErrRange)
	}
	get(t, p, c)
}
