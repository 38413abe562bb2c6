package plugin_test

import (
	"errors"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// fragile fails at whatever a peer writes, refuses to be attached with the setting 1, and runs for ever when a round trip is measured.
const fragile = `;;! {"mode": "negotiated", "hooks": ["take_event", "rx_payload", "frame_process", "frame_write", "rtt_sample"],
;;!  "frames": [{"name": "f", "max_len": 64, "ack_eliciting": true, "in_flight": true}], "permissions": ["reserve", "event"],
;;!  "views": ["payload"], "config": {"schema": [{"name": "n", "type": "int", "min": 0, "max": 1}], "defaults": {"n": 0}}}
(module PRELUDE
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1))
      (then (if (i32.load8_u (i32.const 8192)) (then (return (i64.const -7)))) (return (call $attach))))
    (if (i32.eq (local.get 0) (i32.const 63)) (then (loop $for_ever (br $for_ever))))
    (if (i32.ne (local.get 0) (i32.const 3)) (then unreachable))
    (i64.const 0)))`

// TestNoPeerBringsAPluginIntoQuarantine: what it can do at will ends the plugin on its connection, and on no other.
func TestNoPeerBringsAPluginIntoQuarantine(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy plugin.Policy
		fault  error
		does   func(x hook.Extension)
	}{
		{"a frame", plugin.Policy{}, plugin.ErrTrap, func(x hook.Extension) {
			x.(hook.Frames).ProcessFrame(&hook.ReceivedFrame{Now: start, Body: []byte("?")})
		}},
		{"a message", plugin.Policy{}, plugin.ErrTrap, func(x hook.Extension) { x.(hook.EventTaker).TakeEvent([]byte("?")) }},
		{"a packet", plugin.Policy{}, plugin.ErrTrap, func(x hook.Extension) {
			x.(hook.ReceivedPayloads).ReceivePayload(&hook.ReceivedPayload{Now: start, Frames: []byte("?")})
		}},
		{"so many events that the connection's fuel ends", plugin.Policy{FuelRate: 1, FuelBurst: 1000}, plugin.ErrFuel, sample},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := load(t, runtime(t), build(t, "fragile", fragile), tc.policy)
			for range plugin.MaxFaults + 1 {
				x, c := attached(t, m)
				tc.does(x)
				c.wantFault(t, tc.fault)
				x.Detach(hook.DetachFault)
			}
		})
	}
	t.Run("settings", func(t *testing.T) {
		m := load(t, runtime(t), build(t, "fragile", fragile), plugin.Policy{})
		for range plugin.MaxFaults + 1 {
			x, err := m.New()
			if err != nil {
				t.Fatal(err)
			}
			at := begin(t, m)
			at.Config = []byte{1, 0, 0, 0, 0, 0, 0, 0}
			if err := x.Attach(&fakeConn{}, at); !errors.Is(err, plugin.ErrResult) {
				t.Fatalf("Attach = %v, want ErrResult", err)
			}
		}
		attached(t, m)
	})
	t.Run("its own fault", func(t *testing.T) {
		m := load(t, runtime(t), build(t, "fragile", fragile), plugin.Policy{})
		for range plugin.MaxFaults {
			x, c := attached(t, m)
			sample(x)
			c.wantFault(t, plugin.ErrFuel)
			x.Detach(hook.DetachFault)
		}
		if _, err := m.New(); !errors.Is(err, plugin.ErrQuarantined) {
			t.Errorf("New = %v, want ErrQuarantined", err)
		}
	})
}
