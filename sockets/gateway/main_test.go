package gateway

import (
	"os"
	"testing"

	"github.com/seed51309289/quiver/internal/leaktest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		panic(err)
	}
	os.Setenv("QUIVER_RUNTIME_DIR", dir+"/run")
	os.Setenv("QUIVER_STATE_DIR", dir+"/state")
	code := leaktest.Main(m)
	os.RemoveAll(dir)
	os.Exit(code)
}
