package backend

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
)

const testScenario = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25"

// testBackends runs body on each backend that this machine allows.
func testBackends(t *testing.T, body func(t *testing.T, b Backend)) {
	for _, name := range []string{"netns", "loopback"} {
		t.Run(name, func(t *testing.T) { body(t, pick(t, name)) })
	}
}

// testBackendsInParallel is testBackends for tests that spend their time waiting, and look at nothing but their own job.
func testBackendsInParallel(t *testing.T, body func(t *testing.T, b Backend)) {
	t.Parallel()
	testBackends(t, func(t *testing.T, b Backend) {
		t.Parallel()
		body(t, b)
	})
}

func pick(t *testing.T, name string) Backend {
	t.Helper()
	b, _, err := Pick(name)
	if err != nil {
		need.Missing(t, name, "%v", err)
	}
	return b
}

// testJob returns a job of the test binary against itself.
func testJob(t *testing.T, b Backend, server, client string) *Job {
	t.Helper()
	dir := t.TempDir()
	j := &Job{Dir: filepath.Join(dir, "logs"), Scenario: testScenario, Seed: 1, Timeout: 30 * time.Second, WaitForServer: true}
	for name, at := range map[string]*string{"www": &j.WWW, "downloads": &j.Downloads, "certs": &j.Certs} {
		*at = filepath.Join(dir, name)
		if err := os.Mkdir(*at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{j.WWW + "/file": "content", j.Certs + "/cert.pem": "certificate"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j.Server, j.Client = testProgram(t, b, j, Server, server), testProgram(t, b, j, Client, client)
	return j
}

func testProgram(t *testing.T, b Backend, j *Job, role, testcase string) Program {
	t.Helper()
	places, err := b.Places(j, role)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Program{Name: "test", Argv: []string{self}, Env: []string{
		"ROLE=" + role, "TESTCASE=" + testcase, "LISTEN=" + places.Listen, "REQUESTS=" + places.Authority("server4"), "DOWNLOADS=" + places.Downloads,
		markVariable + "=" + os.Getenv(markVariable), "GORACE=" + os.Getenv("GORACE"),
	}}
}

// askFor makes the client of j talk to host.
func askFor(t *testing.T, b Backend, j *Job, host string) {
	t.Helper()
	places, err := b.Places(j, Client)
	if err != nil {
		t.Fatal(err)
	}
	for i, kv := range j.Client.Env {
		if strings.HasPrefix(kv, "REQUESTS=") {
			j.Client.Env[i] = "REQUESTS=" + places.Authority(host)
		}
	}
}

// markVariable names the variable by which the processes of a test are found.
const markVariable = "QUIVER_TEST_MARK"

func TestPacketsCrossTheSimulatorBothWays(t *testing.T) {
	testBackendsInParallel(t, func(t *testing.T, b Backend) {
		j := testJob(t, b, "echo", "echo")
		var log bytes.Buffer
		out := b.Run(t.Context(), j, &log)
		if out.Err != nil || out.TimedOut || out.Client != (Exit{Code: 0, Started: true}) {
			t.Fatalf("outcome %+v\n%s", out, &log)
		}
		if !out.Server.Started || !out.Server.Signaled {
			t.Errorf("server %+v, want one that was ended", out.Server)
		}
		if got, err := os.ReadFile(filepath.Join(j.Downloads, "echo")); err != nil || bytes.Count(got, []byte("\n")) != echoPackets {
			t.Errorf("downloaded %q, %v", got, err)
		}
		if out.Sim.ToServer.Packets < echoPackets || out.Sim.ToClient.Delivered < echoPackets {
			t.Errorf("the simulator carried %+v, want at least %d packets each way", out.Sim, echoPackets)
		}
		if !regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} client \| round trip (3|4)\dms$`).Match(log.Bytes()) {
			t.Errorf("the client measured no round trip of 30 ms:\n%s", &log)
		}
		for _, name := range []string{"trace_node_left.pcap", "trace_node_right.pcap", "sim.log"} {
			data, err := os.ReadFile(filepath.Join(j.Dir, "sim", name))
			if err != nil || len(data) == 0 {
				t.Errorf("%s has %d bytes, %v", name, len(data), err)
			}
			if name == "sim.log" && !strings.HasPrefix(string(data), "Using scenario: "+testScenario+"\nUsing seed: 1\n") {
				t.Errorf("sim.log starts %.100q", data)
			}
		}
	})
}

func TestExitStatusesAreTheRealOnes(t *testing.T) {
	testBackendsInParallel(t, func(t *testing.T, b Backend) {
		for _, tc := range []struct {
			name, server, client       string
			wantServer, wantClient     int
			serverSignaled, clientRuns bool
		}{
			{"client does not know the case", "echo", "banana", -1, 127, true, true},
			{"client fails", "echo", "exit 3", -1, 3, true, true},
			{"server does not know the case", "banana", "echo", 127, -1, false, false},
		} {
			t.Run(tc.name, func(t *testing.T) {
				var log bytes.Buffer
				out := b.Run(t.Context(), testJob(t, b, tc.server, tc.client), &log)
				if out.Err != nil || out.Server.Code != tc.wantServer || out.Client.Code != tc.wantClient ||
					out.Server.Signaled != tc.serverSignaled || out.Client.Started != tc.clientRuns {
					t.Errorf("outcome %+v, want server %d and client %d\n%s", out, tc.wantServer, tc.wantClient, &log)
				}
				if tc.client == "exit 3" && !strings.Contains(log.String(), " client | no end of line\n") {
					t.Errorf("log lacks the unended line:\n%s", &log)
				}
			})
		}
	})
}

func TestServerThatIsNotReadyIsToldApart(t *testing.T) {
	testBackendsInParallel(t, func(t *testing.T, b Backend) {
		for _, tc := range []struct{ server, want string }{
			{"exit 3", "ended with exit status 3 before"},
			{"rude", "11 bytes that start 68656c6c6f207468, want Version Negotiation"},
		} {
			var log bytes.Buffer
			out := b.Run(t.Context(), testJob(t, b, tc.server, "echo"), &log)
			if !errors.Is(out.Err, ErrNotReady) || !strings.Contains(out.Err.Error(), tc.want) || out.Client.Started {
				t.Errorf("%s: outcome %+v, want ErrNotReady naming %q\n%s", tc.server, out, tc.want, &log)
			}
		}
	})
}

func TestServerThatEndsFirstEndsTheClient(t *testing.T) {
	testBackendsInParallel(t, func(t *testing.T, b Backend) {
		j := testJob(t, b, "exit 3", "silent")
		j.WaitForServer = false
		began := time.Now()
		out := b.Run(t.Context(), j, new(bytes.Buffer))
		if took := time.Since(began); out.Err != nil || out.Server.Code != 3 || !out.Client.Signaled || took > 5*time.Second {
			t.Errorf("outcome %+v after %v, want status 3 of the server and an ended client", out, took)
		}
	})
}

func TestDeadlineEndsProgramsThatHang(t *testing.T) {
	testBackends(t, func(t *testing.T, b Backend) {
		for _, tc := range []struct{ server, client string }{{"echo", "deaf"}, {"silent", "echo"}} {
			mark := markProcesses(t)
			j := testJob(t, b, tc.server, tc.client)
			j.Timeout = 500 * time.Millisecond
			began := time.Now()
			out := b.Run(t.Context(), j, new(bytes.Buffer))
			if took := time.Since(began); !out.TimedOut || out.Err != nil || took > 3*time.Second {
				t.Errorf("%s with %s: outcome %+v after %v, want a timeout after 0.5s", tc.server, tc.client, out, took)
			}
			mark.wantNone(t)
		}
	})
}

func TestCancellingEndsTheJobQuickly(t *testing.T) {
	testBackends(t, func(t *testing.T, b Backend) {
		mark := markProcesses(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		began := time.Now()
		out := b.Run(ctx, testJob(t, b, "deaf", "deaf"), new(bytes.Buffer))
		if took := time.Since(began); !errors.Is(out.Err, context.Canceled) || out.TimedOut || took > 3*time.Second {
			t.Errorf("outcome %+v after %v, want context.Canceled after 0.3s", out, took)
		}
		mark.wantNone(t)
	})
}

func TestComplianceReturnsTheExitStatus(t *testing.T) {
	testBackendsInParallel(t, func(t *testing.T, b Backend) {
		for _, role := range []string{Client, Server} {
			j := testJob(t, b, "banana", "banana")
			exit, err := b.Compliance(t.Context(), role, testProgram(t, b, j, role, "sloth"), new(bytes.Buffer))
			if err != nil || exit.Code != 127 {
				t.Errorf("%s: %+v, %v; want exit status 127", role, exit, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
			exit, err = b.Compliance(ctx, role, testProgram(t, b, j, role, "deaf"), new(bytes.Buffer))
			if !errors.Is(err, context.DeadlineExceeded) || !exit.Signaled {
				t.Errorf("deaf %s: %+v, %v; want it killed at the deadline", role, exit, err)
			}
			cancel()
		}
	})
}

func TestJobsRunInParallelWorlds(t *testing.T) {
	testBackendsInParallel(t, func(t *testing.T, b Backend) {
		var all sync.WaitGroup
		for range 4 {
			j := testJob(t, b, "echo", "echo")
			all.Go(func() {
				var log bytes.Buffer
				if out := b.Run(t.Context(), j, &log); out.Err != nil || out.Client.Code != 0 {
					t.Errorf("outcome %+v\n%s", out, &log)
				}
			})
		}
		all.Wait()
	})
}

func TestJobsThatCannotRunSayWhy(t *testing.T) {
	testBackendsInParallel(t, func(t *testing.T, b Backend) {
		for _, tc := range []struct {
			name   string
			break_ func(j *Job)
			want   string
		}{
			{"no directory", func(j *Job) { j.Dir = "" }, "without a directory"},
			{"unknown scenario", func(j *Job) { j.Scenario = "carrier-pigeon" }, "carrier-pigeon"},
			{"missing server", func(j *Job) { j.Server.Argv = []string{"/nonexistent/server"} }, "/nonexistent/server"},
			{"missing client", func(j *Job) { j.Client.Argv = []string{"/nonexistent/client"} }, "/nonexistent/client"},
			{"no program", func(j *Job) { j.Server.Argv = nil }, "no program"},
		} {
			j := testJob(t, b, "echo", "echo")
			tc.break_(j)
			out := b.Run(t.Context(), j, new(bytes.Buffer))
			if out.Err == nil || errors.Is(out.Err, ErrNotReady) || !strings.Contains(out.Err.Error(), tc.want) {
				t.Errorf("%s: error %v, want one naming %q", tc.name, out.Err, tc.want)
			}
		}
	})
}

func TestPickNamesWhatExists(t *testing.T) {
	if _, _, err := Pick("docker"); err == nil || err.Error() != `no backend "docker", there are auto, netns and loopback` {
		t.Errorf("error %v", err)
	}
	if b, why, err := Pick("auto"); err != nil || (b.Name() == "loopback") != (why != "") {
		t.Errorf("auto: %v, %q, %v", b, why, err)
	}
}

func TestLoopbackPlacesStayTheSameForAJob(t *testing.T) {
	b := pick(t, "loopback")
	j := testJob(t, b, "echo", "echo")
	first, err := b.Places(j, Server)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := b.Places(j, Server)
	other, _ := b.Places(testJob(t, b, "echo", "echo"), Server)
	if first.Listen != again.Listen || first.Authority("server4") != again.Authority("server4") {
		t.Error("the second call moved the ports")
	}
	if first.Listen == other.Listen || first.Authority("server4") == other.Authority("server4") {
		t.Error("two jobs share a port")
	}
	if got := first.Authority("server6"); !strings.HasPrefix(got, "[::1]:") {
		t.Errorf("server6 is at %s, want [::1]", got)
	}
}

func TestLoopbackCarriesIPv6(t *testing.T) {
	b := pick(t, "loopback")
	j := testJob(t, b, "echo", "echo")
	askFor(t, b, j, "server6")
	if _, err := freePort(ipv6.addr()); err != nil {
		need.Missing(t, "ipv6", "no IPv6 loopback: %v", err)
	}
	var log bytes.Buffer
	if out := b.Run(t.Context(), j, &log); out.Err != nil || out.Client.Code != 0 || !strings.Contains(log.String(), "asking [::1]:") {
		t.Errorf("outcome %+v\n%s", out, &log)
	}
}
