package nstest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

// inside is set in the processes that Enter starts.
const inside = "QUIVER_TEST_NAMESPACE"

// Enter runs the calling test again, alone, in a user and a network namespace of
// its own, and returns true there. It returns false in the first process once the
// test has passed, so a test begins with
//
//	if !nstest.Enter(t) {
//		return
//	}
//
// The second process has a minute, unless args, which are flags of it, say
// otherwise. Where namespaces are forbidden the test is skipped, see package need:
// netns.
func Enter(t *testing.T, args ...string) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return true
	}
	only := "^" + strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^") + "$"
	args = append([]string{"-test.run=" + only, "-test.timeout=60s", "-test.v"}, args...)
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		t.Errorf("in the namespace: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name()+" ")):
		need.Missing(t, "netns", "in the namespace:\n%s", out)
	case err != nil:
		need.Missing(t, "netns", "this user may not make a user and network namespace: %v", err)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Errorf("the test did not run in the namespace:\n%s", out)
	default:
		t.Logf("in the namespace:\n%s", out)
	}
	return false
}
