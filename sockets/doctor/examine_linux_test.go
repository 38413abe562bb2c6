package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/seed51309289/quiver/internal/fabric"
	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

// asVar names the test that this process is to run alone.
const asVar = "QUIVER_TEST_AS"

// elsewhere runs the calling test again in a process that alter changed, and
// returns true there. It returns false in the first process once that test has passed.
func elsewhere(t *testing.T, alter func(*exec.Cmd)) bool {
	t.Helper()
	if os.Getenv(asVar) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), asVar+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	alter(cmd)
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && cmd.ProcessState == nil:
		need.Missing(t, "netns", "start: %v", err)
	case err != nil:
		t.Errorf("in the other process: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		need.Missing(t, "netns", "in the other process:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("the other process ran nothing:\n%s", out)
	}
	return false
}

// asNobody makes a process that has no privileges, if this one is root.
func asNobody(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
}

// fact returns one of a report's.
func fact(t *testing.T, facts []Fact, name string) Fact {
	t.Helper()
	for _, f := range facts {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no fact %s in %+v", name, facts)
	return Fact{}
}

func TestChooseAndExamineAgree(t *testing.T) {
	quick, err := Choose(t.Context(), "")
	r := Examine(t.Context())
	if err != nil {
		if r.Choice != nil {
			t.Errorf("Choose: %v, but Examine chooses %v", err, r.Choice)
		}
		return
	}
	if r.Choice == nil || *r.Choice != quick {
		t.Errorf("Choose = %+v, Examine = %+v", quick, r.Choice)
	}
}

func TestNobodyIsSentToAUserNamespace(t *testing.T) {
	if !elsewhere(t, asNobody) {
		return
	}
	c, err := Choose(t.Context(), "")
	if err != nil {
		need.Missing(t, "netns", "%v", err)
	}
	if !c.UserNamespace || c.Mode != ModeInside || c.Why != "this user has no privileges, and user namespaces work" {
		t.Errorf("Choose = %+v, want inside in a user namespace", c)
	}
	r := Examine(t.Context())
	if r.Choice == nil || *r.Choice != c {
		t.Errorf("Examine chooses %+v, want %+v", r.Choice, c)
	}
	for _, name := range []string{"program-memory", "fabric-namespace", "fabric-nftables", "fabric-hold"} {
		if f := fact(t, r.Facts, name); f.State != There {
			t.Errorf("%+v, want it to be there", f)
		}
	}
	if f := fact(t, r.Facts, "setuid"); f.State != Missing {
		t.Errorf("%+v, want it to be missing", f)
	}
}

// In a user namespace of its own a test may switch off what it likes.
func TestNamespacesThatAreSwitchedOffAreNamed(t *testing.T) {
	if !elsewhere(t, func(cmd *exec.Cmd) {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}) {
		return
	}
	for _, name := range []string{"max_net_namespaces", "max_user_namespaces"} {
		if err := os.WriteFile("/proc/sys/user/"+name, []byte("0"), 0); err != nil {
			t.Skipf("write the setting: %v", err)
		}
	}
	_, err := Choose(t.Context(), "")
	unable, ok := errors.AsType[*UnableError](err)
	if !ok {
		t.Fatalf("Choose: %v, want an UnableError", err)
	}
	if want := "quiver run cannot work here: no user-namespace: user namespaces are switched off (sysctl user.max_user_namespaces is 0)"; unable.Error() != want {
		t.Errorf("error %q, want %q", unable, want)
	}
	r := Examine(t.Context())
	if r.Choice != nil || r.Trouble != unable.Error() || !strings.Contains(r.Hint, "quiver gateway") {
		t.Errorf("Examine = %+v, want the same error", r)
	}
	if f := fact(t, r.Facts, "program-memory"); f.State != Untried {
		t.Errorf("%+v, want it untried", f)
	}
}

func TestFilterThatForbidsNamespacesIsNamed(t *testing.T) {
	if !elsewhere(t, asNobody) {
		return
	}
	forbidNamespaces(t)
	_, err := Choose(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "forbids new namespaces: operation not permitted") {
		t.Errorf("Choose: %v, want that a filter forbids it", err)
	}
}

// forbidNamespaces puts a filter on all threads that answers unshare and clone
// with CLONE_NEWUSER as container engines do: EPERM.
func forbidNamespaces(t *testing.T) {
	t.Helper()
	const (
		loadNr, loadArg0 = 0, 16 // offsets in struct seccomp_data
		allow            = 0x7fff0000
		deny             = 0x00050000 | uint32(unix.EPERM)
	)
	prog := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: loadNr},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 4, K: unix.SYS_UNSHARE},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 2, K: unix.SYS_CLONE},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: loadArg0},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 1, K: unix.CLONE_NEWUSER},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
		{Code: unix.BPF_RET | unix.BPF_K, K: deny},
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog))); errno != 0 {
		t.Skipf("install a filter: %v", errno)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	Examine(t.Context()) // opens what stays open, such as the runtime's own descriptors
	before := descriptorsOpen(t)
	for range 3 {
		Examine(t.Context())
		Choose(t.Context(), "")
	}
	if now := descriptorsOpen(t); now > before {
		t.Errorf("%d descriptors are open, were %d", now, before)
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("wait4 = %d, %v, want that there is no child", pid, err)
	}
}

