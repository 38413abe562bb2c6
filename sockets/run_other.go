//go:build !linux

package sockets

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// Run is for Linux alone: elsewhere the error is errors.ErrUnsupported, and a gateway serves.
func Run(context.Context, *Config) (int, error) {
	return 0, fmt.Errorf("programs run over QUIC on Linux, this is %s; 'quiver gateway' works here: %w", runtime.GOOS, errors.ErrUnsupported)
}
