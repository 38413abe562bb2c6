package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/leaktest"
)

// actVar tells the test program, started again, what to be.
const actVar = "QUIVER_TEST_ACT"

func TestMain(m *testing.M) {
	if os.Getenv(actVar) == "publish" {
		os.Exit(publishAndWait())
	}
	os.Exit(leaktest.Main(m))
}

// publishAndWait is a supervisor in a process of its own: it says where it is,
// lists what it sees itself, and ends with its input.
func publishAndWait() int {
	ctx := context.Background()
	p, err := Publish(ctx, func() Program { return Program{Kind: Run, Command: []string{"child"}} }, func(tcp uint16) (uint16, bool) { return 8277, tcp == 8000 })
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	defer p.Close()
	seen, err := List(ctx)
	if err != nil || len(seen) != 1 {
		fmt.Println("error", seen, err)
		return 1
	}
	fmt.Println("ready", p.Path(), seen[0].UID)
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// startSupervisor starts publishAndWait, changed by alter, and returns it and
// what it said when it was ready. The process ends with the test.
func startSupervisor(t *testing.T, alter func(*exec.Cmd)) (cmd *exec.Cmd, said string) {
	t.Helper()
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), actVar+"=publish")
	cmd.Stderr = os.Stderr
	alter(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("start: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	ready, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		t.Fatalf("supervisor said %q, want that it is ready", line)
	}
	return cmd, ready
}

// runtimeDir gives the test a runtime directory of its own.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir() + "/quiver"
	t.Setenv("QUIVER_RUNTIME_DIR", dir)
	return dir
}

// publish publishes p until the test ends.
func publish(t *testing.T, p Program, listens func(uint16) (uint16, bool)) *Publication {
	t.Helper()
	pub, err := Publish(t.Context(), func() Program { return p }, listens)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pub.Close() })
	return pub
}
