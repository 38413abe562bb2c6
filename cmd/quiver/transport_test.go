package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/interop/endpoint"
	"github.com/seed51309289/quiver/quic"
)

// startServer runs quiver server until the test ends and returns the arguments that it prints for a client: the pin
// and the URL of a file.
func startServer(t *testing.T, args ...string) (pin []string, base string) {
	t.Helper()
	_, pin, base = startServerSaying(t, args...)
	return pin, base
}

// startServerSaying returns what the server says before, too.
func startServerSaying(t *testing.T, args ...string) (said string, pin []string, base string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	stderr, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"server", "--listen", "127.0.0.1:0"}, args...), strings.NewReader(""), io.Discard, w)
		w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if got := <-code; got != exitDone {
			t.Errorf("server exits with %d when it is stopped, want 0", got)
		}
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said += lines.Text() + "\n"
		_, client, ok := strings.Cut(lines.Text(), " client ")
		if !ok {
			continue
		}
		go io.Copy(io.Discard, stderr)
		words := strings.Fields(client)
		url := words[len(words)-1]
		return said, words[:len(words)-1], url[:strings.LastIndex(url, "/")+1]
	}
	t.Fatalf("server says no client line: %s", said)
	return "", nil, ""
}

// quiver runs one command line.
func quiver(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code = run(ctx, args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// serveFiles makes a directory of files.
func serveFiles(t *testing.T, files map[string]string) (www string) {
	t.Helper()
	www = t.TempDir()
	for name, text := range files {
		path := filepath.Join(www, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return www
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: %d bytes, %v, want the %d that are served", filepath.Base(path), len(got), err, len(want))
	}
}

func TestClientFetchesWhatServerServes(t *testing.T) {
	big := strings.Repeat("quiver ", 100_000)
	www := serveFiles(t, map[string]string{"a.bin": big, "sub/b.bin": big})
	downloads, qlogs, keys := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "keys.log")
	pin, base := startServer(t, "--www", www, "--retry")
	args := append([]string{"client", "-o", downloads, "--stats", "--keylog", keys, "--qlog", qlogs, "--cc", "newreno"}, pin...)
	code, _, said := quiver(t, append(args, base+"a.bin", base+"sub/b.bin")...)
	if code != exitDone {
		t.Fatalf("exit status %d: %s", code, said)
	}
	wantFile(t, filepath.Join(downloads, "a.bin"), big)
	wantFile(t, filepath.Join(downloads, "sub/b.bin"), big)
	for _, want := range []string{
		`(?m)^/a\.bin  684KiB in [0-9.]+.?s, [0-9.]+[GMk]bit/s$`,
		`(?m)^2 files, 1\.34MiB in [0-9.]+.?s, [0-9.]+[GMk]bit/s, RTT [0-9.]+.?s \(least [0-9.]+.?s\)$`,
		`(?m)^127\.0\.0\.1:[0-9]+: QUIC v1, h3, TLS_[A-Z0-9_]+, .*; newreno window `,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("client says %s, want a line like %s", said, want)
		}
	}
	if log, err := os.ReadFile(keys); err != nil || !bytes.Contains(log, []byte("SERVER_TRAFFIC_SECRET_0 ")) {
		t.Errorf("key log of %d bytes, %v, want the TLS secrets", len(log), err)
	}
	if entries, err := os.ReadDir(qlogs); err != nil || len(entries) != 1 {
		t.Errorf("%d qlogs, %v, want one", len(entries), err)
	}
}

func TestClientMigratesInTheMiddleOfADownload(t *testing.T) {
	big := strings.Repeat("quiver ", 100_000)
	downloads := t.TempDir()
	pin, base := startServer(t, "--www", serveFiles(t, map[string]string{"a": big}))
	args := append([]string{"client", "-o", downloads}, pin...)
	code, _, said := quiver(t, append(args, "--migrate-after", "64K", base+"a")...)
	if code != exitDone || !regexp.MustCompile(`(?m)^migrated from \S+:\d+ to \S+:\d+ after [0-9.]+KiB$`).MatchString(said) {
		t.Errorf("exit status %d: %s, want 0 and a line of the migration", code, said)
	}
	wantFile(t, filepath.Join(downloads, "a"), big)
	code, _, said = quiver(t, append(args, "--migrate-after", "1M", base+"a")...)
	if code != exitFailed || !strings.Contains(said, "--migrate-after: only 684KiB came, want at least 1.00MiB") {
		t.Errorf("exit status %d: %s, want 1, since the file is smaller", code, said)
	}
}

func TestClientWritesToStdoutInOrder(t *testing.T) {
	pin, base := startServer(t, "--www", serveFiles(t, map[string]string{"a": "first\n", "b": "second\n"}))
	code, out, said := quiver(t, append(append([]string{"client", "-o", "-"}, pin...), base+"a", base+"b")...)
	if code != exitDone || out != "first\nsecond\n" {
		t.Errorf("exit status %d, stdout %q, want both files: %s", code, out, said)
	}
}

func TestFailedDownloadLeavesTheOlderFile(t *testing.T) {
	pin, base := startServer(t, "--www", serveFiles(t, map[string]string{"new": "new"}))
	downloads := serveFiles(t, map[string]string{"new": "old", "gone": "old"})
	code, _, said := quiver(t, append(append([]string{"client", "-o", downloads}, pin...), base+"gone", base+"new", base+"../etc")...)
	if code != exitFailed || !strings.Contains(said, "the path does not name a file below the download directory") {
		t.Errorf("exit status %d, %q, want 1 and the URL that leads out", code, said)
	}
	code, _, said = quiver(t, append(append([]string{"client", "-o", downloads}, pin...), base+"gone", base+"new")...)
	if code != exitFailed || !strings.Contains(said, "/gone: the server has no such file") {
		t.Errorf("exit status %d, %q, want 1 and the file that is missing", code, said)
	}
	wantFile(t, filepath.Join(downloads, "gone"), "old")
	wantFile(t, filepath.Join(downloads, "new"), "new")
	if parts, _ := filepath.Glob(filepath.Join(downloads, "*.part")); len(parts) > 0 {
		t.Errorf("left behind: %v", parts)
	}
}

func TestClientNamesWhatIsWrongAndTheWayOut(t *testing.T) {
	_, base := startServer(t, "--www", t.TempDir())
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"untrusted certificate", []string{base + "x"}, "hint: trust its authority with --ca FILE, this one certificate with --pin SHA256"},
		{"another certificate", []string{"--pin", strings.Repeat("0a:", 31) + "0A", base + "x"}, ", pinned is 0a0a0a0a"},
		{"missing file", []string{"--insecure", base + "x"}, "x: the server has no such file"},
		{"directory", []string{"--insecure", base}, "the path does not name a file below the download directory"},
		{"another protocol", []string{"--insecure", strangeServer(t) + "x"}, "hint: the server speaks neither HTTP/3"},
	} {
		code, _, said := quiver(t, append([]string{"client", "-o", t.TempDir()}, tt.args...)...)
		if code != exitFailed || !strings.Contains(said, tt.want) {
			t.Errorf("%s: exit status %d, %q, want %d with %q", tt.name, code, said, exitFailed, tt.want)
		}
	}
}

