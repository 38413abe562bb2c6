package wasm_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// TestTheVersionIsRaisedWhenModulesAreJudgedOrMeteredOtherwise: what an earlier program found right and kept is not looked at again. The sum is of
// what becomes of random programs, whole and with a byte changed.
func TestTheVersionIsRaisedWhenModulesAreJudgedOrMeteredOtherwise(t *testing.T) {
	const version, want = 2, "825eb1b44160c12f57316013590e10aa"
	h, r := sha256.New(), rand.New(rand.NewPCG(1, 2))
	for seed := range uint64(200) {
		b := randomProgram(seed)
		for n := range 10 {
			if n > 0 {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			m, err := wasm.Parse(b)
			var out []byte
			if err == nil {
				out, _, err = wasm.Meter(m, wasm.Rules{}, wasm.DefaultCosts())
			}
			fmt.Fprintf(h, "%x %t\n", out, err == nil)
		}
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)[:16]); got != want || wasm.Version != version {
		t.Errorf("sum %s of version %d, want %s of %d: if modules are judged or metered otherwise now, raise Version, and change both here", got, wasm.Version, want, version)
	}
}
