package sockets

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets/tunnel"
	"golang.org/x/sys/unix"
)

// A rogue is a peer that says what it likes.
type rogue struct {
	w      *world
	dialer *tunnel.Dialer
	to     string
}

// rogue makes one in another world, for the run at to.
func (w *world) rogue(to string) *rogue {
	w.t.Helper()
	var sock *net.UDPConn
	err := w.within(func() (err error) {
		sock, err = net.ListenUDP("udp", nil)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &quic.Transport{Conn: sock}
	w.t.Cleanup(func() { transport.Close() })
	return &rogue{w, &tunnel.Dialer{Transport: transport}, to}
}

// asks sends an OPEN and returns what is said to it.
func (r *rogue) asks(open tcpq.Open) tcpq.Status {
	r.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	s, err := r.dialer.Dial(ctx, tunnel.Target{
		Peer: addrPort(r.to),
		TLS: func() (*tls.Config, error) {
			return &tls.Config{InsecureSkipVerify: true, ServerName: "x", NextProtos: []string{tcpq.ALPN}}, nil
		},
		Open: open,
	})
	if err == nil {
		s.Close()
		return tcpq.Accepted
	}
	status, ok := errors.AsType[*tunnel.StatusError](err)
	if !ok {
		r.w.t.Fatalf("OPEN %+v: %v, want a status", open, err)
	}
	return status.Status
}

func TestAPeerReachesOnlyWhatListensForIt(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		there := w.joined()
		w.start(mode, "echo", "127.0.0.1:7000").says("listening at")
		all := w.start(mode+" udp-port=8300", "echo", "0.0.0.0:7001")
		all.says("listening at")
		here, second := netip.MustParseAddr(hereAddr), there.rogue(hereAddr+":8300")
		first := there.rogue(hereAddr + ":8277")
		for _, tc := range []struct {
			name string
			by   *rogue
			dest string
			want tcpq.Status
		}{
			{"a listener of the loopback interface", first, "127.0.0.1:7000", tcpq.Denied},
			{"the same in IPv6", first, "[::ffff:127.0.0.1]:7000", tcpq.Denied},
			{"the same by the address of the host", first, hereAddr + ":7000", tcpq.Refused},
			{"all of the loopback network", first, "127.9.9.9:7000", tcpq.Denied},
			{"no address", first, "0.0.0.0:7000", tcpq.Refused},
			{"another host: we are no relay", first, thereAddr + ":7000", tcpq.Refused},
			{"a host of the Internet", first, "192.0.2.1:80", tcpq.Refused},
			{"a broadcast", first, "255.255.255.255:7000", tcpq.Refused},
			{"a listener for all", second, hereAddr + ":7001", tcpq.Accepted},
			{"a listener for all, by the loopback interface", second, "127.0.0.1:7001", tcpq.Denied},
			{"a listener for all, by a translator's address", second, "192.0.2.1:7001", tcpq.Accepted},
		} {
			if got := tc.by.asks(tcpq.Open{Dest: addrPort(tc.dest), Source: netip.AddrPortFrom(here, 1000)}); got != tc.want {
				t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
			}
		}
		// Who is connected is told by the packets, whatever OPEN says.
		second.asks(tcpq.Open{Dest: addrPort(hereAddr + ":7001"), Source: addrPort("192.0.2.77:4321")})
		all.says("from " + thereAddr + ":4321")
		if strings.Contains(all.out.String(), "192.0.2.77") {
			t.Errorf("the program was told a forged address:\n%s", all.out)
		}
	})
}

func TestAProgramIsStartedAsItWouldBe(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		signal.Ignore(syscall.SIGHUP, syscall.SIGINT) // as under nohup and in the background of a script
		r := w.start(mode, "self")
		r.wantExit(0)
		cmd := exec.Command(os.Args[0], "program")
		cmd.Env = append(os.Environ(), asProgram+"=self")
		plain, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		// What the kit itself adds is not the run's.
		got := slices.DeleteFunc(strings.Split(r.out.String(), "\n"), func(l string) bool {
			return strings.HasPrefix(l, "env QUIVER_RUNTIME_DIR=") || strings.HasPrefix(l, "env QUIVER_STATE_DIR=") || strings.HasPrefix(l, "env "+asRun)
		})
		if want := string(bytes.TrimSpace(plain)); strings.TrimSpace(strings.Join(got, "\n")) != want {
			t.Errorf("under quiver run:\n%s\nwithout:\n%s", strings.Join(got, "\n"), want)
		}
	})
}

func TestARunTakesTurnsAndItsProgramDoesAsItsUserSays(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		for _, tc := range []struct {
			name               string
			user, run, program uint32
		}{
			{"the usual policy", unix.SCHED_NORMAL, unix.SCHED_BATCH, unix.SCHED_NORMAL},
			{"batch", unix.SCHED_BATCH, unix.SCHED_BATCH, unix.SCHED_BATCH},
		} {
			r := by(t, tc.user, func() *running { return w.start(mode, "echo", "127.0.0.1:7000") })
			r.says("listening at")
			supervisor := r.supervisor()
			tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", supervisor))
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range tasks {
				if tid, _ := strconv.Atoi(task.Name()); scheduling(tid) != tc.run {
					t.Errorf("%s: a thread of the run has policy %d, want %d", tc.name, scheduling(tid), tc.run)
				}
			}
			if got := scheduling(childOf(t, supervisor)); got != tc.program {
				t.Errorf("%s: the program has policy %d, want %d", tc.name, got, tc.program)
			}
			if got := scheduling(r.cmd.Process.Pid); got != tc.user {
				t.Errorf("%s: what waits for the run has policy %d, want %d", tc.name, got, tc.user)
			}
			r.cmd.Process.Signal(syscall.SIGTERM)
			r.wait()
		}
	})
}

