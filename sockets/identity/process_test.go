package identity

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

// processVar has what a process of this test shall do, and where.
const processVar = "QUIVER_TEST_IDENTITY"

// racers is how many processes start at once.
const racers = 6

// TestMain is also the processes that race.
func TestMain(m *testing.M) {
	if order := os.Getenv(processVar); order != "" {
		obey(order)
		return
	}
	os.Exit(m.Run())
}

// obey waits for a line on stdin, does its part and says what came of it.
func obey(order string) {
	dir, key, _ := strings.Cut(order, "|")
	fmt.Println("ready")
	bufio.NewScanner(os.Stdin).Scan()
	id, err := Load(Options{StateDir: dir, Protocols: protocols})
	if err != nil {
		fmt.Println(err)
		return
	}
	if key == "" {
		fmt.Println(id.Pin())
		return
	}
	fmt.Println(id.hosts.learn(Host{Peer: server, Key: known.CertificatePin([]byte(key)), Since: day}, id.log))
}

// race runs processes for orders at once and returns what each said.
func race(t *testing.T, orders []string) []string {
	t.Helper()
	type process struct {
		cmd *exec.Cmd
		out *bufio.Scanner
		in  func() error
	}
	var all []process
	for _, order := range orders {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), processVar+"="+order)
		cmd.WaitDelay = 20 * time.Second
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, process{cmd, bufio.NewScanner(out), in.Close})
	}
	for _, p := range all {
		p.out.Scan()
	}
	for _, p := range all {
		p.in()
	}
	var said []string
	for _, p := range all {
		p.out.Scan()
		said = append(said, p.out.Text())
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	return said
}

func TestProcessesThatStartAtOnceEndWithOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "quiver")
	orders := make([]string, racers)
	for i := range orders {
		orders[i] = dir + "|"
	}
	said := race(t, orders)
	pin := load(t, Options{StateDir: dir}).Pin().String()
	for _, s := range said {
		if s != pin {
			t.Errorf("a process has %q, the file %s", s, pin)
		}
	}
}

func TestProcessesThatMeetOneKeyAtOnceWriteOneLine(t *testing.T) {
	dir := t.TempDir()
	orders := make([]string, racers)
	for i := range orders {
		orders[i] = dir + "|one"
	}
	for _, s := range race(t, orders) {
		if s != "<nil>" {
			t.Errorf("a process says %s", s)
		}
	}
	if got, want := read(t, filepath.Join(dir, "known_hosts")), hostsHead+(Host{Peer: server, Key: oneKey, Since: day}).String()+"\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestOfProcessesThatMeetTwoKeysAtOnceOneKindLoses(t *testing.T) {
	dir := t.TempDir()
	orders := make([]string, racers)
	for i := range orders {
		orders[i] = dir + "|" + []string{"one", "other"}[i%2]
	}
	said := race(t, orders)
	list, err := ParseHosts("known_hosts", []byte(read(t, filepath.Join(dir, "known_hosts"))))
	if err != nil || len(list) != 1 {
		t.Fatalf("%d lines, %v, want 1", len(list), err)
	}
	for i, s := range said {
		won := list[0].Key == []Pin{oneKey, otherKey}[i%2]
		if won != (s == "<nil>") || !won && !strings.Contains(s, "has another key than before") {
			t.Errorf("process %d, whose key is remembered: %v, says %s", i, won, s)
		}
	}
}
