//go:build !linux

package netsim

import (
	"context"
	"errors"
)

// RunVeth needs packet sockets, which only Linux has. Use RunUDP.
func RunVeth(context.Context, RelayConfig) (Stats, error) {
	return Stats{}, errors.New("netsim: relaying between interfaces needs Linux")
}
