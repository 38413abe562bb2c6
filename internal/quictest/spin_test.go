package quictest

import (
	"math/rand/v2"
	"testing"
)

// Commands at random, with faults at random, as FuzzConnOps runs them from bytes.
func TestRandomCommandsHarmNothing(t *testing.T) {
	seeds(t, 150, func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := newOpsRun(t)
		kinds := []byte{0, 0, 1, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7, 7, 8, 9}
		for range 300 {
			r.do(kinds[random.IntN(len(kinds))]<<4|byte(random.IntN(2)), byte(random.Uint32()), byte(random.Uint32())>>random.IntN(4))
			r.check()
		}
		if random.IntN(10) == 0 {
			r.do(10<<4|byte(random.IntN(2)), 1, 255)
		}
		r.settle()
	})
}
