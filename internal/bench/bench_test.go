package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/interop/certs"
)

// run is a Run of a GiB that took cpu seconds on each side and one second of time.
func run(stack string, round int, cpu float64) Run {
	return Run{Stack: stack, Streams: 1, Round: round, Bytes: 1 << 30, Seconds: 1, ServerCPU: cpu, ClientCPU: cpu}
}

func TestSummarizeComparesWithinRounds(t *testing.T) {
	// The machine was four times slower in round 2; the ratios do not care.
	sums := Summarize([]Run{
		run("quiver", 1, 1), run("quic-go", 1, 2),
		run("quic-go", 2, 8), run("quiver", 2, 4),
		run("quiver", 3, 3), run("quic-go", 3, 4),
	})
	if len(sums) != 2 || sums[0].Stack != "quiver" || sums[1].Stack != "quic-go" {
		t.Fatalf("got %+v, want a summary of quiver and one of quic-go", sums)
	}
	q := sums[1]
	if q.Ratio != 0.5 || q.RatioMin != 0.5 || q.RatioMax != 0.75 {
		t.Errorf("ratio %v [%v-%v], want 0.5 [0.5-0.75]", q.Ratio, q.RatioMin, q.RatioMax)
	}
	if q.PerGiB != 8 {
		t.Errorf("median cost %v CPU-s/GiB, want 8", q.PerGiB)
	}
}

func TestSummarizeComparesWithTheSameRoundOnly(t *testing.T) {
	sums := Summarize([]Run{run("quic-go", 1, 2), run("quic-go", 2, 4), run("quiver", 2, 1)})
	for _, s := range sums {
		if s.Stack == "quic-go" && (s.Ratio != 0.25 || s.RatioMin != 0.25) {
			t.Errorf("ratio %v [%v-], want 0.25: round 1 has no run of quiver", s.Ratio, s.RatioMin)
		}
	}
}

func TestPrintAlignsTheTable(t *testing.T) {
	var out bytes.Buffer
	Print(&out, Summarize([]Run{run("quiver", 1, 0.5), run("quic-go", 1, 2)}))
	const want = `stack     streams    CPU-s/GiB    Mbit/s   quiver's CPU / this one's, median [range]
quiver          1         1.00      8590   
quic-go         1         4.00      8590   0.25 [0.25-0.25]
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestFetchGetsWhatServeAnswers(t *testing.T) {
	dir := t.TempDir()
	if err := certs.Generate(dir, 1, time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, w := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, "127.0.0.1:0", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "priv.key"), Tuning{}, w)
	}()
	var line [64]byte
	n, err := r.Read(line[:])
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	const total = 3<<20 + 5
	if err := Fetch(ctx, strings.TrimSpace(string(line[:n])), total, 3, Tuning{Datagram: 1452, Congestion: "bbr"}, &out); err != nil {
		t.Fatal(err)
	}
	var got transfer
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Bytes != total || got.Seconds <= 0 {
		t.Errorf("client reported %q, error %v; want %d bytes", out.String(), err, total)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("server ended with %v, want nil once its context was done", err)
	}
}

func TestAllNamesTheStacksThatExist(t *testing.T) {
	_, err := All(t.Context(), Options{Self: []string{os.Args[0]}, Versus: []string{"msquic"}, Log: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "quic-go, tcp-tls") {
		t.Errorf("got %v, want an error that lists the stacks", err)
	}
}

func TestAllReportsAServerThatDoesNotStart(t *testing.T) {
	_, err := All(t.Context(), Options{
		Self: []string{filepath.Join(t.TempDir(), "absent")}, Bytes: 1, Streams: []int{1}, Rounds: 1, Log: io.Discard,
	})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "quiver, round 1") {
		t.Errorf("got %v, want that round 1 of quiver could not start", err)
	}
}
