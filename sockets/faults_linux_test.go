package sockets

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// blackHole makes a network from which nothing comes back, and returns an address of it.
func blackHole(w *world) string {
	w.t.Helper()
	w.joined()
	link, err := netlink.LinkByName(hereDev)
	if err == nil {
		err = netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.IPv4(10, 77, 0, 9), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return "10.77.0.9:7000"
}

func TestAPeerHearsAtOnceThatARunWasKilled(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		server := w.start(mode, "echo", "127.0.0.1:7000")
		server.says("listening at")
		client := w.start(mode, "talk", "127.0.0.1:7000")
		client.says("echoed")
		syscall.Kill(server.supervisor(), syscall.SIGKILL)
		client.says("ended: connection reset by peer")
		client.wantExit(0)
		server.wantExit(1)
	})
}

func TestAConnectThatIsHeldEndsWithItsProgram(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		hole := blackHole(w)
		for _, tc := range []struct {
			name string
			kill func(r *running)
			exit int
		}{
			{"the program is killed", func(r *running) { syscall.Kill(r.program(), syscall.SIGKILL) }, 128 + 9},
			{"the supervisor is killed", func(r *running) { syscall.Kill(r.supervisor(), syscall.SIGKILL) }, 1},
			{"the run is asked to end", func(r *running) { r.cmd.Process.Signal(syscall.SIGTERM) }, 128 + 15},
			{"the run is killed", func(r *running) { r.cmd.Process.Kill() }, -1},
		} {
			r := w.start(mode, "ask", hole, "x")
			r.connecting()
			below := descendants(r.cmd.Process.Pid)
			start := time.Now()
			tc.kill(r)
			r.wantExit(tc.exit)
			wantGone(t, below)
			t.Logf("%s: over after %v", tc.name, time.Since(start))
		}
	})
}

func TestAProgramThatIsKilledLeavesItsPeersTheEnd(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		server := w.start(mode, "echo", "127.0.0.1:7000")
		server.says("listening at")
		client := w.start(mode, "hold", "127.0.0.1:7000")
		client.says("connected")
		syscall.Kill(server.program(), syscall.SIGKILL)
		client.says("ended: ")
		client.wantExit(0)
		server.wantExit(128 + 9)
		after := w.start(mode, "ask", "127.0.0.1:7000", "x")
		after.says("dial: connection refused")
	})
}

func TestAPortThatAStrangerHasIsNamed(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		stranger, err := net.ListenUDP("udp", &net.UDPAddr{Port: 8277})
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		server := w.start(mode, "echo", "127.0.0.1:7000")
		server.says("UDP port 8277")
		server.says("listening at")
		fixed := w.start(mode+" udp-port=8277", "echo", "127.0.0.1:7001")
		fixed.says("UDP port 8277")
		fixed.says("listen: ")
		fixed.says("address already in use")
		fixed.wantExit(1)
		same := w.start(mode+" ports=same", "echo", "127.0.0.1:8277")
		same.says("address already in use")
		same.wantExit(1)
	})
}

func TestATCPPortThatIsTakenOnTheHostIsInUse(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		l, err := net.Listen("tcp", "127.0.0.1:7000")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		server := w.start(mode+" fallback=tcp", "echo", "127.0.0.1:7000")
		server.says("address already in use")
		server.wantExit(1)
	})
}

func TestGarbageOnTheUDPPortDisturbsNobody(t *testing.T) {
	inNamespaces(t, func(w *world) {
		server := w.start("inside", "echo", "127.0.0.1:7000")
		server.says("listening at")
		c, err := net.Dial("udp", "127.0.0.1:8277")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i := range 3000 {
			b := make([]byte, i%1400)
			for k := range b {
				b[k] = byte(i*31 + k*k)
			}
			c.Write(b)
		}
		client := w.start("inside", "ask", "127.0.0.1:7000", "hello")
		client.says(`answer "hello" <nil>`)
	})
}

func TestARunThatHasFewDescriptorsSaysSoAndGoesOn(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		server := w.start(mode+" files=100", "echo", "127.0.0.1:7000")
		server.says("listening at")
		client := w.start(mode, "crowd", "127.0.0.1:7000", "150")
		client.says("of 150")
		server.says("no descriptors left")
		client.wantExit(0)
		for deadline := time.Now().Add(testLimit); w.start(mode, "ask", "127.0.0.1:7000", "hello").wait() != 0; { // those of the crowd may not have ended yet
			if time.Now().After(deadline) {
				t.Fatalf("nobody is let in any more; the server said:\n%s", server.out)
			}
		}

		w.start(mode, "echo", "127.0.0.1:7001").says("listening at")
		few := w.start(mode+" files=100", "crowd", "127.0.0.1:7001", "150")
		few.says("no descriptors left")
		few.says("of 150")
		few.wantExit(0)
		none := w.start(mode+" files=12", "exit", "0")
		none.says("too many open files")
		none.wantExit(1)
	})
}

func TestAProgramWithoutDescriptorsIsToldByTheKernel(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		r := w.start(mode, "full")
		r.says("tcp: too many open files")
		r.says("udp: too many open files")
		r.says("then: <nil>")
		r.wantExit(0)
	})
}

func TestARunNeedsNoHomeAndNoRuntimeDirectory(t *testing.T) {
	inNamespaces(t, func(w *world) {
		w.env = []string{"QUIVER_RUNTIME_DIR=/proc/nowhere", "HOME="}
		server := w.start("inside", "echo", "127.0.0.1:7000")
		server.says("quiver ps will not show this run")
		server.says("listening at")
		client := w.start("inside", "ask", "127.0.0.1:7000", "hello")
		client.says(`answer "hello" <nil>`)
		client.wantExit(0)

		w.env = []string{"QUIVER_STATE_DIR=/proc/nowhere"}
		r := w.start("inside", "exit", "0")
		r.says("keys of this host: /proc/nowhere: no such file or directory")
		r.wantExit(1)
	})
}

func TestARunUnderARunIsRefused(t *testing.T) {
	inNamespaces(t, func(w *world) {
		r := w.start("inside", "nest")
		r.says("runs under a supervisor of system calls already")
		r.wantExit(1)
	})
}

// program returns the process that the supervisor started.
func (r *running) program() int {
	r.t.Helper()
	supervisor := r.supervisor()
	for deadline := time.Now().Add(testLimit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, p := range processes() {
			if p.ppid == supervisor {
				return p.pid
			}
		}
	}
	r.t.Fatalf("there is no program; the run said:\n%s", r.out)
	return 0
}

// connecting waits until the program waits for a connection.
func (r *running) connecting() {
	r.t.Helper()
	r.says("dialing")
	pid := r.supervisor()
	for deadline := time.Now().Add(testLimit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		tables, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/net/tcp*", pid)) // some of its threads live in the fabric
		for _, table := range tables {
			text, _ := os.ReadFile(table)
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); len(f) > 3 && f[3] == "02" { // SYN_SENT
					return
				}
			}
		}
	}
	r.t.Fatalf("nobody connects; the run said:\n%s", r.out)
}
