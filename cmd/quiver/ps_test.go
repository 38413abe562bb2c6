package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed51309289/quiver/sockets/control"
)

// publishMain is a program for scripts: it publishes the programs of a JSON file while it runs a command, whose exit status it returns.
func publishMain() int {
	ctx := context.Background()
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	var programs []control.Program
	if err := json.Unmarshal(text, &programs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	for _, p := range programs {
		pub, err := control.Publish(ctx, func() control.Program { return p }, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitFailed
		}
		defer pub.Close()
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return cmd.ProcessState.ExitCode()
}

var psNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// psPrograms are two programs, as a reader gets them.
func psPrograms() []control.Program {
	addr := netip.MustParseAddrPort
	ago := func(d time.Duration) time.Time { return psNow.Add(-d) }
	return []control.Program{
		{PID: 4711, Child: 4712, Command: []string{"curl", "-o", "a file", "http://10.0.0.7:8000/"}, Kind: control.Run, Mode: "inside", Started: ago(12 * time.Second), Processes: 1,
			Policy: "connect 10.0.0.7:8000 quic\nconnect default tcp\n", UDP: []netip.AddrPort{addr("[::]:50000")},
			Peers: []control.Peer{{Address: addr("10.0.0.7:8277"), Direction: control.Out, Identity: "sha256:0123456789abcdef0123456789abcdef", State: "open", Since: ago(11 * time.Second),
				RTT: 410 * time.Microsecond, MinRTT: 380 * time.Microsecond, CongestionWindow: 120_000, PacketsSent: 1000, PacketsLost: 5, BytesSent: 1 << 20, BytesReceived: 3 << 30,
				StreamsOpen: 1, StreamsTotal: 9, ZeroRTT: true, Migrations: 2}},
			Conns: []control.Conn{
				{App: addr("10.0.0.2:40002"), Dest: addr("10.0.0.7:8000"), Name: "web.example", Direction: control.Out, Via: control.QUIC, State: "open", Since: ago(11 * time.Second),
					BytesUp: 80, BytesDown: 3 << 30, PID: 4712, Command: "curl", Rule: "connect 10.0.0.7:8000"},
				{App: addr("10.0.0.2:40001"), Dest: addr("192.0.2.1:443"), Direction: control.Out, Via: control.TCP, State: "connecting", Since: ago(12 * time.Second), Rule: "connect default"},
			},
			Counters: control.Counters{Conns: 10, Held: 11, Refused: 1, Trapped: 3, BytesUp: 800, BytesDown: 3 << 30}},
		{PID: 99, Command: []string{"quiver", "gateway"}, Kind: control.Gateway, Started: ago(50 * time.Hour),
			Listeners:    []control.Listener{{TCP: addr("127.0.0.1:8000"), Via: "quic+tcp", Rule: "--in"}},
			Peers:        []control.Peer{{Address: addr("[2001:db8::1]:8277"), RTT: time.Millisecond}, {Address: addr("192.0.2.9:8277"), RTT: 31 * time.Millisecond}},
			PeersLeftOut: 3, Conns: []control.Conn{}},
	}
}

// wantText compares text with a file of testdata/golden, or with -update writes it.
func wantText(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/golden/" + name
	if *update {
		if err := errors.Join(os.MkdirAll("testdata/golden", 0o777), os.WriteFile(path, []byte(got), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s\n(-update writes it anew; review the diff)", path, got, want)
	}
}

func TestProgramsAreShownAtEveryWidth(t *testing.T) {
	for _, width := range []int{0, 80, 120} {
		var b strings.Builder
		programs := psPrograms()
		programTable(programs, psNow).print(&b, width)
		for i := range programs {
			b.WriteString("\n")
			writeProgram(&b, &programs[i], psNow, width)
		}
		wantText(t, fmt.Sprintf("ps-%d.txt", width), b.String())
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 0 && n > width {
				t.Errorf("%d columns, want at most %d: %s", n, width, line)
			}
		}
	}
}

func TestUsersAreShownWhereThereAreSeveral(t *testing.T) {
	programs := psPrograms()
	programs[0].UID = 4_000_000
	var b strings.Builder
	programTable(programs, psNow).print(&b, 0)
	if !strings.HasPrefix(b.String(), " PID  USER     MODE") || !strings.Contains(b.String(), "4711  4000000  inside") {
		t.Errorf("got\n%s\nwant a column of users", b.String())
	}
}

func TestTextOfProgramsCannotDriveTheTerminal(t *testing.T) {
	bad := "x\x1b[2J\r\n\u202e\x00"
	p := control.Program{Command: []string{bad, "it's\n"}, Kind: bad, Mode: bad, Policy: bad + "\n" + bad, PeersLeftOut: 1,
		Listeners: []control.Listener{{Via: bad, Rule: bad}}, Peers: []control.Peer{{Identity: bad, State: bad}, {Identity: "sha256:0123456789" + bad}},
		Conns: []control.Conn{{Via: bad, State: bad, Command: bad, Name: bad, Rule: bad, PID: 1}}}
	for _, width := range []int{0, 80} {
		var b strings.Builder
		programTable([]control.Program{p}, psNow).print(&b, width)
		writeProgram(&b, &p, psNow, width)
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q in\n%q", r, b.String())
			}
		}
	}
}

func TestCommandLinesAreQuotedForAShell(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"curl", "http://h:1/a?b=c", "-o", "x y"}, "curl 'http://h:1/a?b=c' -o 'x y'"},
		{[]string{"echo", "", "it's", "$HOME", "ü"}, `echo '' 'it'\''s' '$HOME' ü`},
		{[]string{"sh", "-c", "a\nb 'c' \"d\" \x1b"}, `sh -c $'a\nb \'c\' "d" \x1b'`},
	} {
		if got := commandText(tc.args); got != tc.want {
			t.Errorf("commandText(%q) = %s, want %s", tc.args, got, tc.want)
		}
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 59 * time.Second: "59s", 60 * time.Second: "1m00s", time.Hour - 1: "59m59s", time.Hour: "1h00m",
		23*time.Hour + 59*time.Minute: "23h59m", 24 * time.Hour: "1d00h", 1000 * 24 * time.Hour: "1000d00h",
	} {
		if got := ageText(d); got != want {
			t.Errorf("ageText(%v) = %s, want %s", d, got, want)
		}
	}
}

