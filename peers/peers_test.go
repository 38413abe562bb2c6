package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/peers/perf"
)

// realGo skips a test that builds programs, unless it was asked for: it takes minutes and needs the network once.
func realGo(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("QUIVER_PEERS") != "1" || testing.Short() {
		t.Skip("builds foreign programs through the module proxy: set QUIVER_PEERS=1 to run it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// logWriter shows what a build says in the log of a test.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// goScript puts a go command into PATH that is a shell script.
func goScript(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for the go command is a shell script")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

const somePeer = "example.org/module/cmd/peer@v1.2.3"

func TestInstallBuildsOnceAndThenStartsNoProcess(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	t.Setenv("CALLS", calls)
	goScript(t, `echo "$@" >>$CALLS; echo "go: downloading example.org/module v1.2.3" >&2; echo program >$GOBIN/peer`)
	cache := t.TempDir()
	var said bytes.Buffer
	first, err := Install(t.Context(), somePeer, cache, &said)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(first); string(text) != "program\n" || filepath.Base(first) != "peer" {
		t.Errorf("installed %s with %q", first, text)
	}
	for _, want := range []string{"peers: building " + somePeer, "peers: go: downloading example.org/module v1.2.3", "peers: built " + somePeer} {
		if !strings.Contains(said.String(), want+"\n") && !strings.Contains(said.String(), want+" ") {
			t.Errorf("progress lacks %q:\n%s", want, &said)
		}
	}
	said.Reset()
	again, err := Install(t.Context(), somePeer, cache, &said)
	if err != nil || again != first || said.Len() != 0 {
		t.Errorf("second call: %s, %v, said %q; want %s in silence", again, err, &said, first)
	}
	if text, _ := os.ReadFile(calls); string(text) != "install "+somePeer+"\n" {
		t.Errorf("go was called with %q, want one install", text)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestInstallKeepsVersionsAndPackagesApart(t *testing.T) {
	goScript(t, `echo "$2" >$GOBIN/peer`)
	cache := t.TempDir()
	seen := map[string]string{}
	for _, peer := range []string{"example.org/m/peer@v1.0.0", "example.org/m/peer@v1.0.1", "example.org/n/peer@v1.0.0", "example.org/m/peer/v2@v2.0.0+incompatible"} {
		path, err := Install(t.Context(), peer, cache, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := os.ReadFile(path); strings.TrimSpace(string(text)) != peer {
			t.Errorf("%s: the program is that of %s", peer, text)
		}
		if other := seen[path]; other != "" {
			t.Errorf("%s and %s share %s", peer, other, path)
		}
		seen[path] = peer
	}
}

func TestConcurrentInstallsBuildOnce(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	t.Setenv("CALLS", calls)
	goScript(t, `echo call >>$CALLS; sleep 0.3; echo program >$GOBIN/peer`)
	cache := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := Install(t.Context(), somePeer, cache, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if text, _ := os.ReadFile(calls); string(text) != "call\n" {
		t.Errorf("go ran %d times, want once", strings.Count(string(text), "\n"))
	}
}

func TestInstallRunsGoOutsideOfAnyModule(t *testing.T) {
	goScript(t, `{ pwd; ls -a; env; } >$GOBIN/peer`)
	t.Setenv("GOFLAGS", "-mod=mod -buildvcs=false -modfile=other.mod")
	t.Setenv("GOPROXY", "https://proxy.example.org")
	t.Setenv("GOOS", "plan9")
	t.Setenv("GOWORK", "/some/go.work")
	path, err := Install(t.Context(), somePeer, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	text := string(data)
	for _, want := range []string{"\nGOFLAGS=-buildvcs=false\n", "\nGOPROXY=https://proxy.example.org\n", "\nGOOS=" + runtime.GOOS + "\n",
		"\nGOWORK=off\n", "\nCGO_ENABLED=0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("environment of go lacks %q", want)
		}
	}
	if wd, _ := os.Getwd(); strings.HasPrefix(text, wd) || strings.Contains(text, "go.mod") {
		t.Errorf("go ran in a module: %.100s", text)
	}
}

func TestInstallSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name, peer, script string
		want               []string
	}{
		{"no version", "example.org/peer", "", []string{`"example.org/peer" is not a package at a fixed version`}},
		{"a moving version", "example.org/peer@latest", "", []string{"fixed version"}},
		{"an option", "-toolexec=x@v1.0.0", "", []string{"fixed version"}},
		{"a path upwards", "example.org/../peer@v1.0.0", "", []string{"fixed version"}},
		{"unknown embedded peer", "embedded:nothing", "", []string{`no embedded peer "nothing"`, "benchquicgo, benchtls, benchxnet, chromium, ngtcp2, quicgo"}},
		{"no proxy", somePeer, "echo 'go: example.org/module@v1.2.3: dial tcp: lookup proxy: no such host' >&2; exit 1",
			[]string{somePeer, "no module proxy can be reached", "no such host", "hint: "}},
		{"a build that fails", somePeer, "echo first >&2; echo 'main.go:1: undefined: x' >&2; exit 1", []string{somePeer, "go install: main.go:1: undefined: x"}},
		{"a build that is silent", somePeer, "exit 3", []string{"exit status 3"}},
		{"a library", somePeer, "exit 0", []string{"is it a main package?"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			goScript(t, tc.script)
			_, err := Install(t.Context(), tc.peer, t.TempDir(), nil)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestInstallWithoutGoNamesTheHint(t *testing.T) {
	defer func(roots []string) { usualRoots = roots }(usualRoots)
	usualRoots = nil
	t.Setenv("PATH", t.TempDir())
	t.Setenv("GOROOT", "")
	_, err := Install(t.Context(), somePeer, t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "no go command in PATH") || !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("error %v", err)
	}
}

func TestInstallStopsWhenToldTo(t *testing.T) {
	goScript(t, "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	cache := t.TempDir()
	began := time.Now()
	if _, err := Install(ctx, somePeer, cache, nil); err != context.DeadlineExceeded && !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v to stop", took)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTailForwardsLinesAndKeepsTheEnd(t *testing.T) {
	var log bytes.Buffer
	w := &tail{log: &log}
	w.Write([]byte("one\ntw"))
	w.Write([]byte("o\nthree"))
	if got, want := log.String(), "peers: one\npeers: two\n"; got != want {
		t.Errorf("forwarded %q, want %q", got, want)
	}
	w.Write(bytes.Repeat([]byte("x"), 3*keptOutput))
	if len(w.kept) != keptOutput || len(w.pending) > keptOutput {
		t.Errorf("keeps %d and %d bytes, want at most %d", len(w.kept), len(w.pending), keptOutput)
	}
}

func TestForeignPeersInstall(t *testing.T) {
	ctx := realGo(t)
	for _, peer := range []string{
		"github.com/quic-go/quic-go/interop/client@v0.65.0",
		"github.com/quic-go/quic-go/interop/server@v0.65.0",
		"golang.org/x/net/internal/quic/cmd/interop@v0.62.0",
	} {
		path, err := Install(ctx, peer, os.Getenv("QUIVER_PEERS_CACHE"), logWriter{t})
		if err != nil {
			t.Error(err)
			continue
		}
		began := time.Now()
		if again, err := Install(ctx, peer, os.Getenv("QUIVER_PEERS_CACHE"), logWriter{t}); err != nil || again != path {
			t.Errorf("second call: %s, %v", again, err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("%s: second call took %v", peer, took)
		}
	}
}

func TestEmbeddedPeersBuildFromTheirSums(t *testing.T) {
	ctx := realGo(t)
	for _, name := range Embedded() {
		if _, err := BuildEmbedded(ctx, name, os.Getenv("QUIVER_PEERS_CACHE"), logWriter{t}); err != nil {
			t.Error(err)
		}
	}
}

func TestBenchProgramsDoEveryWork(t *testing.T) {
	for name, lacks := range map[string]string{"benchtls": "", "benchquicgo": "", "benchxnet": perf.Resumed} {
		t.Run(name, func(t *testing.T) { testBench(t, name, lacks) })
	}
}

func testBench(t *testing.T, name, lacks string) {
	ctx := realGo(t)
	binary, err := BuildEmbedded(ctx, name, os.Getenv("QUIVER_PEERS_CACHE"), logWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	dir := makeCerts(t)
	server := exec.CommandContext(ctx, binary, "server", "-listen", "127.0.0.1:0", "-cert", dir+"/cert.pem", "-key", dir+"/priv.key")
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); server.Wait() }()
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimSpace(string(line[:n]))
	for _, work := range []string{perf.Down, perf.Up, perf.PingPong, perf.Request, perf.Handshake, perf.Resumed, perf.Idle} {
		if work == lacks {
			continue
		}
		for _, streams := range []string{"1", "7"} {
			count := "30"
			if work == perf.Down || work == perf.Up {
				count = "20000003"
			}
			text, err := exec.CommandContext(ctx, binary, "client", "-addr", addr, "-work", work, "-n", count, "-streams", streams).Output()
			if err != nil {
				t.Fatalf("%s: %v", work, err)
			}
			var got perf.Result
			if err := json.Unmarshal(text, &got); err != nil || fmt.Sprint(got.N) != count || got.Seconds <= 0 {
				t.Errorf("%s, %s streams: %s, %v", work, streams, text, err)
			}
		}
	}
}

func TestQuicGoServesAndFetchesFiles(t *testing.T) {
	ctx := realGo(t)
	binary, err := BuildEmbedded(ctx, "quicgo", os.Getenv("QUIVER_PEERS_CACHE"), logWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	certs, www := makeCerts(t), t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(www, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, testcase := range []string{"handshake", "transfer", "retry"} {
		listen := []string{"127.0.0.1:45443", "127.0.0.1:45444", "127.0.0.1:45445"}[i]
		server := exec.CommandContext(ctx, binary, "server", "-listen", listen, "-certs", certs, "-www", www)
		server.Env = append(os.Environ(), "TESTCASE="+testcase)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		downloads := t.TempDir()
		client := exec.CommandContext(ctx, binary, "client", "-downloads", downloads, "https://"+listen+"/one", "https://"+listen+"/two")
		client.Env = append(os.Environ(), "TESTCASE="+testcase)
		if out, err := client.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", testcase, err, out)
		}
		for _, name := range []string{"one", "two"} {
			if got, _ := os.ReadFile(filepath.Join(downloads, name)); !bytes.Equal(got, content) {
				t.Errorf("%s: %s arrived with %d bytes, want %d", testcase, name, len(got), len(content))
			}
		}
		server.Process.Kill()
		server.Wait()
	}
	unknown := exec.CommandContext(ctx, binary, "client", "https://127.0.0.1:45443/one")
	unknown.Env = append(os.Environ(), "TESTCASE=banana")
	if err := unknown.Run(); unknown.ProcessState.ExitCode() != 127 {
		t.Errorf("unknown test case: %v, want exit status 127", err)
	}
}
