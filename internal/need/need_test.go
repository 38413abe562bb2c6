package need

import (
	"runtime"
	"testing"
)

// ending records how a test ends, without ending one that is real.
type ending struct {
	testing.TB
	how, said string
}

func (e *ending) Helper() {}

func (e *ending) Skip(args ...any) {
	e.how, e.said = "skipped", args[0].(string)
	runtime.Goexit()
}

func (e *ending) Fatalf(format string, args ...any) {
	e.how, e.said = "failed", args[0].(string)
	runtime.Goexit()
}

// end runs f as a test and returns how it ended.
func end(f func(t testing.TB)) *ending {
	e := &ending{how: "passed"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(e)
	}()
	<-done
	return e
}

func TestWhatIsMissingSkipsUnlessItIsRequired(t *testing.T) {
	for _, tt := range []struct {
		require, how string
	}{
		{"", "skipped"},
		{"tshark", "skipped"},
		{"moon", "failed"},
		{"tshark,moon,netns", "failed"},
	} {
		t.Setenv(Variable, tt.require)
		e := end(func(t testing.TB) { Missing(t, "moon", "there is no %s", "moon") })
		if e.how != tt.how || e.said != "there is no moon" {
			t.Errorf("%s=%q: %s with %q, want %s with the sentence", Variable, tt.require, e.how, e.said, tt.how)
		}
	}
}

func TestToolFindsTheFirstThatIsInstalled(t *testing.T) {
	t.Setenv(Variable, "no-such-program")
	if e := end(func(t testing.TB) { Tool(t, "no-such-program", "another-that-is-not") }); e.how != "failed" || e.said != "no-such-program or another-that-is-not is not installed" {
		t.Errorf("%s with %q, want a failure that names both", e.how, e.said)
	}
	if e := end(func(tb testing.TB) {
		if path := Tool(tb, "no-such-program", "go"); path == "" {
			t.Error("no path for go")
		}
	}); e.how != "passed" {
		t.Errorf("%s with %q, want to find go", e.how, e.said)
	}
}
