package fec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"sync"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/wasm"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

var le = binary.LittleEndian

// The frames, operations and metrics of the plugin.
const (
	frameSource = iota
	frameRepair
	frameRecovered

	opAttach = 1
	opTimer  = 4
	opTake   = 31
	opWrite  = 32
	opBegin  = 40

	taken     = 0
	ignored   = 1
	malformed = 2
)

// guest is the plugin without Quiver around it: what the host does is done here, in the simplest way, and noted.
type guest struct {
	t      testing.TB
	call   api.Function
	mem    api.Memory
	ctx    uint32
	rx, tx uint32

	now         uint64
	rtt         uint64
	newest      uint64          // packet
	outstanding map[uint64]bool // packets of which no news came
	settled     [2]uint64       // how many were acknowledged, and lost
	refuse      bool            // recovered packets are refused
	inactive    bool            // the peer's half is not ready
	token       uint32
	reserved    []reservation
	recovered   []packet
	delivered   []uint64
	counts      map[uint32]int64
	timer       uint64 // 0 = none
	sums        int    // of symbols, so far
	worst       int    // host calls of the most expensive call
	calls       int
	fuel        api.MutableGlobal
	most        int64 // fuel of the most expensive call
}

type reservation struct {
	token, frame, size uint32
}

// packet is one of ours, with its frames.
type packet struct {
	pn     uint64
	frames []byte
}

// settings as in the manifest; the zero value of each field is its default.
type settings struct {
	scheme, framework, policy, rate int64
	k, r, window, deadline, effort  int64
}

func (s settings) bytes() []byte {
	def := func(v, d int64) int64 {
		if v == 0 {
			return d
		}
		return v
	}
	var b []byte
	for _, v := range []int64{s.scheme, s.framework, s.policy, s.rate, def(s.k, 25), def(s.r, 5), def(s.window, 64), def(s.deadline, 150), def(s.effort, 100000)} {
		b = le.AppendUint64(b, uint64(v))
	}
	return b
}

const (
	auto, window, block  = 0, 1, 2
	tail, full, deadline = 0, 1, 2
	measured, fixed      = 0, 1
)

var engine = wazero.NewRuntime(context.Background())

// module is the plugin, compiled, with the imports that it has.
var module = sync.OnceValues(func() (wazero.CompiledModule, error) {
	b, err := os.ReadFile("fec.wasm")
	if err != nil {
		return nil, err
	}
	imports := map[string]any{
		"xor":          func(ctx context.Context, dst, src, n uint32) uint32 { return of(ctx).sum(dst, src, n, 1) },
		"gf256_muladd": func(ctx context.Context, dst, src, n, c uint32) uint32 { return of(ctx).sum(dst, src, n, c) },
		"reserve":      func(ctx context.Context, frame, n, flags uint32) uint64 { return of(ctx).reserve(frame, n) },
		"cancel":       func(ctx context.Context, token uint32) uint32 { return of(ctx).cancel(token) },
		"timer_set":    func(ctx context.Context, id uint32, at uint64) uint32 { return of(ctx).setTimer(at) },
		"count":        func(ctx context.Context, m uint32, n uint64) uint32 { return of(ctx).count(m, n) },
		"get":          func(ctx context.Context, field, path uint32) uint64 { return of(ctx).get(field) },
		"recovered": func(ctx context.Context, path uint32, pn uint64, at, n uint32) uint32 {
			return of(ctx).recover(pn, at, n)
		},
		"delivered": func(ctx context.Context, path uint32, pn uint64) uint32 { return of(ctx).deliver(pn) },
	}
	host := engine.NewHostModuleBuilder("pq")
	for name, f := range imports {
		host.NewFunctionBuilder().WithFunc(f).Export(name)
	}
	if _, err := host.Instantiate(context.Background()); err != nil {
		return nil, err
	}
	m, err := wasm.Parse(b)
	if err != nil {
		return nil, err
	}
	metered, _, err := wasm.Meter(m, wasm.Rules{Pages: 6}, wasm.DefaultCosts())
	if err != nil {
		return nil, err
	}
	return engine.CompileModule(context.Background(), metered)
})

// callFuel is what the host gives each call.
const callFuel = 200_000

type key struct{}

func of(ctx context.Context) *guest {
	g := ctx.Value(key{}).(*guest)
	g.calls++
	return g
}

