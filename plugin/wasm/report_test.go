package wasm_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// dispatcher is a module whose pq_call calls, in one arm, a helper twice and the host, in another something without a bound.
func dispatcher(arm string) []byte {
	leaf := strings.Repeat("\x41\x00\x1a", 5) // 10 units, 15 with its entry
	return mod(
		sec(1, vec("\x60\x02\x7f\x7f\x01\x7e", "\x60\x00\x00", "\x60\x01\x7f\x01\x7f")),
		sec(2, vec("\x02pq\x04host\x00\x02")),
		sec(3, vec("\x00", "\x01", "\x01", "\x01")),
		sec(4, vec("\x70\x00\x01")),
		sec(5, vec("\x00\x01")),
		sec(7, vec("\x07pq_call\x00\x01", "\x06memory\x02\x00")),
		sec(9, vec("\x00\x41\x00\x0b"+vec("\x02"))),
		sec(10, vec(
			body("\x20\x00\x04\x40\x10\x02\x10\x02\x41\x00\x10\x00\x1a\x05"+arm+"\x0b\x42\x00"),
			body(leaf),
			body("\x03\x40\x0c\x00\x0b"),
			body("\x10\x04"),
		)),
		sec(0, "\x04name", "\x01", uleb(13), vec("\x02\x04leaf", "\x03\x04spin")),
	)
}

func TestTheReportBoundsADispatcherWithoutLoops(t *testing.T) {
	for _, tc := range []struct {
		arm, why string
		worst    uint64
	}{
		// entry 5, if 2, two calls 2 + 2·15, host 202, result 1
		{"", "", 5 + 2 + 32 + 202 + 1},
		{"\x10\x02\x10\x02" + strings.Repeat("\x10\x02", 20), "", 5 + 2 + 22*16 + 1},
		{strings.Repeat("\x41\x00\x11\x01\x00", 20), "", 5 + 2 + 20*17 + 1},
		{"\x10\x03", "loops in spin", 0},
		{"\x10\x04", "recursion in function 4", 0},
		{"\x03\x40\x0b", "loops", 0},
		{"\x41\x00\x41\x00\x41\x00\xfc\x0b\x00", "lengths", 0},
		{"\x41\x00\x41\x00\x10\x01\x1a", "recursion", 0},
	} {
		_, report := metered(t, dispatcher(tc.arm))
		f, ok := report.Function("pq_call")
		if !ok || f.Bounded != (tc.why == "") || f.Why != tc.why || f.Worst != tc.worst {
			t.Errorf("arm %x: bounded %v, %q, worst %d; want %q, %d", tc.arm, f.Bounded, f.Why, f.Worst, tc.why, tc.worst)
		}
		if !slices.Equal(f.HostCalls, []string{"pq.host"}) {
			t.Errorf("host calls %q", f.HostCalls)
		}
	}
	_, report := metered(t, dispatcher(""))
	if _, ok := report.Function("memory"); ok {
		t.Error("a memory is reported as a function")
	}
}

// TestTheWorstOfATreeOfCallsSaturates: a call tree of 2^n leaves has no loop, and a worst that is beyond any budget.
func TestTheWorstOfATreeOfCallsSaturates(t *testing.T) {
	bodies := []string{body()}
	for i := range 200 {
		bodies = append(bodies, body("\x10"+uleb(i), "\x10"+uleb(i)))
	}
	_, report := metered(t, mod(sec(1, vec("\x60\x00\x00")), sec(3, times(len(bodies), "\x00")), sec(10, vec(bodies...))))
	last := report.Functions[len(bodies)-1]
	if !last.Bounded || last.Worst < 1<<60 || last.Entry != 7 {
		t.Errorf("entry %d, worst %d, bounded %v: want an entry of 7 and a worst beyond any budget", last.Entry, last.Worst, last.Bounded)
	}
}

func TestTheReportIsJSON(t *testing.T) {
	_, report := metered(t, dispatcher(""))
	b, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"imports":[{"module":"pq","name":"host","type":"(i32) -\u003e i32","in_table":false}]`,
		`"exports":[{"name":"pq_call","kind":"func","function":1,"type":"(i32, i32) -\u003e i64"},{"name":"memory","kind":"memory"}]`,
		`{"index":3,"name":"spin","type":"()","bytes":8,"locals":0,"entry":5,"cuts":[],"total":1,"loops":[3],"nesting":1,"recursive":false,"bulk":false,"host_calls":[],"indirect":false,"bounded":false,"why":"loops"}`,
		`"min_pages":1,"max_pages":16,"table":1`,
		`{"kind":"custom","name":"name","bytes":22}`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s\nis not in %s", want, b)
		}
	}
	var again wasm.Report
	if err := json.Unmarshal(b, &again); err != nil || again.Metered != report.Metered {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

func TestTheTableOfCostsNamesThemAll(t *testing.T) {
	for _, p := range wasm.DefaultCosts().Table() {
		if p.What == "" || p.Per == 0 || p.Units == 0 {
			t.Errorf("%+v", p)
		}
	}
}
