// Package need is for tests that need more than Go: a program, namespaces, a
// kernel feature. Where it is missing the test is skipped and says so; where
// QUIVER_REQUIRE says that it must be there, as in continuous integration, the
// test fails instead, so that nothing is left out silently.
//
// QUIVER_REQUIRE is a comma-separated list of names: programs, such as tshark
// and chromium, and what the callers of Missing name, such as netns, gso and
// ipv6.
package need

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Variable names the environment variable with what must be there.
const Variable = "QUIVER_REQUIRE"

// Tool returns the path of a program, the first of names that is installed. The
// test ends here if there is none; the first name is the one to require.
func Tool(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, names[0], "%s is not installed", strings.Join(names, " or "))
	return ""
}

// Missing ends the test because what, a name for QUIVER_REQUIRE, is not there;
// format and args are the sentence that says so.
func Missing(t testing.TB, what, format string, args ...any) {
	t.Helper()
	sentence := fmt.Sprintf(format, args...)
	if Required(what) {
		t.Fatalf("%s (%s requires %s)", sentence, Variable, what)
	}
	t.Skip(sentence)
}

// Required reports whether QUIVER_REQUIRE names what.
func Required(what string) bool {
	return slices.Contains(strings.Split(os.Getenv(Variable), ","), what)
}
