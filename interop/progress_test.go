package interop

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func sampleJob(test string) *JobInfo {
	c, _ := SelectCases(test)
	return &JobInfo{Client: &Implementation{Name: "quiver"}, Server: &Implementation{Name: "quic-go"}, Case: &c[0], Repetition: 1}
}

func TestPlainProgressWritesOneLinePerFinishedJob(t *testing.T) {
	var b bytes.Buffer
	p := &PlainProgress{W: &b}
	p.Begin(3, time.Time{})
	p.Finished(sampleJob("ipv6"), nil) // cannot run: one less to do
	a, z := sampleJob("handshake"), sampleJob("retry")
	p.Started(a)
	p.Started(z)
	p.Finished(z, &Result{Status: Failed, Reason: "no token", Duration: 1200 * time.Millisecond})
	p.Finished(a, &Result{Status: Succeeded, Reason: "fine", Duration: 300 * time.Millisecond})
	want := "3 jobs\n" +
		"  1/2  ✕ retry        client quiver    server quic-go     1.2s  no token\n" +
		"  2/2  ✓ handshake    client quiver    server quic-go     0.3s\n"
	if b.String() != want {
		t.Errorf("output:\n%swant:\n%s", b.String(), want)
	}
}

func TestLiveProgressFitsTheTerminalAndKeepsFailures(t *testing.T) {
	var b bytes.Buffer
	start := time.Now()
	p := &LiveProgress{W: &b, Width: func() int { return 60 }, now: func() time.Time { return start.Add(75 * time.Second) }}
	p.Begin(63, start)
	jobs := []*JobInfo{sampleJob("handshake"), sampleJob("transfer"), sampleJob("retry"), sampleJob("ipv6")}
	for _, j := range jobs {
		p.Started(j)
	}
	if line := p.status(); utf8.RuneCountInString(line) >= 60 || !strings.HasPrefix(line, "0/63 done, 0 failed, 1m15s · handshake quiver→quic-go") {
		t.Errorf("status = %q, want what is done and what runs in less than 60 columns", line)
	}
	p.Finished(jobs[2], &Result{Status: Failed, Reason: "no token"})
	p.Finished(jobs[0], &Result{Status: Succeeded, Reason: "fine"})
	p.End()
	out := b.String()
	wantContains(t, "terminal", out, "no token\n", "2/63 done, 1 failed")
	if strings.Contains(out, "fine") || !strings.HasSuffix(out, "\r\x1b[K") {
		t.Errorf("terminal ends %q, want only failures kept and the status line erased", out)
	}
}

func TestOutputLogStampsLinesAndRemovesColours(t *testing.T) {
	path := filepath.Join(t.TempDir(), "output.txt")
	o, err := newOutputLog(path)
	if err != nil {
		t.Fatal(err)
	}
	o.now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 7e6, time.UTC) }
	for _, s := range []string{"one\ntw", "o \x1b[31mred\x1b[0m\r\n", "2026-03-01 11:59:59,000 has its own\nrest"} {
		io.WriteString(o, s)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	want := "2026-03-01 12:00:00,007 one\n2026-03-01 12:00:00,007 two red\n2026-03-01 11:59:59,000 has its own\n2026-03-01 12:00:00,007 rest\n"
	if got := readAll(t, path); got != want {
		t.Errorf("output.txt = %q, want %q", got, want)
	}
}

func TestOutputLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "output.txt")
	o, err := newOutputLog(path)
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("x"), 1<<20) // no line ever ends
	for range maxLogBytes>>20 + 20 {
		o.Write(block)
	}
	o.verdict(sampleJob("retry"), &Result{Status: Failed, Reason: "too loud"})
	o.Close()
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxLogBytes+2<<20 {
		t.Errorf("output.txt has %d bytes, %v, want at most about %d", info.Size(), err, maxLogBytes)
	}
	data, _ := os.ReadFile(path)
	if !bytes.Contains(data, []byte("output is longer than")) || !bytes.HasSuffix(data, []byte("Reason: too loud\n")) {
		t.Errorf("output.txt ends %q, want that it was cut and the verdict", data[len(data)-200:])
	}
}
