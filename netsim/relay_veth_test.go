//go:build linux

package netsim

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
)

// insideEnv is set in the process that runs the TestInside… tests: in a user and network namespace of its own.
const insideEnv = "QUIVER_NETSIM_TEST_INSIDE"

func TestRunVethInNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of real time")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInside", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		need.Missing(t, "netns", "no user namespaces here: %v", err)
	}
	err := cmd.Wait()
	t.Log(out.String())
	if err != nil {
		t.Fatalf("tests in namespaces: %v", err)
	}
	if !strings.Contains(out.String(), "--- PASS: TestInside") {
		t.Error("no test ran in the namespaces")
	}
}
