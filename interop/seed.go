package interop

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Seed decides every random choice of a run: file names and bytes, the names of compliance checks, and the simulator's
// losses. Two runs with the same seed over the same programs ask the same of them.
type Seed uint64

// Job returns the seed of one job. It depends on nothing but its arguments, so a single cell can be run again alone.
// repetition counts from 1.
func (s Seed) Job(client, server, test string, repetition int) Seed {
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%s\x00%d", uint64(s), client, server, test, repetition)
	return Seed(binary.BigEndian.Uint64(h.Sum(nil)))
}

// source returns a random source for one purpose, independent of every other purpose under the same seed.
func (s Seed) source(purpose string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d\x00%s", uint64(s), purpose)))
}

// Words of file names. One environment string holds 128 KiB, and multiplexing puts 1,999 URLs into it, so a URL with its
// name must stay below 65 bytes.
var (
	slugAdjectives = strings.Fields(`amber brave brisk calm clear cosmic crisp dapper eager early fancy fleet fresh gentle
		glad golden happy hidden humble jolly keen lively lucky mellow misty noble plain proud quick quiet silver sunny`)
	slugColours = strings.Fields(`azure beige black blue bronze brown coral cream crimson cyan ebony emerald fawn gold
		green grey indigo ivory jade khaki lemon lilac lime maroon mint navy ochre olive peach pink ruby teal`)
	slugNouns = strings.Fields(`acorn arrow badger beacon birch bridge canyon cedar comet dune falcon fern glacier harbor
		heron island lantern maple meadow otter pebble pine quiver raven reef river shell sparrow spruce summit tide valley`)
)

// slugs returns n different names made of lower-case letters and hyphens.
func slugs(src rand.Source, n int) []string {
	r := rand.New(src)
	pick := func(words []string) string { return words[r.IntN(len(words))] }
	seen := make(map[string]bool, n)
	list := make([]string, 0, n)
	for len(list) < n {
		name := pick(slugAdjectives) + "-" + pick(slugColours) + "-" + pick(slugNouns)
		if seen[name] {
			name += "-" + pick(slugNouns)
		}
		if !seen[name] {
			seen[name] = true
			list = append(list, name)
		}
	}
	return list
}

// letters returns n names of size lower-case letters; so long ones do not meet by chance.
func letters(src rand.Source, n, size int) []string {
	r := rand.New(src)
	list := make([]string, n)
	for i := range list {
		name := make([]byte, size)
		for j := range name {
			name[j] = 'a' + byte(r.IntN(26))
		}
		list[i] = string(name)
	}
	return list
}
