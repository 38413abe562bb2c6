package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/interop/backend"
)

func TestVerdictTable(t *testing.T) {
	exit := func(code int) backend.Exit { return backend.Exit{Started: true, Code: code} }
	killed := backend.Exit{Started: true, Signaled: true, Code: -1}
	never := backend.Exit{Code: -1}
	for _, tt := range []struct {
		name       string
		out        backend.Outcome
		want       Status // NotRun means: to be judged
		wantReason string
	}{
		{"both exit 0", backend.Outcome{Client: exit(0), Server: exit(0)}, NotRun, ""},
		{"client exits 0, server is killed", backend.Outcome{Client: exit(0), Server: killed}, NotRun, ""},
		{"client exits 1, server exits 0 when stopped", backend.Outcome{Client: exit(1), Server: exit(0)}, NotRun, ""},
		{"client exits 1", backend.Outcome{Client: exit(1), Server: killed}, Failed, "client: exit status 1"},
		{"client is killed", backend.Outcome{Client: killed, Server: killed}, Failed, "killed by a signal"},
		{"client exits 127", backend.Outcome{Client: exit(127), Server: exit(0)}, Unsupported, "client exited with 127"},
		{"server exits 127", backend.Outcome{Client: never, Server: exit(127)}, Unsupported, "server exited with 127"},
		{"server exits 127 before it is ready", backend.Outcome{Client: never, Server: exit(127), Err: backend.ErrNotReady}, Unsupported, "server"},
		{"backend has no network of its own", backend.Outcome{Client: exit(0), Server: killed, Err: fmt.Errorf("x: %w", backend.ErrNeedsNamespaces)}, Unsupported, "netns"},
		{"timeout comes before 127", backend.Outcome{Client: exit(127), Server: killed, TimedOut: true}, Failed, "timeout: not done after 1m0s"},
		{"timeout comes before exit 0", backend.Outcome{Client: exit(0), Server: killed, TimedOut: true}, Failed, "timeout"},
		{"server is not ready", backend.Outcome{Client: never, Server: killed, Err: fmt.Errorf("%w: no answer", backend.ErrNotReady)}, Failed, "no answer"},
		{"the machine is at fault", backend.Outcome{Client: exit(0), Server: exit(0), Err: errors.New("no disk")}, Failed, "no verdict on the endpoints: no disk"},
		{"a code of 127 by signal is not 127", backend.Outcome{Client: backend.Exit{Started: true, Signaled: true, Code: 127}, Server: killed}, Failed, "signal"},
		{"never started", backend.Outcome{Client: never, Server: never}, Failed, "not started"},
	} {
		status, reason, ok := preliminary(tt.out, time.Minute)
		if status != tt.want || ok != (tt.want != NotRun) || !strings.Contains(reason, tt.wantReason) {
			t.Errorf("%s: preliminary = %q, %q, %v, want %q with %q", tt.name, status, reason, ok, tt.want, tt.wantReason)
		}
	}
}

func TestOnlyExit127IsCompliant(t *testing.T) {
	for _, tt := range []struct {
		name string
		exit backend.Exit
		err  error
		want string
	}{
		{"exit 127", backend.Exit{Started: true, Code: 127}, nil, ""},
		{"exit 0", backend.Exit{Started: true, Code: 0}, nil, "not compliant: exit status 0 for an unknown test case, want exit status 127"},
		{"no such program", backend.Exit{Code: -1}, os.ErrNotExist, "cannot be started: file does not exist"},
		{"serves on", backend.Exit{Code: -1}, context.DeadlineExceeded, "not compliant: still running 10s after it got an unknown test case, want exit status 127"},
	} {
		err := compliant(tt.exit, tt.err)
		if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || (err != nil && got != tt.want) {
			t.Errorf("%s: compliant = %v, want %q", tt.name, err, tt.want)
		}
	}
}