// by starts something from a thread that has a policy for so long.
func by(t *testing.T, policy uint32, start func() *running) *running {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set := func(policy uint32) {
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: policy}, 0); err != nil {
			t.Fatalf("policy %d: %v", policy, err)
		}
	}
	set(policy)
	defer set(unix.SCHED_NORMAL)
	return start()
}

func TestInjectedSocketsGiveNoRights(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode, "rights")
		r.wantExit(0)
		r.says("with: <nil>") // it is root here, and may
		for _, what := range []string{"packet", "raw", "xdp", "packet in a user namespace of its own", "raw in a user namespace of its own"} {
			r.says(what + ": operation not permitted")
		}
		r.says("raw of no protocol: protocol not supported")
		r.says("raw with flags of nobody: invalid argument")
		r.says("stream: <nil>")
	})
}

func TestKindsOfSocketsThatNeedRights(t *testing.T) {
	for _, tc := range []struct {
		name        string
		domain, typ int
		want        bool
	}{
		{"UDP", unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, false},
		{"raw", unix.AF_INET, unix.SOCK_RAW, true},
		{"raw IPv6, non-blocking", unix.AF_INET6, unix.SOCK_RAW | unix.SOCK_NONBLOCK, true},
		{"packets", unix.AF_PACKET, unix.SOCK_DGRAM, true},
		{"packets of old", unix.AF_INET, unix.SOCK_PACKET, true},
		{"XDP", unix.AF_XDP, unix.SOCK_RAW, true},
		{"keys", unix.AF_KEY, unix.SOCK_RAW, true},
		{"a raw family that nobody knows", 99, unix.SOCK_RAW, true},
		{"netlink, whose messages are judged one by one", unix.AF_NETLINK, unix.SOCK_RAW, false},
		{"UNIX, where raw means datagrams", unix.AF_UNIX, unix.SOCK_RAW, false},
		{"CAN", unix.AF_CAN, unix.SOCK_RAW, false},
	} {
		if got := needsRaw(tc.domain, tc.typ); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestStrangeProgramsAreServed(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		w.start(mode, "echo", "127.0.0.1:7000").says("listening at")
		for _, what := range []string{"chroot", "close", "exec", "filter", "daemon"} {
			r := w.start(mode, "strange", what, "127.0.0.1:7000", "hello")
			r.says(`answer "hello" <nil>`)
			r.wantExit(0)
		}
	})
}

func TestSignalsSpoilNoSocket(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		w.start(mode, "echo", "127.0.0.1:7000").says("listening at")
		r := w.start(mode, "storm", "127.0.0.1:7000", "300")
		r.wantExit(0)
		r.says("zero 0 wrong 0 ")
		t.Log(r.out)
	})
}

func TestTrustThatFailsIsSaidOnceAndRefuses(t *testing.T) {
	inNamespaces(t, func(w *world) {
		server := w.start("inside", "echo", "127.0.0.1:7000")
		server.says("listening at")
		known := w.dir + "/client"
		w.env = []string{"QUIVER_STATE_DIR=" + known}
		first := w.start("inside secure", "ask", "127.0.0.1:7000", "hello")
		first.says(`answer "hello" <nil>`)
		first.wantExit(0)
		server.cmd.Process.Signal(unix.SIGTERM)
		server.wait()

		w.env = []string{"QUIVER_STATE_DIR=" + w.dir + "/other"}
		w.start("inside", "echo", "127.0.0.1:7000").says("listening at")
		w.env = []string{"QUIVER_STATE_DIR=" + known}
		changed := w.start("inside secure", "crowd", "127.0.0.1:7000", "3")
		changed.says("had 0 of 3")
		changed.wantExit(0)
		if n := strings.Count(changed.out.String(), "has another key than before"); n != 1 {
			t.Errorf("the changed key was told %d times, want once:\n%s", n, changed.out)
		}
		refused := w.start("inside secure", "ask", "127.0.0.1:7000", "hello")
		refused.says("dial: connection refused")

		authority := w.start("inside ca=system", "ask", "127.0.0.1:7000", "hello")
		authority.says("dial: connection refused")
		authority.says("nobody vouches for the certificate")

		if err := os.WriteFile(known+"/known_hosts", []byte("rubbish\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		broken := w.start("inside secure", "ask", "127.0.0.1:7000", "hello")
		broken.says("dial: connection refused")
		broken.says("known_hosts:1")
	})
}

func TestAPeerThatSpeaksSomethingElseRefuses(t *testing.T) {
	inNamespaces(t, func(w *world) {
		_, tlsConf := quictest.TLSConfigs(time.Now(), "h3")
		ln, err := quic.ListenAddr("127.0.0.1:8277", tlsConf, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		r := w.start("inside", "ask", "127.0.0.1:7000", "hello")
		r.says("dial: connection refused")
		fallen := w.start("inside fallback=tcp", "ask", "127.0.0.1:7000", "hello")
		fallen.says("dial: connection refused")
	})
}
