package sockets

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/sockets/control"
	"golang.org/x/sys/unix"
)

// slowly skips a test that takes long, unless all faults are to be tried.
func slowly(t *testing.T) {
	t.Helper()
	if os.Getenv("QUIVER_FAULTS") == "" {
		t.Skip("takes long: QUIVER_FAULTS=1 runs it")
	}
}

// worldLimit is how long a test in namespaces may take.
func worldLimit() string {
	if os.Getenv("QUIVER_FAULTS") == "" {
		return "60s"
	}
	return "8m"
}

// outage cuts the link between two programs that talk for a while, and expects that they go on.
func outage(t *testing.T, w *world, mode string, cut time.Duration) {
	t.Helper()
	there := w.joined()
	w.start(mode, "echo", "0.0.0.0:7000").says("listening at")
	client := there.start(mode, "talk", hereAddr+":7000")
	client.says("echoed 3\n")
	setLink(t, false)
	before := client.words()
	time.Sleep(cut) // the outage itself
	setLink(t, true)
	client.says(fmt.Sprintf("echoed %d\n", before+10))
	if strings.Contains(client.out.String(), "ended") {
		t.Errorf("the connection ended:\n%s", client.out)
	}
}

// words returns how many words came back.
func (r *running) words() int { return strings.Count(r.out.String(), "echoed") }

func TestAShortOutageIsSurvived(t *testing.T) {
	inModes(t, func(w *world, mode string) { outage(t, w, mode, time.Second) })
}

func TestABlackoutIsSurvived(t *testing.T) {
	slowly(t)
	inModes(t, func(w *world, mode string) { outage(t, w, mode, 20*time.Second) })
}

// counters asks a run itself.
func (w *world) counters(r *running) control.Counters {
	r.t.Helper()
	w.t.Setenv("QUIVER_RUNTIME_DIR", w.dir+"/run")
	p, err := control.Get(context.Background(), r.cmd.Process.Pid)
	if err != nil {
		r.t.Fatal(err)
	}
	return p.Counters
}

func TestThreeThousandConnectsAtOnce(t *testing.T) {
	slowly(t)
	inModes(t, func(w *world, mode string) {
		w.start(mode, "echo", "127.0.0.1:7000").says("listening at")
		start := time.Now()
		client := w.start(mode, "idle", "127.0.0.1:7000", "3000")
		client.says("holds 3000\n")
		c := w.counters(client)
		t.Logf("3000 connects in %v: %+v", time.Since(start), c)
		if c.Dropped != 0 || c.Refused != 0 {
			t.Errorf("%d SYNs dropped, %d connects refused, want none", c.Dropped, c.Refused)
		}
	})
}

// A cost is what a process takes.
type cost struct{ kB, files, threads int }

// costOf reads it from /proc.
func costOf(t *testing.T, pid int) (c cost) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		switch f[0] {
		case "VmRSS:":
			c.kB, _ = strconv.Atoi(f[1])
		case "Threads:":
			c.threads, _ = strconv.Atoi(f[1])
		}
	}
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	c.files = len(open)
	return c
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	slowly(t)
	const n = 3000
	inModes(t, func(w *world, mode string) {
		server := w.start(mode, "echo", "127.0.0.1:7000")
		server.says("listening at")
		w.start(mode, "ask", "127.0.0.1:7000", "x").says("answer")
		first := w.start(mode, "idle", "127.0.0.1:7000", "1")
		first.says("holds 1\n")
		s0, c0 := costOf(t, server.supervisor()), costOf(t, first.supervisor())
		client := w.start(mode, "idle", "127.0.0.1:7000", strconv.Itoa(n))
		client.says(fmt.Sprintf("holds %d\n", n))
		s1, c1 := costOf(t, server.supervisor()), costOf(t, client.supervisor())
		perServer, perClient := float64(s1.kB-s0.kB)/n, float64(c1.kB-c0.kB)/n
		t.Logf("kB for each idle connection: %.1f at the server, %.1f at the client", perServer, perClient)
		const most = 60 // kB: the aim is 40, and machines differ
		if perServer > most || perClient > most {
			t.Errorf("an idle connection costs %.1f kB at the server and %.1f kB at the client, want at most %d each", perServer, perClient, most)
		}
	})
}

func TestShortConnectionsLeaveNothing(t *testing.T) {
	slowly(t)
	inModes(t, func(w *world, mode string) {
		server := w.start(mode, "echo", "127.0.0.1:7000")
		server.says("listening at")
		cost := func(n int) (s, c cost) {
			client := w.start(mode, "short", "127.0.0.1:7000", strconv.Itoa(n))
			client.saysWithin(4*time.Minute, "waits\n")
			if !strings.Contains(client.out.String(), fmt.Sprintf("echoed %d\n", n)) {
				t.Errorf("%d connections:\n%s", n, client.out)
			}
			s, c = costOf(t, server.supervisor()), costOf(t, client.supervisor())
			client.cmd.Process.Signal(unix.SIGTERM)
			client.wait()
			return s, c
		}
		s0, c0 := cost(6000)
		s1, c1 := cost(60000)
		t.Logf("server %+v -> %+v, client %+v -> %+v", s0, s1, c0, c1)
		for _, p := range [][2]int{{s0.files, s1.files}, {c0.files, c1.files}} {
			if p[1] > p[0]+20 {
				t.Errorf("%d descriptors after ten times as many connections, had %d", p[1], p[0])
			}
		}
		for _, p := range [][2]int{{s0.kB, s1.kB}, {c0.kB, c1.kB}} {
			if p[1] > 2*p[0]+20<<10 {
				t.Errorf("%d kB after ten times as many connections, had %d", p[1], p[0])
			}
		}
	})
}
