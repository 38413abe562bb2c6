package plugin_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

// The tests of this file are about defects that were found in an earlier design of pluginised QUIC, by their numbers in the list of them.

// sample tells x of a round trip, which the guests of these tests act on.
func sample(x hook.Extension) { x.(hook.RTTSamples).RTTSampled(start, 0, &hook.RTT{}, 0) }

// acting is a guest that does something when a round trip is measured.
func acting(head, act string) string {
	return head + `(module PRELUDE
  (func (export "pq_call") (param i32 i32) (result i64)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (call $attach))))
    (if (i32.eq (local.get 0) (i32.const 63)) (then ` + act + `))
    (i64.const 0)))`
}

// TestDefect01NoHelperReachesTheMemoryOfTheHost: there are no helpers but those of the ABI, and they keep to the memory of the guest.
func TestDefect01NoHelperReachesTheMemoryOfTheHost(t *testing.T) {
	for _, name := range []string{"memcpy", "socket", "write", "get_cnx", "set"} {
		text := strings.Replace(nop, "(module", `(module (import "pq" "`+name+`" (func (param i32 i32 i32) (result i32)))`, 1)
		if _, err := runtime(t).Load(context.Background(), "bad.wasm", build(t, name, text), plugin.Policy{}); err == nil {
			t.Errorf("a plugin imports %s", name)
		}
	}
	x, c := attached(t, load(t, runtime(t), readHostile(t, "lying-lengths"), plugin.Policy{}))
	x.(hook.SentPackets).PacketSent(&hook.SentPacket{Now: start})
	if len(c.faults)+len(c.logged)+len(c.emitted) > 0 {
		t.Errorf("ranges beyond the memory were taken: %v %v %v", c.faults, c.logged, c.emitted)
	}
}

// TestDefect02NoGuestHangsOrEndsTheProcess: not by a loop, not by recursion, not by a connection that calls back.
func TestDefect02NoGuestHangsOrEndsTheProcess(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		for _, name := range []string{"recursion", "indirect", "host-calls", "host-lengths"} {
			m := load(t, r, readHostile(t, name), plugin.Policy{})
			x, c := attached(t, m)
			well, healthy := attached(t, m)
			x.(hook.SentPackets).PacketSent(&hook.SentPacket{Now: start})
			if len(c.faults) != 1 {
				t.Errorf("%s: faults %v, want one", name, c.faults)
			}
			x.Detach(hook.DetachFault)
			well.(hook.Meter).Usage()
			well.Detach(hook.DetachClosed)
			if len(healthy.faults) > 0 {
				t.Errorf("%s: the other connection's plugin failed too: %v", name, healthy.faults)
			}
		}
	})
}

// TestDefect03AViolationOfMemoryRemovesThePlugin, and is not just told.
func TestDefect03AViolationOfMemoryRemovesThePlugin(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		for name, act := range map[string]string{
			"a read behind the end":  `(drop (i32.load (i32.const 65533)))`,
			"a write behind the end": `(i64.store (i32.const -8) (i64.const 1))`,
			"a copy behind the end":  `(memory.copy (i32.const 65000) (i32.const 0) (i32.const 1000))`,
		} {
			x, c := attached(t, load(t, r, build(t, name, acting("", act)), plugin.Policy{}))
			sample(x)
			f := c.wantFault(t, plugin.ErrTrap)
			if !strings.Contains(f.Error(), "out of bounds memory access in pq_call") {
				t.Errorf("%s: %v", name, f)
			}
			before := x.(hook.Meter).Usage().Calls
			sample(x)
			x.Detach(hook.DetachFault)
			if after := x.(hook.Meter).Usage().Calls; after != before {
				t.Errorf("%s: called again after it", name)
			}
		}
	})
}

// TestDefect12DeadHooksAreRefused in both directions; see also TestRefusalsNameFileFieldAndRule.
func TestDefect12DeadHooksAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"declared, never registered": ";;! {\"hooks\": [\"rtt_sample\", \"tx_sent\"]}\n" + strings.Replace(nop, "PRELUDE", strings.Replace(prelude, "LOW", "0", 1), 1),
		"registered, never declared": strings.Replace(nop, "PRELUDE", strings.Replace(prelude, "HIGH", "-1", 1), 1),
	} {
		if _, err := runtime(t).Load(context.Background(), "dead.wasm", build(t, name, text), plugin.Policy{}); err == nil {
			t.Errorf("%s: was loaded", name)
		}
	}
}

// TestDefect13WatchersChangeNothing: neither what they are shown, nor by an answer.
func TestDefect13WatchersChangeNothing(t *testing.T) {
	p := newPuppet(t, runtime(t))
	for _, op := range []hook.Op{hook.OpSendPayload, hook.OpReceivePayload, hook.OpRTTSample, hook.OpPacketSent} {
		p.answer(op, 1<<40, 0xffffffff, 1<<63, 1<<62)
	}
	sent, received := []byte("frames that leave"), []byte("frames that come")
	rtt := hook.RTT{Latest: 5, Smoothed: 6}
	p.Extension.(hook.SentPayloads).SendPayload(&hook.SentPayload{Now: start, Frames: sent})
	p.Extension.(hook.ReceivedPayloads).ReceivePayload(&hook.ReceivedPayload{Now: start, Frames: received})
	p.Extension.(hook.RTTSamples).RTTSampled(start, 0, &rtt, 0)
	clear(plugin.Memory(p.Extension))
	if string(sent) != "frames that leave" || string(received) != "frames that come" || rtt != (hook.RTT{Latest: 5, Smoothed: 6}) {
		t.Errorf("changed: %q %q %+v", sent, received, rtt)
	}
	if len(p.conn.faults) > 0 {
		t.Error(p.conn.faults)
	}
	x, c := attached(t, load(t, runtime(t), build(t, "scribble", acting(`;;! {"views": ["payload"], "hooks": ["rtt_sample", "tx_payload"]}
`, `(memory.fill (i32.const 4096) (i32.const 65) (i32.const 16384))`)), plugin.Policy{}))
	frames := bytes.Repeat([]byte{7}, 1000)
	x.(hook.SentPayloads).SendPayload(&hook.SentPayload{Now: start, Frames: frames})
	sample(x)
	if !bytes.Equal(frames, bytes.Repeat([]byte{7}, 1000)) || len(c.faults) > 0 {
		t.Errorf("the packet was changed, or the plugin failed: %v", c.faults)
	}
}

// TestDefect15APluginTakesWhatItUses: not megabytes for each connection. It counts what the process holds, with a thousand connections.
func TestDefect15APluginTakesWhatItUses(t *testing.T) {
	m := load(t, runtime(t), build(t, "nop", nop), plugin.Policy{})
	each, ok := residentPerConnection(t, m, 1000)
	if !ok {
		t.Skip("this system does not tell how much memory a process holds")
	}
	t.Logf("%d bytes for each plugin and connection", each)
	if each > 64<<10 {
		t.Errorf("%d bytes for each plugin and connection, at most the 64 KiB of its one page", each)
	}
}
