//go:build !linux || !(amd64 || arm64)

package seccomp

import (
	"errors"
	"testing"
)

func runRole() (int, bool)      { return 0, false }
func openFiles() int            { return 0 }
func leftovers(int, int) string { return "" }

func TestOtherSystemsAreUnsupported(t *testing.T) {
	if _, err := new(Filter).Install(true); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Install: %v, want errors.ErrUnsupported", err)
	}
	if err := Supported().Err(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Supported: %v, want errors.ErrUnsupported", err)
	}
}
