package crypt

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/chacha20"
)

// TestChaChaMaskIsThatOfTheLibrary compares our block with the library's.
func TestChaChaMaskIsThatOfTheLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	for i := range 2000 {
		key, sample := random(32), random(16)
		if i == 0 {
			binary.LittleEndian.PutUint32(sample, 1<<32-1) // the last counter
		}
		m, err := newChaChaMask(key)
		if err != nil {
			t.Fatal(err)
		}
		var got, want [16]byte
		m.mask(&got, sample)
		c, err := chacha20.NewUnauthenticatedCipher(key, sample[4:])
		if err != nil {
			t.Fatal(err)
		}
		c.SetCounter(binary.LittleEndian.Uint32(sample))
		c.XORKeyStream(want[:], want[:])
		if got != want {
			t.Fatalf("mask(key %x, sample %x) = %x, want %x", key, sample, got, want)
		}
	}
}
