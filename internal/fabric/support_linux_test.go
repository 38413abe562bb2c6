package fabric

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSupportedFindsWhatNewNeeds(t *testing.T) {
	inRoom(t)
	s := Supported()
	f, err := New(Config{})
	if err != nil {
		t.Fatalf("New: %v; Supported: %v", err, s.Err())
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
	inRoom(t)
	Supported() // opens what the runtime keeps
	before := descriptors(t)
	for range 3 {
		Supported()
	}
	if after := descriptors(t); !maps.Equal(before, after) {
		t.Errorf("descriptors: %v, were %v", after, before)
	}
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

const nobodyVar = "QUIVER_TEST_NOBODY"

func TestWithoutPrivilegesTheFirstPieceIsMissing(t *testing.T) {
	if os.Getenv(nobodyVar) == "" {
		if asHost(t); os.Geteuid() != 0 {
			t.Skip("only root can become another user")
		}
		again := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), roomVar+"="+roomUser, nobodyVar+"=1")
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
