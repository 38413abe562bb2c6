package wat_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"strconv"
	"testing"

	"github.com/seed51309289/quiver/plugin/wat"
)

// bits assembles a constant of this type and returns its last bytes but one, as
// they stand before the end of the function at the end of the module.
func bits(t *testing.T, size int, literal string) uint64 {
	t.Helper()
	src := fmt.Sprintf("(func (result f%d) (f%d.const %s))", size, size, literal)
	b, err := wat.Options{NoNames: true}.Assemble("literal.wat", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	b = b[:len(b)-1]
	if size == 32 {
		return uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	}
	return binary.LittleEndian.Uint64(b[len(b)-8:])
}

// TestFloatsAreWhatTheyWere writes random floats in decimal and hexadecimal, and
// asks for the same bits.
func TestFloatsAreWhatTheyWere(t *testing.T) {
	const seed = 20250
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	for range 500 {
		single, double := math.Float32frombits(rng.Uint32()), math.Float64frombits(rng.Uint64())
		for _, format := range []byte("gex") {
			if f := float64(single); !math.IsNaN(f) {
				if got := bits(t, 32, strconv.FormatFloat(f, format, -1, 32)); got != uint64(math.Float32bits(single)) {
					t.Errorf("%x as %c: bits %x", single, format, got)
				}
			}
			if !math.IsNaN(double) {
				if got := bits(t, 64, strconv.FormatFloat(double, format, -1, 64)); got != math.Float64bits(double) {
					t.Errorf("%x as %c: bits %x", double, format, got)
				}
			}
		}
	}
}

func TestFloatsRoundOnce(t *testing.T) {
	// Rounded to 64 bits first, this would be a tie and become 1.
	const justAboveTie = "0x1.00000100000000000001"
	if got := bits(t, 32, justAboveTie); got != 0x3F800001 {
		t.Errorf("%s is %x, want 3f800001", justAboveTie, got)
	}
}
