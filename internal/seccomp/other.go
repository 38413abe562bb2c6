//go:build !linux || !(amd64 || arm64)

package seccomp

import (
	"fmt"
	"net/netip"
	"syscall"
)

// Listener exists on Linux on amd64 and arm64.
type Listener struct{}

// Call exists on Linux on amd64 and arm64.
type Call struct {
	PID  uint32
	Nr   int
	Arch Arch
	Args [6]uint64
}

var errNone = fmt.Errorf("seccomp: needs Linux on amd64 or arm64: %w", errUnsupported)

// Install fails with errors.ErrUnsupported, as all that follows.
func (f *Filter) Install(noNewPrivs bool) (*Listener, error) { return nil, errNone }

// Serve fails.
func (l *Listener) Serve(threads int, handle func(c *Call)) error { return errNone }

// Close fails.
func (l *Listener) Close() error { return errNone }

// Continue fails.
func (c *Call) Continue() error { return errNone }

// Errno fails.
func (c *Call) Errno(errno syscall.Errno) error { return errNone }

// Return fails.
func (c *Call) Return(v int64) error { return errNone }

// AddFD fails.
func (c *Call) AddFD(fd int, cloexec bool) error { return errNone }

// Valid fails.
func (c *Call) Valid() error { return errNone }

// Read fails.
func (c *Call) Read(addr uint64, b []byte) error { return errNone }

// Write fails.
func (c *Call) Write(addr uint64, b []byte) error { return errNone }

// Address fails.
func (c *Call) Address(addr, length uint64) (family uint16, a netip.AddrPort, ok bool, err error) {
	return 0, a, false, errNone
}

// Socket fails.
func (c *Call) Socket(fd int) (int, error) { return -1, errNone }

// Cookie fails.
func (c *Call) Cookie(fd int) (uint64, error) { return 0, errNone }

// OnThread fails without calling f.
func OnThread(f func() error) error { return errNone }

// Supported returns the zero Support.
func Supported() Support { return Support{} }
