//go:build !linux

package fabric

import (
	"errors"
	"fmt"
)

// A Fabric is a network namespace for a program, which other systems do not have.
type Fabric struct{}

// New returns errors.ErrUnsupported.
func New(Config) (*Fabric, error) {
	return nil, fmt.Errorf("network namespaces are Linux's: %w", errors.ErrUnsupported)
}
