package plugin

import (
	"fmt"
	"math"
	"time"

	"github.com/seed51309289/quiver/plugin/pack"
)

// Policy says which plugins may run and how much they may do. The zero value is for files that the user named by hand: it grants what the
// manifest declares, within the default limits. A plugin beyond the policy is refused as a whole.
type Policy struct {
	// Trust is asked whether a plugin may run. nil trusts every file: for plugins that are the program's own.
	Trust *pack.Trust
	// Remote marks plugins that a peer offers: some permissions are not granted to them unless they are pinned.
	Remote bool

	MaxSize   int // bytes of a package; 0 = pack.MaxSize
	MaxPages  int // of 64 KiB, of memory; 0 = pack.MaxMemoryPages
	MaxFuel   int // of one call; 0 = DefaultFuel
	FuelRate  int // of all plugins of a connection together, in a second; 0 = DefaultFuelRate, negative = what this one runs does not count
	FuelBurst int // … and at once; 0 = DefaultFuelBurst

	// FuelPerPacket is what they may run beside that for each call that a packet brings; 0 = DefaultFuelPerPacket, negative = nothing.
	FuelPerPacket int

	MaxWindow uint64 // bytes that a congestion controller may have in flight; 0 = DefaultMaxWindow
	MaxPacing uint64 // bytes a second that it may send; 0 = as many as it likes

	// Now tells the time against which trust expires. nil = time.Now.
	Now func() time.Time
}

// DefaultMaxWindow is the largest congestion window of a plugin's controller: what 80 Gbit/s fill in 100 ms.
const DefaultMaxWindow = 1 << 30

// maxBurst keeps the arithmetic of a bucket far from overflow.
const maxBurst = 1 << 30

func orDefault[T int | uint64](v, standard T) T {
	if v == 0 {
		return standard
	}
	return v
}

func (p *Policy) maxFuel() int { return orDefault(p.MaxFuel, DefaultFuel) }
func (p *Policy) maxPages() int {
	return min(orDefault(p.MaxPages, pack.MaxMemoryPages), pack.MaxMemoryPages)
}
func (p *Policy) maxWindow() uint64 {
	return min(orDefault(p.MaxWindow, DefaultMaxWindow), math.MaxInt)
}
func (p *Policy) maxPacing() uint64 { return orDefault(p.MaxPacing, math.MaxInt64) }

func (p *Policy) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// newBucket returns the fuel of one connection; nil = without a limit.
func (p *Policy) newBucket() *bucket {
	rate := orDefault(p.FuelRate, DefaultFuelRate)
	if rate < 0 {
		return nil
	}
	burst := min(orDefault(p.FuelBurst, DefaultFuelBurst), maxBurst)
	return newBucket(int64(rate), int64(burst), int64(max(orDefault(p.FuelPerPacket, DefaultFuelPerPacket), 0)))
}

// judge refuses a package that may not run here.
func (p *Policy) judge(k *pack.Package) (pack.Grant, error) {
	l := &k.Manifest.Limits
	switch most := orDefault(p.MaxSize, pack.MaxSize); {
	case len(k.Raw) > most: // where it was not read for this policy, but is in memory or on disk for another
		return pack.Grant{}, refuse(k.File, "", "has %d bytes, at most %d are allowed", len(k.Raw), most)
	case l.MemoryPages > p.maxPages():
		return pack.Grant{}, refuse(k.File, "limits.memory_pages", "%d, at most %d are allowed here", l.MemoryPages, p.maxPages())
	case l.Fuel > p.maxFuel():
		return pack.Grant{}, refuse(k.File, "limits.fuel", "%d, at most %d are allowed here", l.Fuel, p.maxFuel())
	}
	if p.Trust == nil {
		return pack.GrantAll(k), nil
	}
	return pack.Judge(k, p.Trust, p.Remote, p.now())
}

// refuse makes a refusal: file, field, and the rule that it breaks.
func refuse(file, field, rule string, args ...any) *pack.Error {
	return &pack.Error{File: file, Field: field, Rule: fmt.Sprintf(rule, args...)}
}
