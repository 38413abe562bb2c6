package wat_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/seed51309289/quiver/plugin/wat"
	"github.com/tetratelabs/wazero/api"
)

func ExampleAssemble() {
	b, err := wat.Assemble("add.wat", []byte(`
		(func (export "add") (param $a i64) (param $b i64) (result i64)
		  (i64.add (local.get $a) (local.get $b)))`))
	fmt.Println(len(b), err)

	_, err = wat.Assemble("cc.wat", []byte(`
		(func (export "add") (param $a i64) (param $b i64) (result i64)
		  (i64.ad (local.get $a) (local.get $c)))`))
	fmt.Println(err)
	// Output:
	// 59 <nil>
	// cc.wat:3:6: unknown instruction "i64.ad", did you mean "i64.add"?
	// cc.wat:3:39: unknown local "$c", did you mean "$a"?
}

// ExampleAssemble_plugin assembles a whole plugin: a congestion controller for
// the ABI of docs/plugin-abi.md.
func ExampleAssemble_plugin() {
	src, err := os.ReadFile("testdata/cc.wat")
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := wat.Assemble("cc.wat", src)
	fmt.Println(len(b) < 1024, err)
	// Output: true <nil>
}

// guest is a plugin under the engine, without the host.
type guest struct {
	t   *testing.T
	m   api.Module
	ctx uint32
}

func newGuest(t *testing.T, path string) *guest {
	t.Helper()
	b, err := wat.Assemble(path, read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine(t).Instantiate(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, m: m}
	g.ctx = uint32(g.call("pq_ctx"))
	return g
}

func (g *guest) call(name string, args ...uint64) uint64 {
	g.t.Helper()
	results, err := g.m.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		g.t.Fatalf("%s: %v", name, err)
	}
	return results[0]
}

// op lays words of 64 bits into the in-struct, from offset 8 on, and calls.
func (g *guest) op(number uint64, flags uint32, words ...uint64) (window uint64) {
	g.t.Helper()
	in := make([]byte, 200)
	binary.LittleEndian.PutUint32(in, uint32(len(in)))
	binary.LittleEndian.PutUint32(in[4:], flags)
	for i, w := range words {
		binary.LittleEndian.PutUint64(in[8+8*i:], w)
	}
	g.m.Memory().Write(g.ctx+64, in)
	if got := g.call("pq_call", number, 0); got != 0 {
		g.t.Fatalf("operation %d returned %d", number, int64(got))
	}
	window, _ = g.m.Memory().ReadUint64Le(g.ctx + 2048 + 8)
	return window
}

func TestTheExampleControllerHalvesOnceForEachRecovery(t *testing.T) {
	g := newGuest(t, "testdata/cc.wat")
	if abi := g.call("pq_abi"); abi != 0x10000 {
		t.Errorf("ABI %#x, want 1.0", abi)
	}
	if in, out := g.call("pq_buf", 0), g.call("pq_buf", 1); in != 8192<<32|2048 || out != 10240<<32|2048 {
		t.Errorf("buffers %#x and %#x", in, out)
	}
	if hooks := g.op(1, 0); hooks != 1<<50|1<<51|1<<52|1<<58 {
		t.Errorf("attach: %#x, want the bits of cc_init, cc_ack, cc_loss and cc_mtu", hooks)
	}
	now := func(at uint64) { g.m.Memory().WriteUint64Le(g.ctx+8, at) }
	const ack, loss = 51, 52
	for _, step := range []struct {
		what  string
		now   uint64
		op    uint64
		flags uint32
		words []uint64
		want  uint64
	}{
		{"it starts with the window of the core", 0, 50, 0, []uint64{1200, 12000}, 12000},
		{"slow start adds what is acknowledged", 1, ack, 0, []uint64{2400}, 14400},
		{"what the application does not use adds nothing", 2, ack, 1, []uint64{2400}, 14400},
		{"a loss halves", 9, loss, 0, []uint64{1200, 1, 1, 5}, 7200},
		{"another of the same flight does not", 10, loss, 0, []uint64{1200, 1, 1, 8}, 7200},
		{"a window acknowledged adds a datagram", 11, ack, 0, []uint64{7200}, 8400},
		{"a later loss halves again", 20, loss, 0, []uint64{1200, 1, 1, 15}, 4200},
		{"and again", 30, loss, 0, []uint64{1200, 1, 1, 25}, 2400},
		{"two datagrams are the least", 40, loss, 0, []uint64{1200, 1, 1, 35}, 2400},
		{"larger datagrams count from then on", 50, 58, 0, []uint64{1500}, 2400},
	} {
		now(step.now)
		if got := g.op(step.op, step.flags, step.words...); got != step.want {
			t.Errorf("%s: window %d, want %d", step.what, got, step.want)
		}
	}
}
