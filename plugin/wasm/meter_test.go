package wasm_test

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/seed51309289/quiver/plugin/wasm"
)

func parsed(t *testing.T, b []byte) *wasm.Module {
	t.Helper()
	m, err := wasm.ParseMax(b, 2*wasm.DefaultMaxSize)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMeterAppendsAndRenumbersNothing(t *testing.T) {
	for name, b := range map[string][]byte{"kernels": file(t, "kernels.wasm"), "hostile": file(t, "hostile.wasm"), "every section": everySection,
		"random": randomProgram(1), "nothing": mod(), "only a custom section": mod(sec(0, "\x01a"))} {
		out, _ := metered(t, b)
		was, is := parsed(t, b), parsed(t, out)
		sameCustoms(t, b, out)
		for _, x := range []struct {
			what    string
			was, is any
			more    int
		}{
			{"types", was.Types, is.Types, 1},
			{"imports", len(was.Imports), len(is.Imports), 0},
			{"functions", was.Funcs, is.Funcs, 2},
			{"data segments", len(was.Data), len(is.Data), 0},
			{"element segments", len(was.Elements), len(is.Elements), 0},
			{"tables", len(was.Tables), len(is.Tables), 0},
		} {
			if !beginsWith(x.is, x.was, x.more) {
				t.Errorf("%s: %s are %v, were %v", name, x.what, x.is, x.was)
			}
		}
		if len(is.Globals) != len(was.Globals)+1 || len(is.Exports) != len(was.Exports)+1 {
			t.Errorf("%s: %d globals and %d exports, were %d and %d", name, len(is.Globals), len(is.Exports), len(was.Globals), len(was.Exports))
		}
		for i, e := range was.Exports {
			if n := is.Exports[i]; n.Name != e.Name || n.Index != e.Index || n.Kind != e.Kind {
				t.Errorf("%s: export %d is %+v, was %+v", name, i, n, e)
			}
		}
		last := is.Exports[len(is.Exports)-1]
		if g := is.Globals[last.Index]; last.Name != wasm.FuelExport || int(last.Index) != len(was.Globals) || g.Type != wasm.I64 || !g.Mutable {
			t.Errorf("%s: fuel is %+v, exported as %+v", name, g, last)
		}
		for i := range was.NumFuncs() {
			if a, b := was.FuncName(uint32(i)), is.FuncName(uint32(i)); a != b {
				t.Errorf("%s: function %d is %q, was %q", name, i, b, a)
			}
		}
	}
}

// beginsWith reports whether is, if it is a slice, is was and at most more items, or else equals it.
func beginsWith(is, was any, more int) bool {
	a, b := reflect.ValueOf(is), reflect.ValueOf(was)
	if a.Kind() != reflect.Slice {
		return reflect.DeepEqual(is, was)
	}
	n := b.Len()
	return a.Len() >= n && a.Len() <= n+more && (n == 0 || reflect.DeepEqual(a.Slice(0, n).Interface(), was))
}

func TestAMemoryWithoutMaximumGetsTheOneOfTheRules(t *testing.T) {
	for _, tc := range []struct{ limits, want string }{
		{"\x00\x02", "\x01\x01\x02\x10"},
		{"\x01\x02\x03", "\x01\x01\x02\x03"},
		{"\x01\x82\x80\x00\x03", "\x01\x01\x02\x03"},
	} {
		out, report := metered(t, mod(sec(5, vec(tc.limits))))
		for _, s := range parsed(t, out).Sections {
			if s.ID == wasm.SectionMemory && string(s.Payload(out)) != tc.want {
				t.Errorf("%x becomes %x, want %x", tc.limits, s.Payload(out), tc.want)
			}
		}
		if want := uint32(tc.want[3]); report.MaxPages != want || report.MinPages != 2 {
			t.Errorf("the report says %d to %d pages, want 2 to %d", report.MinPages, report.MaxPages, want)
		}
	}
}

func TestMeterIsDeterministicAndLeavesItsInput(t *testing.T) {
	b := file(t, "kernels.wasm")
	was := bytes.Clone(b)
	one, _ := metered(t, b)
	two, _ := metered(t, b)
	if !bytes.Equal(one, two) || !bytes.Equal(b, was) {
		t.Error("two results differ, or the input has changed")
	}
}

func TestMeterRefusesWhatCheckRefuses(t *testing.T) {
	m := parsed(t, fn("\x10\x07"))
	if _, _, err := wasm.Meter(m, wasm.Rules{}, wasm.DefaultCosts()); err == nil || !strings.Contains(err.Error(), "function 7 of 1") {
		t.Errorf("Meter = %v, want the refusal of Check", err)
	}
}

func TestCostsMustMakeLoopsDearAndNoSumOverflow(t *testing.T) {
	for what, change := range map[string]func(*wasm.Costs){
		"free instructions": func(c *wasm.Costs) { c.Instruction = 0 },
		"a price too high":  func(c *wasm.Costs) { c.HostCall = wasm.MaxCost + 1 },
		"a shift too far":   func(c *wasm.Costs) { c.BytesShift = 32 },
	} {
		costs := wasm.DefaultCosts()
		change(&costs)
		if _, _, err := wasm.Meter(parsed(t, fn()), wasm.Rules{}, costs); err == nil {
			t.Errorf("%s are accepted", what)
		}
	}
	dear := wasm.Costs{Instruction: wasm.MaxCost, Entry: wasm.MaxCost, Recursion: wasm.MaxCost, Loop: wasm.MaxCost, Division: wasm.MaxCost,
		HostCall: wasm.MaxCost, Grow: wasm.MaxCost, Bulk: wasm.MaxCost}
	out, _, err := wasm.Meter(parsed(t, randomProgram(3)), wasm.Rules{}, dear)
	if err != nil {
		t.Fatal(err)
	}
	g := instantiate(t, newRuntime(t, wazero.NewRuntimeConfigInterpreter()), out)
	if _, spent, err := g.call(1<<62, "f0", 1, 2); err == nil && spent <= 0 {
		t.Errorf("f0 at the highest prices spends %d", spent)
	}
}

// TestARegionPaysForItsDearestPath gives each body with what its entry and its loops pay, beside the 5 of an entry and the 2 of a loop's head.
func TestARegionPaysForItsDearestPath(t *testing.T) {
	const (
		nop1    = "\x41\x00\x1a"                                                 // i32.const 0, drop: 2 units
		nop3    = nop1 + nop1 + nop1                                             // 6 units
		cond    = "\x41\x00"                                                     // 1 unit
		block   = "\x02\x40"                                                     //
		loop    = "\x03\x40"                                                     //
		iff     = "\x04\x40"                                                     // 1 unit
		els     = "\x05"                                                         //
		end     = "\x0b"                                                         //
		br0     = "\x0c\x00"                                                     // 1 unit, as br_if and return
		br1     = "\x0c\x01"                                                     //
		brIf0   = "\x0d\x00"                                                     //
		brIf1   = "\x0d\x01"                                                     //
		ret     = "\x0f"                                                         //
		trap    = "\x00"                                                         //
		brTable = "\x0e\x02\x00\x01\x02"                                         //
		div     = "\x41\x01\x41\x01\x6d\x1a"                                     // 11 units
		copyOne = "\x41\x00\x41\x00\x41\x01\xfc\x0a\x00\x00"                     // 35 units
		sqrt    = "\x44\x00\x00\x00\x00\x00\x00\x00\x00\x9f\x1a"                 // 10 units
		vdiv    = "\xfd\x0c0123456789abcdef\xfd\x0c0123456789abcdef\xfd\xe7\x01" // 10 units
		grow    = "\x41\x00\x40\x00\x1a"                                         // 2002 units
	)
	for _, tc := range []struct {
		what, body string
		entry      uint64
		loops      []uint64
	}{
		{"nothing", "", 0, nil},
		{"straight", nop1 + nop3, 8, nil},
		{"if without else", cond + iff + nop3 + end + nop1, 10, nil},
		{"if with the dearer part first", cond + iff + nop3 + els + nop1 + end + nop1, 10, nil},
		{"if with the dearer part last", cond + iff + nop1 + els + nop3 + end + nop1, 10, nil},
		{"if that leaves", cond + iff + nop3 + ret + els + nop1 + end + nop1, 9, nil},
		{"if whose else leaves", cond + iff + nop3 + els + nop1 + trap + end + nop1, 10, nil},
		{"branch over", block + cond + brIf0 + nop3 + end + nop1, 10, nil},
		{"branch for good", block + nop1 + br0 + nop3 + end + nop1, 5, nil},
		{"after return", nop1 + ret + nop3, 3, nil},
		{"block that nothing leaves", block + trap + end + nop3, 1, nil},
		{"switch", block + block + block + cond + brTable + end + nop3 + br1 + end + nop1 + br0 + end + nop1, 11, nil},
		{"division", div, 11, nil},
		{"square root", sqrt, 10, nil},
		{"vector division", vdiv + "\x1a", 11, nil},
		{"growing", grow, 2002, nil},
		{"length", copyOne, 35, nil},
		{"endless loop", loop + br0 + end, 0, []uint64{1}},
		{"loop", nop1 + loop + nop3 + cond + brIf0 + end + nop1, 4, []uint64{8}},
		{"loop with a continue", loop + cond + brIf0 + nop3 + end, 0, []uint64{8}},
		{"loop left from within", block + loop + nop1 + cond + brIf1 + nop3 + br0 + end + end + nop1, 2, []uint64{11}},
		{"code behind a loop that does not end", block + loop + nop1 + br0 + end + nop3 + end + nop1, 0, []uint64{3}},
		{"loop in a loop", loop + nop1 + loop + nop3 + cond + brIf0 + cond + brIf1 + end + nop1 + end, 0, []uint64{4, 10}},
		{"loop in an arm", cond + iff + nop1 + loop + nop3 + end + els + nop3 + nop1 + end, 10, []uint64{6}},
		{"return from a loop", nop1 + loop + cond + iff + ret + end + br0 + end + nop3, 2, []uint64{3}},
		{"loop that nothing gets to", ret + loop + nop1 + br0 + end, 1, []uint64{3}},
	} {
		_, report := metered(t, fn(tc.body))
		f := report.Functions[0]
		for i := range tc.loops {
			tc.loops[i] += 2
		}
		if f.Entry != tc.entry+5 || !slices.Equal(f.Loops, tc.loops) {
			t.Errorf("%s: entry %d, loops %d, want %d and %d", tc.what, f.Entry, f.Loops, tc.entry+5, tc.loops)
		}
	}
}

// TestAFunctionThatMayCallItselfPaysForItsFrame: 1000 arms of which one runs have a frame for them all, and 2,000 frames would be a stack of
// many megabytes for the price of a few arms.
func TestAFunctionThatMayCallItselfPaysForItsFrame(t *testing.T) {
	arm := "\x41\x00\x04\x40" + strings.Repeat("\x41\x00\x1a", 10) + "\x0f\x0b"
	arms := strings.Repeat(arm, 100) // 23 units each
	for what, tc := range map[string]struct {
		body string
		want uint64
	}{
		"not recursive": {arms, 5 + 34*2 + 21}, // the rest is cut off
		"by itself":     {arms + "\x10\x00", 100 + 100*23 + 1},
		"by the table":  {arms + "\x41\x00\x11\x00\x00", 100 + 100*23 + 2},
	} {
		b := mod(sec(1, vec("\x60\x00\x00")), sec(3, vec("\x00")), sec(4, vec("\x70\x00\x01")), sec(9, vec("\x00\x41\x00\x0b"+vec("\x00"))), sec(10, vec(body(tc.body))))
		_, report := metered(t, b)
		if got := report.Functions[0].Entry; got != tc.want {
			t.Errorf("%s: an entry costs %d, want %d", what, got, tc.want)
		}
	}
}

// TestWhatNotEveryPathGetsToIsPaidWhereItBegins: an operation of a dispatcher must not pay for another's work.
func TestWhatNotEveryPathGetsToIsPaidWhereItBegins(t *testing.T) {
	const (
		block, cond, iff, els, end, brTable = "\x02\x40", "\x41\x00", "\x04\x40", "\x05", "\x0b", "\x0e\x02\x00\x01\x02"
		br0, br1, brIf0, ret                = "\x0c\x00", "\x0c\x01", "\x0d\x00", "\x0f"
	)
	dear := strings.Repeat("\x41\x00\x1a", 40) // 80 units
	cheap := strings.Repeat("\x41\x00\x1a", 10)
	for _, tc := range []struct {
		what, body string
		entry      uint64
		cuts       []uint64
	}{
		{"an arm of an if", cond + iff + dear + els + cheap + end, 22, []uint64{80}},
		{"both arms of an if", cond + iff + dear + els + dear + end + cheap, 22, []uint64{80, 80}},
		{"what stands behind an if is on every path", cond + iff + end + dear, 82, nil},
		{"behind a branch", block + cond + brIf0 + dear + end + cheap, 22, []uint64{80}},
		{"behind a block that returns", block + cond + brIf0 + ret + end + dear, 3, []uint64{80}},
		{"behind a block that nothing leaves", block + cheap + end + dear, 100, nil},
		{"a switch", block + block + block + cond + brTable + end + dear + br1 + end + dear + br0 + end + cheap, 22, []uint64{81, 81}},
		{"an arm in an arm", cond + iff + dear + cond + iff + dear + end + end, 2, []uint64{82, 80}},
		{"a chain of branches", block + strings.Repeat(cond+brIf0+cheap, 8) + end, 46, []uint64{66, 64}},
		{"in a loop", "\x03\x40" + cond + iff + dear + end + cond + brIf0 + end, 0, []uint64{80}},
	} {
		_, report := metered(t, fn(tc.body))
		f := report.Functions[0]
		if f.Entry != tc.entry+5 || !slices.Equal(f.Cuts, tc.cuts) {
			t.Errorf("%s: entry %d, cuts %d, want %d and %d", tc.what, f.Entry, f.Cuts, tc.entry+5, tc.cuts)
		}
	}
}

// TestCallsByTheTablePayForTheHostIfItIsThere: only element segments fill tables, so the module says whether an import can be called that way.
func TestCallsByTheTablePayForTheHostIfItIsThere(t *testing.T) {
	module := func(entries ...string) []byte {
		return mod(
			sec(1, vec("\x60\x01\x7f\x01\x7f", "\x60\x01\x7f\x01\x7f", "\x60\x00\x00")),
			sec(2, vec("\x02pq\x04host\x00\x00")),
			sec(3, vec("\x01", "\x02")),
			sec(4, vec("\x70\x00\x02")),
			sec(7, vec("\x01f\x00\x01")),
			sec(9, vec("\x00\x41\x00\x0b"+vec(entries...))),
			sec(10, vec(body("\x20\x00\x41\x00\x11\x01\x00"), body())),
		)
	}
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	for what, tc := range map[string]struct {
		entries []string
		want    int64
	}{
		"the host by another index of its type": {[]string{"\x00"}, 5 + 2 + 200},
		"nothing of that type":                  {[]string{"\x02", "\x02"}, 5 + 3},
	} {
		code, report := metered(t, module(tc.entries...))
		_, spent, err := instantiate(t, r, code).call(1000, "f", 1)
		if spent != tc.want || report.Imports[0].InTable != (err == nil) {
			t.Errorf("%s: spends %d, want %d; %v", what, spent, tc.want, err)
		}
	}
}

// TestLoopsPayFromTheFuelThatIsLeft: loops that call nothing hold fuel in a local as well, which calls around them must not make stale.
func TestLoopsPayFromTheFuelThatIsLeft(t *testing.T) {
	const (
		count = "\x20%\x41\x01\x6a\x22%\x41\x03\x49\x0d\x00" // local % + 1 < 3: once more; 7 units
		zero  = "\x41\x00\x21%"                              // 2 units
	)
	in := func(local, code string) string { return strings.ReplaceAll(code, "%", local) }
	inner := in("\x01", zero) + "\x03\x40" + in("\x01", count) + "\x0b" // 3 heads of 2 + 7
	host := "\x41\x00\x10\x00\x1a"                                      // 202
	leaf := "\x10\x02"                                                  // 1, and the leaf's 5
	r := newRuntime(t, wazero.NewRuntimeConfigCompiler())
	for what, tc := range map[string]struct {
		code string
		want int64
	}{
		"a loop":                        {inner, 5 + 2 + 3*9},
		"two loops, a call between":     {inner + leaf + inner, 5 + 2*(2+3*9) + 6},
		"a loop in one that calls":      {in("\x00", zero) + "\x03\x40" + leaf + inner + host + in("\x00", count) + "\x0b", 5 + 2 + 3*(2+6+2+3*9+202+7)},
		"a loop in one that does not":   {in("\x00", zero) + "\x03\x40" + inner + in("\x00", count) + "\x0b", 5 + 2 + 3*(2+2+3*9+7)},
		"a length in a loop":            {in("\x00", zero) + "\x03\x40\x41\x00\x41\x00\x41\x20\xfc\x0b\x00" + in("\x00", count) + "\x0b", 5 + 2 + 3*(2+3+32+2+7)},
		"a loop in one with a length":   {in("\x00", zero) + "\x03\x40\x41\x00\x41\x00\x41\x20\xfc\x0b\x00" + inner + in("\x00", count) + "\x0b", 5 + 2 + 3*(2+3+32+2+2+3*9+7)},
		"a loop in a function it calls": {in("\x00", zero) + "\x03\x40\x10\x03" + in("\x00", count) + "\x0b", 5 + 2 + 3*(2+1+5+2+3*9+7)},
	} {
		two := func(code string) string {
			s := vec("\x02\x7f") + code + "\x0b"
			return uleb(len(s)) + s
		}
		code, _ := metered(t, mod(sec(1, vec("\x60\x00\x00", "\x60\x01\x7f\x01\x7f")), sec(2, vec("\x02pq\x04host\x00\x01")), sec(3, times(3, "\x00")),
			sec(5, vec("\x00\x01")), sec(7, vec("\x01f\x00\x01")), sec(10, vec(two(tc.code), body(), two(inner)))))
		if _, spent, err := instantiate(t, r, code).call(100_000, "f"); err != nil || spent != tc.want {
			t.Errorf("%s spends %d, %v; want %d", what, spent, err, tc.want)
		}
	}
}
