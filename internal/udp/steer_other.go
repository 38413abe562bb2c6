//go:build !linux

package udp

import (
	"errors"
	"fmt"
	"net"
)

// Attach lets the kernel obey the Steering, on Linux alone.
func (s *Steering) Attach(c *net.UDPConn) error {
	return fmt.Errorf("udp: steer %v: %w", c.LocalAddr(), errors.ErrUnsupported)
}
