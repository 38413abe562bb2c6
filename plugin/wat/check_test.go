package wat_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"regexp"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wat"
	"github.com/tetratelabs/wazero"
)

var tokens = regexp.MustCompile(`"(\\.|[^"])*"|;;.*|\(;|;\)|[()]|[^\s()";]+`)

var (
	types = regexp.MustCompile(`\b(i32|i64|f32|f64|v128|funcref)\b`)
	lists = regexp.MustCompile(`\([^()"]*\)|\([^()"]*\([^()"]*\)[^()"]*\)`)
)

// mutate changes one place of a source: another type, a list less or twice, or
// tokens removed, replaced, inserted or swapped.
func mutate(rng *rand.Rand, src []byte) []byte {
	switch rng.Intn(3) {
	case 0:
		at := types.FindAllIndex(src, -1)
		a, other := at[rng.Intn(len(at))], at[rng.Intn(len(at))]
		return bytes.Join([][]byte{src[:a[0]], src[other[0]:other[1]], src[a[1]:]}, nil)
	case 1:
		at := lists.FindAllIndex(src, -1)
		a := at[rng.Intn(len(at))]
		return bytes.Join([][]byte{src[:a[0]], bytes.Repeat(src[a[0]:a[1]], 2*rng.Intn(2)), src[a[1]:]}, nil)
	}
	return mutateTokens(rng, src)
}

func mutateTokens(rng *rand.Rand, src []byte) []byte {
	at := tokens.FindAllIndex(src, -1)
	i := rng.Intn(len(at) - 1)
	a, other, next := at[i], at[rng.Intn(len(at))], at[i+1]
	parts := [][]byte{src[:a[0]], src[a[1]:]}
	switch rng.Intn(4) {
	case 1:
		parts = [][]byte{src[:a[0]], src[other[0]:other[1]], src[a[1]:]}
	case 2:
		parts = [][]byte{src[:a[0]], src[other[0]:other[1]], src[a[0]:]}
	case 3:
		parts = [][]byte{src[:a[0]], src[next[0]:next[1]], src[a[0]:a[1]], src[next[1]:]}
	}
	return bytes.Join(parts, []byte(" "))
}

// beyond are what the validator knows and Assemble does not ask.
var beyond = []string{"constant", "const", "immutable", "mutable", "undeclared function reference", "memory", "start", "global", "duplicate", "multiple", "table.init", "table.copy"}

func isBeyond(err error) bool {
	for _, part := range beyond {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}

// valid asks the engine whether a binary is.
func valid(r wazero.Runtime, b []byte) error {
	m, err := r.CompileModule(context.Background(), b)
	if err == nil {
		m.Close(context.Background())
	}
	return err
}

// TestTypesAreThoseOfTheEngine changes sources at random, and asks Assemble and
// the engine of what comes out whether it is well typed.
func TestTypesAreThoseOfTheEngine(t *testing.T) {
	const seed, rounds = 5, 400
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	r := engine(t)
	agreed := map[bool]int{}
	for _, path := range []string{"control", "fields", "vectors", "bare", "cc", "instructions"} {
		src := read(t, "testdata/"+path+".wat")
		n := rounds
		if path == "instructions" {
			n = rounds / 5
		}
		for range n {
			changed := mutate(rng, src)
			b, err := wat.Options{Unchecked: true}.Assemble(path, changed)
			if err != nil {
				continue
			}
			_, ours := wat.Assemble(path, changed)
			theirs := valid(r, b)
			var e *wat.Error
			switch {
			case errors.As(ours, &e) && e.Kind != wat.Type:
				t.Errorf("%s: %v, only when types are checked", path, ours)
			case ours != nil && theirs == nil && selects(changed, e.Line):
				// wazero 1.12 does not compare the operands of a select with its
				// result, which the specification does (§3.3.3.2).
			case ours != nil && theirs == nil:
				t.Errorf("%s: the engine takes what is refused: %v\n%s", path, ours, near(changed, e.Line))
			case ours == nil && theirs != nil && !isBeyond(theirs):
				t.Errorf("%s: the engine refuses what is assembled: %v", path, theirs)
			default:
				agreed[ours == nil]++
			}
		}
	}
	if agreed[true] < 100 || agreed[false] < 100 {
		t.Errorf("%d sources were well typed and %d were not: the test compares too few", agreed[true], agreed[false])
	}
}

func selects(src []byte, line int) bool {
	return bytes.Contains(near(src, line), []byte("select (result"))
}

func near(src []byte, line int) []byte {
	return bytes.Split(src, []byte("\n"))[line-1]
}
