//go:build !linux

package control

import "net"

// peerUser does not know here: readers are in directories of their own user only.
func peerUser(*net.UnixConn) (uid int, ok bool) { return -1, false }

// networkName is the same for all: there is one network.
func networkName() string { return "" }
