package backend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
)

// inspected returns what a client sees.
func inspected(t *testing.T, b Backend) (*Job, view) {
	t.Helper()
	j := testJob(t, b, "inspect", "inspect")
	return j, runInspect(t, b, j)
}

func runInspect(t *testing.T, b Backend, j *Job) (v view) {
	t.Helper()
	var log bytes.Buffer
	out := b.Run(t.Context(), j, &log)
	if out.Err != nil || out.Client.Code != 0 {
		t.Fatalf("outcome %+v\n%s", out, &log)
	}
	data, err := os.ReadFile(filepath.Join(j.Dir, "client", "view.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEndpointFindsWhatAContainerFinds(t *testing.T) {
	t.Parallel()
	j, v := inspected(t, pick(t, "netns"))
	wantEqual := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	wantEqual("host name", v.Host, "client")
	wantEqual("user", v.UID, 0)
	wantEqual("directory", v.Dir, "/")
	wantEqual("links", v.Links, map[string][]string{"lo": {"127.0.0.1/8", "::1/128"}, "eth0": {"193.167.0.100/24", "fd00:cafe:cafe::100/64"}})
	wantEqual("MTU", v.MTU, 1500)
	wantEqual("arguments", v.Argv[1:], []string{})
	slices.Sort(v.Env)
	wantEnv := append(slices.Clone(j.Client.Env), "HOME=/tmp", "PATH="+defaultPath)
	slices.Sort(wantEnv)
	wantEqual("environment", v.Env, wantEnv)
	wantEqual("/www/file", v.Files["/www/file"], "error: open /www/file: no such file or directory") // is the server's
	wantEqual("certificate", v.Files["/certs/cert.pem"], "certificate")
	wantEqual("forwarding", v.Files["/proc/sys/net/ipv4/ip_forward"][:1], "0")
	if strings.HasPrefix(v.Files["/etc/passwd"], "error") {
		t.Errorf("/etc/passwd: %s", v.Files["/etc/passwd"])
	}
	wantEqual("gate", v.GateError, "")
	for dir, writable := range map[string]bool{"/certs": false, "/downloads": true, "/logs": true, "/tmp": true, "/usr": false, "/dev/shm": true} {
		if (v.Writable[dir] == "<nil>") != writable {
			t.Errorf("writing to %s: %s, want possible %t", dir, v.Writable[dir], writable)
		}
	}
	if v.OldProc {
		t.Log("parts of /proc are masked here, so the endpoint has that of the host")
	} else if v.Processes > 4 { // sandbox, server, client, and nobody of the host
		t.Errorf("sees %d processes, want those of the job", v.Processes)
	}
	for _, dir := range []string{"certs", "www", "downloads", "logs", "peer", "usr", "tmp"} {
		if !slices.Contains(v.RootFiles, dir) {
			t.Errorf("there is no /%s in %v", dir, v.RootFiles)
		}
	}
}

func TestNamesComeFromTheHostsFileOnly(t *testing.T) {
	t.Parallel()
	_, v := inspected(t, pick(t, "netns"))
	for name, want := range map[string]string{
		"sim": "193.167.0.2", "server": "193.167.100.100", "server4": "193.167.100.100", "client": "193.167.0.100",
		"server6": "fd00:cafe:cafe:100::100",
	} {
		if len(v.Hosts[name]) == 0 || v.Hosts[name][0] != want {
			t.Errorf("%s is %v, want %s", name, v.Hosts[name], want)
		}
	}
	if len(v.Hosts["server46"]) != 2 {
		t.Errorf("server46 is %v, want both addresses", v.Hosts["server46"])
	}
	if v.Unknown == "" || v.DNSSilence > 500*time.Millisecond {
		t.Errorf("an unknown name: %q after %v, want an error at once", v.Unknown, v.DNSSilence)
	}
}

// TestAnswersToAReboundAddressReachTheClient has a NAT whose address nobody on the client's link has.
func TestAnswersToAReboundAddressReachTheClient(t *testing.T) {
	t.Parallel()
	b := pick(t, "netns")
	for _, host := range []string{"server4", "server6"} {
		if host == "server6" && !haveIPv6() {
			need.Missing(t, "ipv6", "this kernel runs without IPv6")
		}
		j := testJob(t, b, "echo", "echo")
		askFor(t, b, j, host)
		j.Scenario = "rebind --delay=5ms --bandwidth=10Mbps --queue=25 --first-rebind=1ns --rebind-addr"
		var log bytes.Buffer
		out := b.Run(t.Context(), j, &log)
		if out.Err != nil || out.Client.Code != 0 || out.Sim.Rebinds != 1 || out.Sim.ToServer.Delivered < echoPackets {
			t.Errorf("%s: outcome %+v, want the echo to come back after one rebinding\n%s", host, out, &log)
		}
	}
}

// TestTCPCompetesBesideTheEndpoints lets five round trips of 200 ms pass, in which CUBIC opens its window.
func TestTCPCompetesBesideTheEndpoints(t *testing.T) {
	t.Parallel()
	b := pick(t, "netns")
	j := testJob(t, b, "echo", "echo")
	askFor(t, b, j, "server4")
	j.Scenario, j.CrossTraffic = "simple-p2p --delay=100ms --bandwidth=10Mbps --queue=25", true
	var log bytes.Buffer
	out := b.Run(t.Context(), j, &log)
	if out.Err != nil || out.Client.Code != 0 || !strings.Contains(log.String(), "TCP (cubic) beside it: ") {
		t.Fatalf("outcome %+v, want a line about the TCP flow\n%s", out, &log)
	}
	if out.Sim.ToClient.Bytes < 10_000 || out.Sim.ToClient.Bytes < 2*out.Sim.ToServer.Bytes {
		t.Errorf("%d bytes to the client, %d to the server: want much more to the client, where TCP sends", out.Sim.ToClient.Bytes, out.Sim.ToServer.Bytes)
	}
}

func TestNamespacesCarryIPv6(t *testing.T) {
	t.Parallel()
	b := pick(t, "netns")
	if !haveIPv6() {
		need.Missing(t, "ipv6", "this kernel runs without IPv6")
	}
	j := testJob(t, b, "echo", "echo")
	askFor(t, b, j, "server6")
	var log bytes.Buffer
	out := b.Run(t.Context(), j, &log)
	if out.Err != nil || out.Client.Code != 0 || !strings.Contains(log.String(), "asking [fd00:cafe:cafe:100::100]:443") {
		t.Errorf("outcome %+v\n%s", out, &log)
	}
}

func TestTwoThousandRequestsReachTheClient(t *testing.T) {
	t.Parallel()
	b := pick(t, "netns")
	j := testJob(t, b, "inspect", "inspect")
	long := "LONG=" + strings.Repeat("x", 120<<10) // the kernel takes 128 KiB
	j.Client.Env = append(j.Client.Env, long)
	for i := range 2000 {
		j.Client.Argv = append(j.Client.Argv, fmt.Sprintf("https://server4:443/a-name-of-the-usual-length-%d", i))
	}
	v := runInspect(t, b, j)
	if len(v.Argv) != 2001 || !reflect.DeepEqual(v.Argv[1:], j.Client.Argv[1:]) || !slices.Contains(v.Env, long) {
		t.Errorf("%d arguments and %d variables arrived, want 2001 and %d", len(v.Argv), len(v.Env), len(j.Client.Env)+2)
	}
}

func TestJobCostsLittleBesidesItsEndpoints(t *testing.T) {
	b := pick(t, "netns")
	var fastest = time.Minute
	for range 3 {
		j := testJob(t, b, "echo", "banana") // the client ends at once
		began := time.Now()
		if out := b.Run(t.Context(), j, io.Discard); out.Err != nil || out.Client.Code != 127 {
			t.Fatalf("outcome %+v", out)
		}
		fastest = min(fastest, time.Since(began))
	}
	t.Logf("a job with endpoints that do nothing takes %v, %v of it for packets to drain", fastest, drainTime)
	if fastest > 3*time.Second { // usually 70 ms and the draining, but not on a machine that is busy otherwise
		t.Errorf("a job with endpoints that do nothing takes %v", fastest)
	}
}

// TestKilledParentLeavesNothing kills a process in the middle of a job.
func TestKilledParentLeavesNothing(t *testing.T) {
	if dir := os.Getenv("QUIVER_TEST_HANG"); dir != "" { // this is that process
		b := pick(t, os.Getenv("QUIVER_TEST_BACKEND"))
		j := testJob(t, b, "deaf", "deaf")
		time.AfterFunc(400*time.Millisecond, func() { os.WriteFile(dir+"/running", nil, 0o644) })
		b.Run(t.Context(), j, io.Discard)
		return
	}
	testBackends(t, func(t *testing.T, b Backend) {
		mark := markProcesses(t)
		dir := t.TempDir()
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilledParentLeavesNothing$")
		cmd.Env = append(os.Environ(), "QUIVER_TEST_HANG="+dir, "QUIVER_TEST_BACKEND="+b.Name(), "TMPDIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for _, err := os.Stat(dir + "/running"); err != nil; _, err = os.Stat(dir + "/running") {
			if time.Now().After(deadline) {
				t.Fatal("the job did not start")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(mark.processes()); n < 2 {
			t.Errorf("%d processes while the job runs, so this test would find none", n)
		}
		cmd.Process.Kill()
		cmd.Wait()
		mark.wantNone(t)
	})
}

func TestFinishedJobsLeaveNothing(t *testing.T) {
	testBackends(t, func(t *testing.T, b Backend) {
		mark := markProcesses(t)
		for _, client := range []string{"echo", "exit 3", "banana"} {
			b.Run(t.Context(), testJob(t, b, "echo", client), io.Discard)
		}
		mark.wantNone(t)
	})
}

// TestNobodyCanRunJobs runs the tests of this package again without privileges.
func TestNobodyCanRunJobs(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root, so all tests already run without privileges")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "quiver-nobody-") // t.TempDir is for the owner's eyes only
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const nobody = 65534
	// A process that another test forks meanwhile would have the file open for writing: "text file busy".
	syscall.ForkLock.RLock()
	err = os.WriteFile(dir+"/backend.test", self, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o777)
	cmd := exec.Command(dir+"/backend.test", "-test.v", "-test.timeout=60s",
		"-test.run=^(TestPacketsCross.*|TestEndpointFinds.*|TestNamespacesCarryIPv6|TestCompliance.*|TestFinished.*)$/^(netns)?$")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if i := strings.Index(string(out), "backend netns: "); i >= 0 {
		sentence, _, _ := strings.Cut(string(out[i:]), "\n")
		need.Missing(t, "netns", "this machine does not let user 65534 make namespaces: %s", sentence)
	}
	if n := bytes.Count(out, []byte("--- PASS")); n < 5 {
		t.Errorf("%d tests passed, want all five:\n%s", n, out)
	}
}

func TestRootNeedsNoUserNamespace(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root, and namespaces without a user namespace are for root")
	}
	b := &namespaces{}
	if err := b.try(); err != nil {
		need.Missing(t, "netns", "this root may not make namespaces: %v", err)
	}
	_, v := inspected(t, b)
	if v.Host != "client" || len(v.Links["eth0"]) != 2 || v.Writable["/usr"] == "<nil>" {
		t.Errorf("without a user namespace the endpoint sees %+v", v)
	}
}

func TestExplanationsAreOneSentence(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{syscall.EPERM, ""},
		{fmt.Errorf("namespaces: %w", syscall.ENOSPC), "limit of namespaces"},
		{errors.New("namespaces of the server: fork/exec /proc/self/exe: no space left on device"), "limit of namespaces"},
		{syscall.EINVAL, "built without"},
		{errors.New("link to the server: operation not supported"), "module veth"},
	} {
		if why := explain(tc.err); why == "" || strings.Contains(why, "\n") || !strings.Contains(why, tc.want) {
			t.Errorf("%v: %q, want one naming %q", tc.err, why, tc.want)
		}
	}
}
