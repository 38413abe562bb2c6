package lab

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
)

func TestSparklinesKeepPeaks(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		width  int
		want   string
	}{
		{nil, 10, ""},
		{[]float64{0, 0}, 10, "▁▁"},
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, 8, "▁▂▃▄▅▆▇█"},
		{[]float64{0, 0, 0, 8, 0, 0}, 3, "▁█▁"},
		{[]float64{math.NaN(), 4, 8}, 3, " ▅█"},
	} {
		if got := Sparkline(tc.values, tc.width); got != tc.want {
			t.Errorf("Sparkline(%v, %d) = %q, want %q", tc.values, tc.width, got, tc.want)
		}
	}
}

func TestTablesAreAsTheyWere(t *testing.T) {
	x := hook.ExtensionStats{ID: "org.example.fec", Version: "1.0.0", FramesWritten: 20, FramesAcked: 18, FramesLost: 2, BytesWritten: 9000,
		Usage: hook.Usage{Calls: 200, Fuel: 1_000_000, MaxFuel: 19_000, Memory: 70_000}}
	failed := x
	failed.Detached, failed.Why, failed.Err, failed.Faults = true, hook.DetachFault, errors.New("out of fuel"), 1
	plain, fec := made(t, 2), made(t, 1, x)
	fec.Setup = "fec"
	fec.Repetitions[2].Server.Extensions = []hook.ExtensionStats{failed}
	series := drawn(t, "plain", 1).Repetitions[0].Series
	c := &Comparison{A: "plain", B: "fec"}
	for i, s := range Grid(1, 4) {
		p := Pair{Scenario: s, A: plain, B: fec, Ratio: 0.5 * float64(i+1)}
		c.Pairs = append(c.Pairs, p)
	}
	var out strings.Builder
	for _, err := range []error{
		WriteResults(&out, plain), WriteResults(&out, plain, fec), WriteSeries(&out, Trace{"plain", series}), WriteExtensions(&out, fec), c.Write(&out),
	} {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out)
	}
	golden(t, "tables.txt", out.String())
}
