package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestSimDelaysWhatItRelays(t *testing.T) {
	pin, base := startServer(t, "--www", serveFiles(t, map[string]string{"a": "a file\n"}))
	target := strings.TrimSuffix(strings.TrimPrefix(base, "https://"), "/")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	talk, w := io.Pipe()
	var out bytes.Buffer
	traces := t.TempDir()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"sim", "simple-p2p --delay=30ms --bandwidth=10Mbps --queue=25", "--udp", "127.0.0.1:0=" + target, "--seed", "7", "--pcap", traces}, strings.NewReader(""), &out, w)
		w.Close()
	}()
	said := make([]byte, 200)
	n, _ := talk.Read(said)
	at := regexp.MustCompile(`Relaying from (\S+) to ` + regexp.QuoteMeta(target) + `, seed 7`).FindSubmatch(said[:n])
	if at == nil {
		t.Fatalf("sim says %q, want where it listens and the seed", said[:n])
	}
	go io.Copy(io.Discard, talk)
	c, file, stderr := quiver(t, append(append([]string{"client", "-o", "-"}, pin...), "https://"+string(at[1])+"/a")...)
	if c != exitDone || file != "a file\n" {
		t.Fatalf("client exits with %d, %q: %s", c, file, stderr)
	}
	least := regexp.MustCompile(`least ([0-9.]+ms)`).FindStringSubmatch(stderr)
	if least == nil {
		t.Fatalf("client says %q, want a round-trip time in ms", stderr)
	}
	if rtt, err := time.ParseDuration(least[1]); err != nil || rtt < 60*time.Millisecond {
		t.Errorf("least round-trip time %v, %v, want twice the delay of 30ms at least", rtt, err)
	}
	cancel()
	if got := <-code; got != exitDone {
		t.Errorf("sim exits with %d when it is stopped, want 0", got)
	}
	for _, way := range []string{"to server", "to client"} {
		if !regexp.MustCompile(`(?m)^` + way + `: [1-9][0-9]* packets \([0-9.]+KiB\), [1-9][0-9]* delivered, dropped 0 by the queue`).MatchString(out.String()) {
			t.Errorf("stdout %q, want what went %s", &out, way)
		}
	}
	for _, side := range []string{"left", "right"} {
		if info, err := os.Stat(filepath.Join(traces, "trace_node_"+side+".pcap")); err != nil || info.Size() < 1000 {
			t.Errorf("trace of the %s side: %v, want a file with packets", side, err)
		}
	}
}