// looks returns a list that answers with each of rounds in turn, and then ends the context.
func looks(t *testing.T, rounds ...[]control.Program) (ctx context.Context, list func(context.Context) ([]control.Program, error)) {
	ctx, cancel := context.WithCancel(t.Context())
	return ctx, func(context.Context) ([]control.Program, error) {
		if len(rounds) == 0 {
			cancel()
			return nil, nil
		}
		now := rounds[0]
		rounds = rounds[1:]
		return now, &control.SilentError{Path: "/run/quiver/7.sock", Err: context.DeadlineExceeded}
	}
}

func TestWatchWritesLinesThatFollowEachOther(t *testing.T) {
	ctx, list := looks(t, psPrograms()[:1], nil, psPrograms()[1:])
	var out, talk strings.Builder
	l := &programList{out: &out, talk: &talk, now: func() time.Time { return psNow }, list: list}
	if err := l.follow(ctx, func(time.Duration) <-chan time.Time { return time.After(0) }); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], " PID  MODE") || !strings.HasPrefix(lines[1], "4711  inside") || !strings.HasPrefix(lines[2], "  99  gateway") {
		t.Errorf("got\n%s\nwant one head and two programs", out.String())
	}
	if want := "quiver: warning: /run/quiver/7.sock: no answer within 1s\n"; talk.String() != want {
		t.Errorf("said %q, want %q once", talk.String(), want)
	}
}

func TestWatchAsJSONIsALineALook(t *testing.T) {
	ctx, list := looks(t, psPrograms(), []control.Program{})
	var out strings.Builder
	l := &programList{out: &out, talk: io.Discard, json: true, now: time.Now, list: list}
	if err := l.follow(ctx, func(time.Duration) <-chan time.Time { return time.After(0) }); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `[{"version":`) || lines[1] != "[]" {
		t.Errorf("got\n%s\nwant an array a line", out.String())
	}
}

func TestWatchDrawsNoMoreThanTheTerminalHolds(t *testing.T) {
	var many []control.Program
	for range 50 {
		many = append(many, psPrograms()...)
	}
	for _, height := range []int{0, 3, 10, 24, 101, 102, 103, 200} {
		for _, n := range []int{0, 1, 2, 100} {
			var b strings.Builder
			silent := errors.Join(&control.SilentError{Path: "/7.sock", Err: errors.New("moon")})
			if err := redraw(&b, programTable(many[:n], psNow), silent, 40, height); err != nil {
				t.Fatal(err)
			}
			if drawn := strings.Count(b.String(), "\n"); drawn > max(height, 3)-1 {
				t.Errorf("%d lines drawn for %d programs on %d, of which the last is for the cursor", drawn, n, height)
			}
			for line := range strings.SplitSeq(strings.NewReplacer("\x1b[H", "", "\x1b[K", "", "\x1b[J", "", "\r", "").Replace(b.String()), "\n") {
				if utf8.RuneCountInString(line) > 40 {
					t.Errorf("line of %d columns: %s", utf8.RuneCountInString(line), line)
				}
			}
		}
	}
}

func TestProgramThatDoesNotAnswerIsNotUnknown(t *testing.T) {
	silent := &control.SilentError{Path: "/run/quiver/7.sock", Err: context.DeadlineExceeded}
	second := &control.SilentError{Path: "/run/quiver/8-2.sock", Err: context.DeadlineExceeded}
	unknown := &control.UnknownError{PID: 7}
	err := errors.Join(unknown, errors.Join(silent, second))
	for pid, want := range map[int]error{7: silent, 8: second, 9: unknown} {
		if got := answering(pid, err); got != want {
			t.Errorf("answering(%d) = %v, want %v", pid, got, want)
		}
	}
	if got := answering(7, fs.ErrClosed); got != fs.ErrClosed {
		t.Errorf("answering(another error) = %v", got)
	}
}