func (g *guest) sum(dst, src, n, c uint32) uint32 {
	g.sums++
	d, ok1 := g.mem.Read(dst, n)
	s, ok2 := g.mem.Read(src, n)
	if !ok1 || !ok2 || c > 255 {
		g.t.Fatalf("sum of %d bytes at %d and %d, times %d", n, dst, src, c)
	}
	mulAdd(d, s, byte(c))
	return 0
}

const (
	errRange    = ^uint32(3) // -4
	errInactive = ^uint64(4) // -5
	errNoToken  = ^uint32(5) // -6
)

func (g *guest) reserve(frame, n uint32) uint64 {
	if g.inactive {
		return errInactive
	}
	if frame != frameRepair && frame != frameRecovered || n == 0 || n > 1450 {
		g.t.Fatalf("reserves %d bytes for frame %d", n, frame)
	}
	g.token++
	g.reserved = append(g.reserved, reservation{g.token, frame, n})
	return uint64(g.token)
}

func (g *guest) cancel(token uint32) uint32 {
	for i, r := range g.reserved {
		if r.token == token {
			g.reserved = append(g.reserved[:i], g.reserved[i+1:]...)
			return 0
		}
	}
	return errNoToken
}

func (g *guest) setTimer(at uint64) uint32 {
	g.timer = max(at, g.now+1e6)
	return 0
}

func (g *guest) count(m uint32, n uint64) uint32 {
	g.counts[m] += int64(n)
	return 0
}

// get knows what became of packets, and one round-trip time.
func (g *guest) get(field uint32) uint64 {
	switch hook.Field(field) {
	case hook.FieldPacketsAcked:
		return g.settled[0]
	case hook.FieldPacketsLost:
		return g.settled[1]
	case hook.FieldOldestPacket:
		oldest := g.newest + 1
		for pn := range g.outstanding {
			oldest = min(oldest, pn)
		}
		return oldest
	}
	return g.rtt
}

func (g *guest) recover(pn uint64, at, n uint32) uint32 {
	b, ok := g.mem.Read(at, n)
	if !ok || n == 0 {
		g.t.Fatalf("recovered %d bytes at %d", n, at)
	}
	if g.refuse {
		return errRange
	}
	g.recovered = append(g.recovered, packet{pn, bytes.Clone(b)})
	return 0
}

func (g *guest) deliver(pn uint64) uint32 {
	g.delivered = append(g.delivered, pn)
	return 0
}

// newGuest attaches the plugin.
func newGuest(t testing.TB, s settings) *guest {
	t.Helper()
	g := bareGuest(t)
	if r, err := g.do(opAttach, 0, 0, s.bytes(), nil); r != 0 || err != nil {
		t.Fatalf("attach: %d, %v", r, err)
	}
	return g
}

func bareGuest(t testing.TB) *guest {
	t.Helper()
	m, err := module()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	mod, err := engine.InstantiateModule(ctx, m, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mod.Close(ctx) })
	g := &guest{t: t, call: mod.ExportedFunction("pq_call"), mem: mod.Memory(), now: 1e9, rtt: 100e6, counts: map[uint32]int64{}, outstanding: map[uint64]bool{}}
	g.fuel = mod.ExportedGlobal(wasm.FuelExport).(api.MutableGlobal)
	g.fuel.Set(callFuel)
	one := func(name string, arg ...uint64) uint64 {
		r, err := mod.ExportedFunction(name).Call(ctx, arg...)
		if err != nil {
			t.Fatal(err)
		}
		return append(r, 0)[0]
	}
	one("pq_init")
	g.ctx, g.rx, g.tx = uint32(one("pq_ctx")), uint32(one("pq_buf", 0)>>32), uint32(one("pq_buf", 1)>>32)
	return g
}

// do calls the plugin with an in-struct.
func (g *guest) do(op, arg, flags uint32, view, in []byte) (int64, error) {
	block := make([]byte, 64, 256)
	le.PutUint32(block[0:], 64)
	le.PutUint32(block[4:], 0x10000)
	le.PutUint64(block[8:], g.now)
	le.PutUint32(block[16:], op)
	le.PutUint32(block[20:], arg)
	le.PutUint32(block[32:], g.rx)
	le.PutUint32(block[36:], uint32(len(view)))
	le.PutUint32(block[40:], g.tx)
	le.PutUint32(block[44:], 1450)
	block = le.AppendUint32(block, uint32(8+len(in)))
	block = le.AppendUint32(block, flags)
	g.mem.Write(g.ctx, append(block, in...))
	g.mem.Write(g.ctx+2048, make([]byte, 64))
	g.mem.Write(g.rx, view)
	g.calls = 0
	g.fuel.Set(callFuel)
	stack := []uint64{uint64(op), uint64(arg)}
	err := g.call.CallWithStack(context.WithValue(context.Background(), key{}, g), stack)
	g.worst = max(g.worst, g.calls)
	g.most = max(g.most, callFuel-int64(g.fuel.Get()))
	return int64(stack[0]), err
}

