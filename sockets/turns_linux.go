package sockets

import (
	"os"

	"golang.org/x/sys/unix"
)

// startTakingTurns calls start, and lets the process that it starts wait its turn: a thread of it that wakes does not take the processor from
// the one that woke it (sched(7), SCHED_BATCH). A supervisor and a program that wake each other for every few bytes lose much time to that.
// Who runs by another policy than the usual one keeps it. The caller is locked to its thread.
func startTakingTurns(start func() error) error {
	if reschedule(unix.SCHED_NORMAL, unix.SCHED_BATCH) {
		defer reschedule(unix.SCHED_BATCH, unix.SCHED_NORMAL)
	}
	return start()
}

// takeNoTurns gives the calling thread the policy back that the process had which started this one. The program inherits it.
func takeNoTurns() {
	if before, err := unix.SchedGetAttr(os.Getppid(), 0); err == nil && before.Policy == unix.SCHED_NORMAL {
		reschedule(unix.SCHED_BATCH, unix.SCHED_NORMAL)
	}
}

// reschedule changes the policy of the calling thread, if it is from, and reports whether it did.
func reschedule(from, to uint32) bool {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != from {
		return false
	}
	attr.Policy = to
	return unix.SchedSetAttr(0, attr, 0) == nil
}
