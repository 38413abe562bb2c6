package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// keeper keeps as much of each packet free as it may.
type keeper struct{ id string }

func (k keeper) Info() *hook.Info {
	return &hook.Info{ID: k.id, Version: "1.0.0", Hooks: []hook.HookDecl{{Op: hook.OpPacketBegin, Anchor: hook.Before}}}
}

func (keeper) Attach(hook.Conn, *hook.AttachState) error           { return nil }
func (keeper) Detach(hook.DetachReason)                            {}
func (keeper) BeginPacket(p *hook.PacketPlan)                      { p.Reserve = hook.MaxReserve }
func (keeper) WriteRide(_ uint8, _ []byte, _ *hook.PacketPlan) int { return 0 }

// TestTheLargestMessageLeavesWhateverIsKeptFree sends one that hardly fits into the
// smallest packet.
func TestTheLargestMessageLeavesWhateverIsKeptFree(t *testing.T) {
	opts := Options{Config: trading(func(_ netsim.Side, cfg *core.Config) { cfg.MaxMTU = 1200 })}
	p := NewPair(t, Seed(t, 1), opts)
	client, server, from, to := sides(t, true, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the plugin to be active", func() bool { return from.hasActive(fec.name) && to.hasActive(fec.name) })
	for _, id := range []string{"a", "b", "c", "d"} {
		if err := from.Attach(from.Now(), keeper{id}, core.AttachOptions{Local: core.NoLocal}); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.SendPluginEvent(from.Now(), from.made[0].Local, make([]byte, wire.MaxPluginEvent)); err != nil {
		t.Fatal(err)
	}
	from.Flush()
	if !p.Run(10*time.Second, func() bool { return to.told(core.PluginEvent) == 1 }) {
		t.Errorf("a message of %d bytes does not come", wire.MaxPluginEvent)
	}
}
