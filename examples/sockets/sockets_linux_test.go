package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
)

// asExample makes the test binary the example.
const asExample = "QUIVER_EXAMPLE_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asExample) != "" {
		main()
	}
	code := m.Run()
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
	os.Exit(code)
}

// build is the command quiver, made once for all tests.
var build struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

func quiver(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "quiver-example-test-"); build.err == nil {
			build.out, build.err = exec.Command("go", "build", "-o", filepath.Join(build.dir, "quiver"), command).CombinedOutput()
		}
	})
	if build.err != nil {
		t.Fatalf("build quiver: %v\n%s", build.err, build.out)
	}
	return filepath.Join(build.dir, "quiver")
}

// playLimit is how long a play may take before it counts as stuck.
const playLimit = 90 * time.Second

// slow asks for the plays that take long, too.
const slow = "QUIVER_EXAMPLES"

// wantPlay plays with small numbers, and returns what was printed. The play itself
// tells by its exit status whether the promise held.
func wantPlay(t *testing.T, name string) string {
	t.Helper()
	path := quiver(t)
	ctx, cancel := context.WithTimeout(context.Background(), playLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-quick", name)
	cmd.Env = append(os.Environ(), asExample+"=1", quiverVar+"="+path)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "may not make namespaces") {
		need.Missing(t, "netns", "%s", out)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	t.Logf("%s", out)
	return string(out)
}

// wantRow expects a line that begins with one text and has others in it, in order.
func wantRow(t *testing.T, out, begins string, has ...string) {
	t.Helper()
	for line := range strings.Lines(out) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), begins)
		for _, h := range has {
			if found {
				_, rest, found = strings.Cut(rest, h)
			}
		}
		if found {
			return
		}
	}
	t.Errorf("no line begins with %q and has %q", begins, has)
}

func TestASessionSurvivesAnotherAddress(t *testing.T) {
	t.Parallel()
	out := wantPlay(t, "roaming")
	wantRow(t, out, "plain TCP", "is dead")
	wantRow(t, out, "quiver run", "193.167.0.100", "goes on")
}

func TestLossesHoldUpNoOtherConnection(t *testing.T) {
	if os.Getenv(slow) == "" {
		t.Skip(slow + " is not set: this play takes 12 s")
	}
	t.Parallel()
	out := wantPlay(t, "lossy")
	wantRow(t, out, "in one TCP connection", "%")
	wantRow(t, out, "quiver run", "%")
}

func TestASecondSessionBeginsInEarlyData(t *testing.T) {
	t.Parallel()
	out := wantPlay(t, "early")
	wantRow(t, out, "quiver run, the first time")
	wantRow(t, out, "quiver run, again")
	wantRow(t, out, "and with early-data=yes")
}

func TestPlainTextIsNotReadAndImpostorsAreRefused(t *testing.T) {
	t.Parallel()
	out := wantPlay(t, "private")
	wantRow(t, out, "a word at a door", "plain TCP", "yes", "yes", "yes")
	wantRow(t, out, "a word at a door", "quiver run", "yes", "no", "no")
	if !strings.Contains(out, "has another key than before") {
		t.Error("the user is not told of another key")
	}
}

// wantBroken expects that a promise does not hold.
func wantBroken(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: the promise counts as held", what)
	}
}

func TestPromisesThatDoNotHoldAreTold(t *testing.T) {
	dead, alive := roamed{ended: "no answer"}, roamed{after: goesOn}
	if err := judgeRoaming(dead, alive); err != nil {
		t.Error(err)
	}
	wantBroken(t, "both sessions live", judgeRoaming(alive, alive))
	wantBroken(t, "both sessions die", judgeRoaming(dead, dead))
	wantBroken(t, "the server sees another client", judgeRoaming(dead, roamed{after: goesOn, tellsNew: true}))

	fine, tunneled := messages(98, 2), messages(70, 30)
	if err := judgeLossy(fine, tunneled, fine); err != nil {
		t.Error(err)
	}
	wantBroken(t, "as late as in one connection", judgeLossy(fine, tunneled, tunneled))
	wantBroken(t, "nothing was lost", judgeLossy(fine, messages(100, 0), messages(100, 0)))
	wantBroken(t, "messages are missing", judgeLossy(fine, tunneled, messages(90, 2)))

	const rtt = 100 * time.Millisecond
	plain, first, again, early := asked{took: 2 * rtt}, asked{took: 3 * rtt}, asked{took: 2 * rtt, early: 20}, asked{took: rtt, early: 20 + questionSize}
	if err := judgeEarly(rtt, plain, first, again, early); err != nil {
		t.Error(err)
	}
	wantBroken(t, "no round trip less", judgeEarly(rtt, plain, first, asked{took: 3 * rtt, early: 20}, early))
	wantBroken(t, "not in 0-RTT", judgeEarly(rtt, plain, first, asked{took: 2 * rtt}, early))
	wantBroken(t, "bytes that nobody allowed", judgeEarly(rtt, plain, first, asked{took: 2 * rtt, early: questionSize}, early))
	wantBroken(t, "bytes that were allowed stayed", judgeEarly(rtt, plain, first, again, asked{took: rtt, early: 20}))

	open, closed := spoken{arrived: true, seen: true, impostor: true}, spoken{arrived: true, said: "10.0.0.7 has another key than before"}
	if err := judgePrivate(open, closed); err != nil {
		t.Error(err)
	}
	wantBroken(t, "the path reads it", judgePrivate(open, spoken{arrived: true, seen: true, said: closed.said}))
	wantBroken(t, "the impostor gets it", judgePrivate(open, spoken{arrived: true, impostor: true, said: closed.said}))
	wantBroken(t, "nobody is told", judgePrivate(open, spoken{arrived: true}))
	wantBroken(t, "TCP keeps it", judgePrivate(closed, closed))
}

// messages makes so many in time, and late.
func messages(inTime, tooLate int) (m measured) {
	for i := range inTime + tooLate {
		took := 30 * time.Millisecond
		if i >= inTime {
			took, m.late = 4*took, m.late+1
		}
		m.messages = append(m.messages, took)
	}
	return m
}

func TestEarlyBytesAreReadFromAQlog(t *testing.T) {
	text := "\x1e" + `{"name":"quic:packet_sent","data":{"header":{"packet_type":"0RTT"},"frames":[{"frame_type":"stream","raw":{"length":20}},{"frame_type":"ping"}]}}` + "\n" +
		"\x1e" + `{"name":"quic:packet_sent","data":{"header":{"packet_type":"1RTT"},"frames":[{"frame_type":"stream","raw":{"length":300}}]}}` + "\n" +
		"\x1e" + `{"name":"quic:packet_received","data":{"header":{"packet_type":"0RTT"},"frames":[{"frame_type":"stream","raw":{"length":4000}}]}}` + "\n" +
		"\x1e" + `{"name":"quic:packet_sent","data":{"header":{"packet_type":"0RTT"},"frames":[{"frame_type":"stream","raw":{"length":1}}]}}` + "\n"
	if got := earlyBytesIn([]byte(text)); got != 21 {
		t.Errorf("%d bytes, want 21", got)
	}
}
