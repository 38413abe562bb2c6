package control

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

func TestSocketOfAKilledSupervisorIsRemoved(t *testing.T) {
	dir := runtimeDir(t)
	cmd, _ := startSupervisor(t, func(*exec.Cmd) {})
	if got, err := List(t.Context()); len(got) != 1 || got[0].PID != cmd.Process.Pid || err != nil {
		t.Fatalf("List = %v, %v, want process %d", got, err, cmd.Process.Pid)
	}
	if udp, pid, ok := (*Publication)(nil).Elsewhere(t.Context(), 8000); udp != 8277 || pid != cmd.Process.Pid || !ok {
		t.Errorf("Elsewhere = %d of %d, %t, want 8277 of %d", udp, pid, ok, cmd.Process.Pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if left := sockets(t, dir); len(left) != 1 {
		t.Fatalf("%v is left, want what a killed process leaves", left)
	}
	if got, err := List(t.Context()); len(got) != 0 || err != nil {
		t.Errorf("List = %v, %v, want nothing", got, err)
	}
	if left := sockets(t, dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// As quiver run does without privileges: in a user namespace in which everybody
// has the number that he has outside.
func TestSupervisorInAUserNamespaceIsSeenAsItsUser(t *testing.T) {
	dir := runtimeDir(t)
	uid := os.Geteuid()
	if uid == 0 {
		uid = 65534
		open(t, dir)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uid, uid)); err != nil {
			t.Fatal(err)
		}
	}
	_, ready := startSupervisor(t, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
			Credential:  &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), NoSetGroups: true},
			Pdeathsig:   syscall.SIGKILL,
		}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.GidMappings[0] = syscall.SysProcIDMap{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}
			cmd.SysProcAttr.Credential = nil
		}
		// It may not be let in where the test program is.
	})
	if !strings.HasSuffix(ready, " "+strconv.Itoa(uid)) {
		t.Errorf("in the namespace: %q, want user %d", ready, uid)
	}
	got, err := List(t.Context())
	if err != nil || len(got) != 1 || got[0].UID != uid {
		t.Errorf("List = %+v, %v, want a program of user %d", got, err, uid)
	}
	if udp, _, ok := (*Publication)(nil).Elsewhere(t.Context(), 8000); udp != 8277 || !ok {
		t.Errorf("Elsewhere = %d, %t, want 8277", udp, ok)
	}
}

// open lets everybody pass through the directories above path that are the test's.
func open(t *testing.T, path string) {
	t.Helper()
	for dir := path; strings.HasPrefix(dir, os.TempDir()+"/"); {
		dir = dir[:strings.LastIndexByte(dir, '/')]
		if dir == os.TempDir() {
			return
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRootAsksNoProcessThatIsNotTheOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "only root can give directories away")
	}
	dir := runtimeDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dir+"/1.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	got, err := List(t.Context())
	if len(got) != 0 || err == nil || !strings.HasSuffix(err.Error(), "1.sock: a process of user 0 listens in a directory of user 65534") {
		t.Errorf("List = %v, %v, want that root listens", got, err)
	}
}

func TestLongRuntimeDirectoriesWork(t *testing.T) {
	dir := t.TempDir() + "/" + strings.Repeat("x", 200)
	t.Setenv("QUIVER_RUNTIME_DIR", dir)
	p := publish(t, Program{PID: 5}, nil)
	if !strings.HasPrefix(p.Path(), dir+"/") {
		t.Errorf("published as %s, want it in %s", p.Path(), dir)
	}
	if got, err := List(t.Context()); len(got) != 1 || err != nil {
		t.Errorf("List = %v, %v, want one program", got, err)
	}
	p.Close()
	if left := sockets(t, dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}
