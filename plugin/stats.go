package plugin

import (
	"slices"
	"strings"

	"github.com/seed51309289/quiver/plugin/pack"
)

// Stats is what a plugin did in this process, on connections that have ended or detached it; those that run are in quic.ConnectionStats.
type Stats struct {
	ID, Version string
	Digest      pack.Digest
	Connections uint64 // that had it
	Calls       uint64
	Fuel        uint64
	Faults      int // that count towards MaxFaults
	Quarantined bool
	Idle        int // instances that wait in the pool
	Users       int // modules and extensions that hold its code
}

// Stats returns the numbers of all plugins whose code is loaded, sorted by id and version.
func (r *Runtime) Stats() []Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Stats
	for d, c := range r.modules {
		k := c.record
		all = append(all, Stats{
			ID: c.manifest.ID, Version: c.manifest.Version, Digest: d, Connections: k.connections.Load(), Calls: k.calls.Load(), Fuel: k.fuel.Load(),
			Faults: int(k.faults.Load()), Quarantined: k.quarantined(), Idle: c.pool.size(), Users: c.users,
		})
	}
	slices.SortFunc(all, func(a, b Stats) int {
		if n := strings.Compare(a.ID, b.ID); n != 0 {
			return n
		}
		return strings.Compare(a.Version, b.Version)
	})
	return all
}
