package seccomp

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if status, ok := runRole(); ok {
		os.Exit(status)
	}
	os.Exit(m.Run())
}