// must is do for calls that cannot fail.
func (g *guest) must(op, arg, flags uint32, view, in []byte) int64 {
	g.t.Helper()
	r, err := g.do(op, arg, flags, view, in)
	if err != nil || r < -1 {
		g.t.Fatalf("operation %d: %d, %v", op, r, err)
	}
	return r
}

// words packs 32-bit and 64-bit words.
func words(w ...any) (b []byte) {
	for _, w := range w {
		switch w := w.(type) {
		case uint32:
			b = le.AppendUint32(b, w)
		case uint64:
			b = le.AppendUint64(b, w)
		}
	}
	return b
}

// begin is tx_packet_begin: how many bytes the plugin keeps free, and whether a frame is to ride along.
func (g *guest) begin(pn uint64, room int, waiting uint64) (reserve int, ride bool) {
	g.t.Helper()
	g.must(opBegin, 0, 0, nil, words(pn, uint32(room), uint32(0), waiting, uint32(1e6), uint32(0)))
	out, _ := g.mem.Read(g.ctx+2048, 16)
	return int(le.Uint32(out[8:])), le.Uint32(out[12:]) == frameSource+1
}

// write is frame_write.
func (g *guest) write(token, frame uint32, pn uint64, room int) []byte {
	g.t.Helper()
	n := g.must(opWrite, token, 0, nil, words(pn, frame, uint32(room), uint64(0)))
	b, _ := g.mem.Read(g.tx, uint32(max(n, 0)))
	return bytes.Clone(b)
}

// send sends a packet and returns the SOURCE frame in it, nil if there is none. waiting are the bytes that wait.
func (g *guest) send(p packet, streams bool, waiting uint64) []byte {
	g.t.Helper()
	if _, ride := g.begin(p.pn, 1200, waiting); !ride {
		return nil
	}
	g.outstanding[p.pn], g.newest = true, max(g.newest, p.pn)
	flags := uint32(1)
	if streams {
		flags |= 4
	}
	n := g.must(opWrite, 0, flags, p.frames, words(p.pn, uint32(frameSource), uint32(4), waiting))
	if n <= 0 {
		return nil
	}
	b, _ := g.mem.Read(g.tx, uint32(n))
	return bytes.Clone(b)
}

// take lets the plugin take a frame that came in packet pn, behind other frames.
func (g *guest) take(frame uint32, pn uint64, body, before []byte) int64 {
	g.t.Helper()
	view := append(bytes.Clone(body), before...)
	at := g.rx + uint32(len(body))
	if len(before) == 0 {
		at = 0
	}
	g.mem.Write(g.rx, view)
	in := words(pn, at, uint32(len(before)))
	if len(before) > 0 { // do writes the body only
		g.mem.Write(at, before)
	}
	return g.must(opTake, frame, 0, body, in)
}

// repairs writes all REPAIR frames that wait, into packets from pn on.
func (g *guest) repairs(pn uint64) (bodies [][]byte) {
	g.t.Helper()
	return append(bodies, g.frames(frameRepair, pn)...)
}

// frames writes all frames of a kind that wait.
func (g *guest) frames(frame uint32, pn uint64) (bodies [][]byte) {
	g.t.Helper()
	var rest []reservation
	all := g.reserved
	g.reserved = nil
	for _, r := range all {
		if r.frame != frame {
			rest = append(rest, r)
			continue
		}
		if b := g.write(r.token, frame, pn, int(r.size)); len(b) > 0 {
			bodies = append(bodies, b)
			pn++
		}
	}
	g.reserved = append(rest, g.reserved...)
	return bodies
}

func (g *guest) acked(pn uint64) { g.settle(pn, 0) }
func (g *guest) lost(pn uint64)  { g.settle(pn, 1) }

func (g *guest) settle(pn uint64, how int) {
	g.settled[how]++
	delete(g.outstanding, pn)
}
