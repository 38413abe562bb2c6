package gateway

import "golang.org/x/sys/windows"

// What connect says of a destination that cannot be reached.
const (
	hostUnreachable = windows.WSAEHOSTUNREACH
	netUnreachable  = windows.WSAENETUNREACH
)
