package fabric

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

func TestSupportedFindsWhatNewNeeds(t *testing.T) {
	s := Supported()
	f, err := New(Config{})
	if err != nil {
		if s.Err() == nil {
			t.Errorf("Supported finds nothing missing, but New: %v", err)
		}
		need.Missing(t, "netns", "%v", err)
	}
	defer f.Close()
	if s.Err() != nil {
		t.Errorf("New makes a fabric, but Supported: %v", s.Err())
	}
	for _, feature := range s.Features {
		if feature.Name == "" || feature.What == "" || feature.Needed && feature.Err != nil {
			t.Errorf("%+v", feature)
		}
	}
}

func TestSupportedLeavesNothingOpen(t *testing.T) {
	Supported() // opens what the runtime keeps
	before := openFiles(t)
	for range 3 {
		Supported()
	}
	if now := openFiles(t); now > before {
		t.Errorf("%d files are open, were %d", now, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func TestMissingPieceIsNamedAndWhatStandsOnItUntried(t *testing.T) {
	s := Support{[]Feature{{Name: "a", What: "comfort", Err: unix.ENOSYS}, {Name: "b", What: "a thing", Needed: true, Err: unix.EPERM}, {Name: "c", Needed: true, Err: ErrUntried}}}
	if err := s.Err(); !errors.Is(err, unix.EPERM) || err.Error() != "b (a thing) is missing: operation not permitted" {
		t.Errorf("Err() = %v, want that b is missing", err)
	}
	if err := (Support{[]Feature{{Needed: true}}}).Err(); err != nil {
		t.Errorf("Err() = %v although all is there", err)
	}
}

func TestWithoutPrivilegesTheFirstPieceIsMissing(t *testing.T) {
	if os.Geteuid() == 0 {
		again := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
		if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("as nobody: %v\n%s", err, out)
		}
		return
	}
	s := Supported()
	if err := s.Err(); !errors.Is(err, unix.EPERM) {
		t.Errorf("Err() = %v, want that it is not permitted", err)
	}
	for _, f := range s.Features[1:] {
		if f.Err != ErrUntried {
			t.Errorf("%s: %v, want it untried", f.Name, f.Err)
		}
	}
}
