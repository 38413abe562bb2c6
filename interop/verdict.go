package interop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/interop/backend"
)

// exitUnsupported is the status by which an endpoint says that it does not know the test case.
const exitUnsupported = 127

// preliminary returns the verdict that the way a job ended allows without looking at its trace. ok is false when the trace
// has to be judged. First match counts, as in the existing runner.
func preliminary(out backend.Outcome, timeout time.Duration) (status Status, reason string, ok bool) {
	switch {
	case out.TimedOut:
		return Failed, fmt.Sprintf("timeout: not done after %v (client %v, server %v)", timeout, out.Client, out.Server), true
	case exited(out.Client, exitUnsupported):
		return Unsupported, "client exited with 127: it does not support this test", true
	case exited(out.Server, exitUnsupported):
		return Unsupported, "server exited with 127: it does not support this test", true
	case errors.Is(out.Err, backend.ErrNeedsNamespaces):
		return Unsupported, out.Err.Error(), true
	case errors.Is(out.Err, backend.ErrNotReady):
		return Failed, out.Err.Error(), true
	case out.Err != nil:
		return Failed, "the run itself went wrong, no verdict on the endpoints: " + out.Err.Error(), true
	case exited(out.Client, 0) || exited(out.Server, 0):
		return NotRun, "", false
	}
	return Failed, fmt.Sprintf("client: %v, server: %v; want client exit status 0", out.Client, out.Server), true
}

func exited(e backend.Exit, code int) bool { return e.Started && !e.Signaled && e.Code == code }

// compliant returns an error unless an endpoint refused an unknown test case.
func compliant(e backend.Exit, err error) error {
	switch {
	case exited(e, exitUnsupported):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("not compliant: still running %v after it got an unknown test case, want exit status 127", complianceTimeout)
	case err != nil && !e.Started:
		return fmt.Errorf("cannot be started: %w", err)
	case err != nil:
		return fmt.Errorf("not compliant: no exit status 127 for an unknown test case: %w", err)
	}
	return fmt.Errorf("not compliant: %v for an unknown test case, want exit status 127", e)
}