func descriptorsOpen(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func TestChooseEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Choose(ctx, ""); !errors.Is(err, ctx.Err()) {
		t.Errorf("Choose: %v, want the context's error", err)
	}
	r := Examine(ctx)
	if f := fact(t, r.Facts, "program-memory"); f.State != Untried || !strings.HasPrefix(f.Found, "not tried: ") {
		t.Errorf("%+v, want it untried", f)
	}
}

func TestReportIsJSON(t *testing.T) {
	r := Examine(t.Context())
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(b, &again); err != nil || len(again.Facts) != len(r.Facts) {
		t.Errorf("%s: %v", b, err)
	}
	names := map[string]bool{}
	for _, f := range r.Facts {
		if names[f.Name] || f.Name == "" || f.What == "" {
			t.Errorf("fact %+v, want a name of its own and what it is for", f)
		}
		if f.State == Missing && f.Found == "" {
			t.Errorf("fact %+v is missing and does not say why", f)
		}
		names[f.Name] = true
	}
}

func TestWhatTheProbeSaysIsBounded(t *testing.T) {
	b := limitedBuffer{new(bytes.Buffer)}
	for range 3 {
		if n, err := b.Write(make([]byte, maxReport)); n != maxReport || err != nil {
			t.Fatal(n, err)
		}
	}
	if b.Len() != maxReport {
		t.Errorf("%d bytes kept, want %d", b.Len(), maxReport)
	}
}

func BenchmarkChoose(b *testing.B) {
	for b.Loop() {
		if _, err := Choose(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExamine(b *testing.B) {
	for b.Loop() {
		Examine(b.Context())
	}
}

func TestFabricsPiecesAreFacts(t *testing.T) {
	facts := fabricFacts(fabric.Support{Features: []fabric.Feature{
		{Name: "nftables", What: "holding", Since: "5.12", Needed: true, Err: unix.EOPNOTSUPP},
		{Name: "tcp-repair", What: "answering", Since: "4.19", Needed: true, Err: unix.EPERM},
		{Name: "hold", What: "all", Needed: true, Err: fabric.ErrUntried},
		{Name: "hold-ipv6", What: "all", Err: nil},
	}})
	for i, want := range []struct {
		state State
		need  Need
		hint  string
	}{{Missing, ByAll, "modprobe nf_tables"}, {Missing, ByAll, "it came with Linux 4.19"}, {Untried, ByAll, ""}, {There, Comfort, ""}} {
		if f := facts[i]; f.State != want.state || f.Need != want.need || !strings.Contains(f.Hint, want.hint) || f.State != There && f.Found == "" {
			t.Errorf("fact %+v, want %+v", f, want)
		}
	}
}
