package fabric

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

// The tests run again in a network of their own, which plays the host: once with all rights over it, and once more as users who are not
// root have it, whose rights are those of a user namespace and end at the host's network.
const roomVar = "QUIVER_TEST_ROOM"

const (
	roomHost = "host"
	roomUser = "user"
	roomNone = "none" // there may be no namespaces here
)

func TestMain(m *testing.M) {
	switch os.Getenv(roomVar) {
	case "":
		os.Exit(enterRooms(m))
	case roomHost:
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "furnish the host:", err)
			os.Exit(1)
		}
		status := m.Run()
		if status == 0 && !special() {
			status = again(roomUser, unix.CLONE_NEWUSER)
		}
		os.Exit(status)
	default:
		os.Exit(m.Run())
	}
}

// enterRooms runs the tests in rooms, or where there can be none, so that they say so.
func enterRooms(m *testing.M) int {
	flags := uintptr(unix.CLONE_NEWNET)
	if os.Geteuid() != 0 {
		flags |= unix.CLONE_NEWUSER
	}
	if fuzzing() || !mayClone(flags) {
		os.Setenv(roomVar, roomNone)
		return m.Run()
	}
	return again(roomHost, flags)
}

func fuzzing() bool { return given("-test.fuzz") }

// special reports whether this is no ordinary run of the tests.
func special() bool { return given("-test.bench") || given("-test.list") }

func given(flag string) bool {
	for _, a := range os.Args[1:] {
		if strings.HasPrefix(a, flag+"=") && a != flag+"=" {
			return true
		}
	}
	return false
}

func mayClone(flags uintptr) bool {
	cmd := exec.Command("/proc/self/exe", "-test.list=^$")
	cmd.Env = append(os.Environ(), roomVar+"="+roomNone)
	cmd.SysProcAttr = inNew(flags)
	return cmd.Run() == nil
}

// again runs these tests in a new room and returns their status.
func again(room string, flags uintptr) int {
	var args []string
	for _, a := range os.Args[1:] {
		if !strings.HasPrefix(a, "-test.testlogfile=") {
			args = append(args, a)
		}
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), roomVar+"="+room)
	cmd.SysProcAttr = inNew(flags)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, "in the room:", room)
		return max(1, exit.ExitCode())
	case err != nil:
		fmt.Fprintf(os.Stderr, "no room %s: %v\n", room, err)
		if need.Required("netns") {
			return 1
		}
	}
	return 0
}

func inNew(flags uintptr) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			a.AmbientCaps = append(a.AmbientCaps, c)
		}
	}
	return a
}

// inRoom ends the test where it has no network of its own.
func inRoom(t testing.TB) {
	t.Helper()
	if room := os.Getenv(roomVar); room == roomNone {
		need.Missing(t, "netns", "this user may not make user and network namespaces")
	}
}

// asHost ends the test where it may not change the host.
func asHost(t testing.TB) {
	t.Helper()
	inRoom(t)
	if os.Getenv(roomVar) != roomHost {
		t.Skip("only whoever owns the host's network may change it")
	}
}
