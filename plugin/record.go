package plugin

import "sync/atomic"

// record is what a process remembers of a plugin, whether its code is loaded or not.
type record struct {
	faults atomic.Int32
	calls  atomic.Uint64 // of connections that ended
	fuel   atomic.Uint64
}

func (r *record) faulted()          { r.faults.Add(1) }
func (r *record) quarantined() bool { return r.faults.Load() >= MaxFaults }
