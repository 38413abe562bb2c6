//go:build !linux

package tunnel

import (
	"io"

	"github.com/seed51309289/quiver/quic"
)

// source reads a leg straight into the memory that a stream sends from, on Linux.
type source struct {
	turn turn
	err  error
}

var _ quic.BuffersReader = (*source)(nil)

// newSource returns nil: the pump reads into a buffer of its own.
func newSource(*pump) *source { return nil }

func (*source) Read([]byte) (int, error)          { return 0, io.ErrNoProgress }
func (*source) ReadBuffers([][]byte) (int, error) { return 0, io.ErrNoProgress }
func (*source) WaitReadable() error               { return io.ErrNoProgress }
func (*source) awaitReset() error                 { return nil }
func (*source) stopWaiting(Leg)                   {}
func (*source) reset() error                      { return nil }

// quick writes to a leg what is small, on Linux.
type quick struct{}

func newQuick(*source) *quick            { return nil }
func (*quick) write([]byte) (int, error) { return 0, nil }