// strangeServer is a server that speaks something else.
func strangeServer(t *testing.T) (base string) {
	t.Helper()
	cert, err := endpoint.SelfSigned(time.Now(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"smoke-signals"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "https://" + l.Addr().String() + "/"
}

func TestSilentHostIsReportedWithAHint(t *testing.T) {
	err := clientError(t.Context(), &endpoint.DialError{Host: "h:1", Err: &quic.HandshakeTimeoutError{}})
	s := statusOf(err)
	if s.code != exitFailed || s.Error() != "no connection to h:1: quic: handshake did not complete in time" ||
		s.hint != "nothing answered: is a QUIC server listening on UDP at h:1, and does UDP get through?" {
		t.Errorf("got %d, %v, hint %q", s.code, s, s.hint)
	}
}

func TestClosedPortIsReportedWithAHint(t *testing.T) {
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:1"))
	err := clientError(t.Context(), &endpoint.DialError{Host: "h:1", Err: &quic.UnreachableError{Addr: to, Err: syscall.ECONNREFUSED}})
	s := statusOf(err)
	if s.code != exitFailed || s.Error() != "no connection to h:1: quic: no way to 192.0.2.1:1: connection refused" ||
		s.hint != "no server listens on UDP at h:1; one that listens on TCP at that port is another" {
		t.Errorf("got %d, %v, hint %q", s.code, s, s.hint)
	}
}

func TestInterruptEndsADownload(t *testing.T) {
	pin, base := startServer(t, "--www", serveFiles(t, map[string]string{"endless": strings.Repeat("x", 64<<20)}))
	ctx, cancel := context.WithCancel(t.Context())
	downloads := t.TempDir()
	part := filepath.Join(downloads, "endless.part")
	go func() {
		for range 1000 {
			if _, err := os.Stat(part); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	var said bytes.Buffer
	code := run(ctx, append(append([]string{"client", "-o", downloads}, pin...), base+"endless"), strings.NewReader(""), io.Discard, &said)
	if code != exitFailed || !strings.Contains(said.String(), "error: interrupted; what was not whole was removed") {
		t.Errorf("exit status %d, %q, want 1 and a word of the interrupt", code, &said)
	}
	if entries, _ := os.ReadDir(downloads); len(entries) > 0 {
		t.Errorf("%v was left behind", entries)
	}
}

func TestEveryControllerThatIsOfferedExists(t *testing.T) {
	for _, name := range congestionControllers {
		if _, err := (&transportOptions{cc: name}).config(); err != nil {
			t.Errorf("--cc %s: %v", name, err)
		}
	}
}

func TestUnitsHaveThreeFigures(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{sizeText(0), "0B"}, {sizeText(1023), "1023B"}, {sizeText(1536), "1.50KiB"}, {sizeText(10 << 20), "10.0MiB"}, {sizeText(3 << 30), "3.00GiB"},
		{rateText(1000, time.Second), "8.00kbit/s"}, {rateText(117_500_000, time.Second), "940Mbit/s"}, {rateText(1<<30, time.Second), "8.59Gbit/s"},
		{rateText(1, 0), "8.00Mbit/s"},
		{durationText(12 * time.Microsecond), "12µs"}, {durationText(1250 * time.Microsecond), "1.2ms"}, {durationText(1234 * time.Millisecond), "1.23s"}, {durationText(90 * time.Second), "1m30s"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

func TestBarLineFitsTheTerminal(t *testing.T) {
	start := time.Now()
	f := &download{path: "/a/rather/long/path/to/a/file.tar.gz", start: start}
	f.bytes.Store(1 << 20)
	for _, tt := range []struct {
		width int
		want  string
	}{
		{100, "/a/rather/long/path/to/a/file.tar.gz  [ ===            ]   1.00MiB  8.39Mbit/s"},
		{60, "…to/a/file.tar.gz  [ ===            ]   1.00MiB  8.39Mbit/s"},
		{10, "….tar.gz "},
	} {
		if got := barLine(f, start.Add(time.Second), 1, tt.width); got != tt.want {
			t.Errorf("width %d: %q, want %q", tt.width, got, tt.want)
		}
	}
	if got, want := bouncing(13), "[             ===]"; "["+got+"]" != want || bouncing(26) != bouncing(0) {
		t.Errorf("frame 13 is %q, frame 26 %q, want the right end and the left", got, bouncing(26))
	}
}
