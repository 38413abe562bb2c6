package control

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peerUser returns whose process listens at the other end of c: SO_PEERCRED of
// unix(7), as this process's user namespace numbers users.
func peerUser(c *net.UnixConn) (uid int, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, false
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil || err != nil {
		return -1, false
	}
	return int(cred.Uid), true
}

// networkName names the network namespace of the calling thread, "" if /proc
// does not tell. A thread that entered another one to start a program there
// never runs anything else, so this is the process's own.
func networkName() string {
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return ""
	}
	return name
}
