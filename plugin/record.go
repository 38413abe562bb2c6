package plugin

import "sync/atomic"

// record is what a process remembers of a plugin, whether its code is loaded or not.
type record struct {
	faults      atomic.Int32
	connections atomic.Uint64 // that ended, or detached it
	calls, fuel atomic.Uint64 // of these
}

func (r *record) faulted()          { r.faults.Add(1) }
func (r *record) quarantined() bool { return r.faults.Load() >= MaxFaults }
