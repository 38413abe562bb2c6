package tunnel

import (
	"os"
	"testing"

	"github.com/seed51309289/quiver/internal/leaktest"
)

func TestMain(m *testing.M) {
	os.Exit(leaktest.Main(m))
}
