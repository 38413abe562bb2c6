package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// maxSoftErrors is how many errors in a row, of those that ICMP causes, Read skips before it gives up.
const maxSoftErrors = 64

var (
	// ErrTooBig is wrapped by the error of a Write whose datagrams exceed the MTU of the link or 65507 bytes.
	// A path MTU probe expects it; the socket is as good as before.
	ErrTooBig = errors.New("datagram exceeds the link's MTU")

	// ErrTransient is wrapped by the error of a Write that lost its datagrams for a reason which may pass: no route
	// to the peer, a refusal by ICMP, a source address that is gone, a filter, a full queue. The socket is as good as
	// before; treat the datagrams as lost. The errno is wrapped beside it, e.g. syscall.ECONNREFUSED.
	ErrTransient = errors.New("datagram not sent")

	// ErrUnreachable is the ErrTransient of a Write for which this host itself knows no way: no route, no source
	// address, the wrong address family. It is what a TCP connect would fail with at once.
	ErrUnreachable = fmt.Errorf("%w: no way to the peer", ErrTransient)
)

// sendError describes a refused send; class may be nil.
func sendError(size int, to netip.AddrPort, class, cause error) error {
	if class == nil {
		return fmt.Errorf("udp: send %d bytes to %v: %w", size, to, cause)
	}
	return fmt.Errorf("udp: send %d bytes to %v: %w: %w", size, to, class, cause)
}

// classOf returns ErrTooBig, ErrTransient or nil for any error of a send.
func classOf(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return nil
	}
	return classOfErrno(errno)
}
