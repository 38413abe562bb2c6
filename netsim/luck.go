package netsim

import (
	"math/bits"
	"time"
)

// purpose separates the random choices made for one packet, so that switching one impairment on does not
// change what another does.
type purpose uint64

const (
	forLoss purpose = iota + 1
	forCorruption
	forCorruptPlace
	forCorruptValue
	forJitter
	forReorder
	forDuplicate
	forCEMark
	forNATPort
	forNATAddr
	forOtherLoss
)

// luck returns 64 random bits that depend on its arguments only: three rounds of the SplitMix64 finaliser
// (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014), one per argument.
func luck(seed uint64, dir Side, why purpose, n uint64) uint64 {
	x := mix64(seed + golden)
	x = mix64(x ^ (uint64(dir)<<32 | uint64(why)) + golden)
	return mix64(x ^ n + golden)
}

const golden = 0x9e3779b97f4a7c15

func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// chance reports true with probability p (0..1).
func chance(p float64, r uint64) bool {
	return p > 0 && float64(r>>11)/(1<<53) < p
}

// below maps r to 0..n-1 without a visible bias for the small n used here.
func below[T int | time.Duration](n T, r uint64) T {
	hi, _ := bits.Mul64(r, uint64(n))
	return T(hi)
}
