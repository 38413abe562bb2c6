package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// asCommand in the environment makes the test program the quiver command.
const asCommand = "QUIVER_TEST_AS_COMMAND"

// process is a quiver of its own.
func process(ctx context.Context, home string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// background starts a quiver that runs until the test ends, and returns what the first match of said finds in what it says.
func background(t *testing.T, home string, said *regexp.Regexp, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := process(ctx, home, args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	var all strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&all, lines.Text())
		if m := said.FindStringSubmatch(all.String()); m != nil {
			go io.Copy(io.Discard, out)
			return m
		}
	}
	t.Fatalf("quiver %q says %q, want %v", args, &all, said)
	return nil
}

// The demonstration of the README: a server offers a plugin that its client has never seen, and it recovers what the network loses on the very
// same connection. Later connections need not be sent it again. Those with a session that remembers it run it from the first packet: a ticket
// waits a second for plugins, and this network may need longer.
func TestAPluginIsExchangedBetweenTwoProcesses(t *testing.T) {
	const big, small = 250_000, 20_000
	www := serveFiles(t, map[string]string{"big": strings.Repeat("0123456789", big/10), "small": strings.Repeat("abcde", small/5)})
	var recovered atomic.Int64
	t.Cleanup(func() {
		if recovered.Load() == 0 {
			t.Error("no packet was recovered at any seed, although one in twenty is lost")
		}
	})
	for seed := 1; seed <= 3; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			home, out := t.TempDir(), t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
			defer cancel()
			if b, err := process(ctx, home, "plugin", "trust", "pin", "fec").CombinedOutput(); err != nil {
				t.Fatalf("pin: %v: %s", err, b)
			}
			server := background(t, home, regexp.MustCompile(`client --pin ([0-9a-f]{64}) https://([^/]+)/`),
				"server", "--listen", "127.0.0.1:0", "--www", www, "--offer-plugin", "fec,policy=full")
			sim := background(t, home, regexp.MustCompile(`Relaying from (\S+) to`),
				"sim", "link --delay=50ms --bandwidth=10Mbps --queue=50 --loss=5 --mtu=1500", "--udp", "127.0.0.1:0="+server[2], "--seed", fmt.Sprint(seed))
			for i, file := range []string{"big", "small", "small"} {
				said := fetch(t, ctx, home, out, server[1], "https://"+sim[1]+"/"+file)
				wantFile(t, filepath.Join(out, file), map[string]string{"big": strings.Repeat("0123456789", big/10), "small": strings.Repeat("abcde", small/5)}[file])
				want := []string{`← 1RTT .*plugin_offer 1 fec 1\.`, `→ .*plugin_answer 1 need`, `← .*plugin_data 1 .*fin`, `\+ fec 1\.[0-9.]+ attached`, `→ .*plugin_ready 1`, `← .*fec SOURCE`, `← .*fec REPAIR`}
				if i > 0 {
					want = []string{`\+ fec 1\.[0-9.]+ attached`, `plugin is active: `}
					if strings.Contains(said, "resumed true") {
						want = append(want, `← .*fec SOURCE`)
					}
					if strings.Contains(said, "need") || strings.Contains(said, "plugin_data") {
						t.Errorf("connection %d has the plugin sent again:\n%s", i, said)
					}
				}
				for _, line := range want {
					if !regexp.MustCompile(line).MatchString(said) {
						t.Errorf("connection %d does not show %q:\n%s", i, line, said)
					}
				}
				for _, m := range regexp.MustCompile(`(\d+) packets recovered`).FindAllStringSubmatch(said, -1) {
					n, _ := strconv.Atoi(m[1])
					recovered.Add(int64(n))
				}
			}
		})
	}
}

// fetch runs a client, and returns what it said.
func fetch(t *testing.T, ctx context.Context, home, out, pin, url string) string {
	t.Helper()
	cmd := process(ctx, home, "client", "--pin", pin, "-o", out, "--accept-plugins", "--packets=plugins", "--stats",
		"--resume", filepath.Join(home, "session"), "--0rtt", url)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("client: %v\n%s", err, &said)
	}
	return said.String()
}
