package sockets

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// holds reports whether a process has a capability over the host's network, as far as this process does: in a user namespace of its own, which
// anybody may make, it has all of them, over nothing.
func holds(pid uint32, capability uint) bool {
	ours, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return false
	}
	if theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid)); err != nil || theirs != ours {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	return hasCapability(string(status), capability)
}

// hasCapability looks for an effective capability in the text of /proc/PID/status.
func hasCapability(status string, capability uint) bool {
	for line := range strings.Lines(status) {
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return err == nil && bits&(1<<capability) != 0
		}
	}
	return false
}

// lent reports whether the capabilities of this process are those of a user namespace that was made for it: there all users of the
// outside are themselves, but there are fewer of them.
func lent() bool {
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	var inside, outside, size uint64
	n, _ := fmt.Sscan(string(users), &inside, &outside, &size)
	return n == 3 && size == 1 && inside == outside
}
