package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestServerTellsItsCounts(t *testing.T) {
	www := serveFiles(t, map[string]string{"file": strings.Repeat("x", 10_000)})
	said, pin, base := startServerSaying(t, "--www", www, "--metrics", "127.0.0.1:0")
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`).FindString(said)
	if url == "" {
		t.Fatalf("the server names no address of its metrics: %s", said)
	}
	if code, _, stderr := quiver(t, append(append([]string{"client", "-o", t.TempDir()}, pin...), base+"file")...); code != exitDone {
		t.Fatalf("client: %s", stderr)
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", got)
	}
	body, _ := io.ReadAll(resp.Body)
	// Each metric has its two lines and a value: RE of one whole answer.
	one := regexp.MustCompile(`^# HELP (quiver_[a-z_]+) [A-Z].*\.\n# TYPE (quiver_[a-z_]+) (counter|gauge)\n(quiver_[a-z_]+)(\{socket="0"\})? \d+\n`)
	names, rest := 0, string(body)
	for rest != "" {
		m := one.FindStringSubmatch(rest)
		if m == nil || m[1] != m[2] || m[1] != m[4] || strings.HasSuffix(m[1], "_total") != (m[3] == "counter") {
			t.Fatalf("not in the text format: %s", rest)
		}
		names, rest = names+1, rest[len(m[0]):]
	}
	if names != 20 {
		t.Errorf("got %d metrics, want 20:\n%s", names, body)
	}
	for _, want := range []string{"\nquiver_connections_begun_total 1\n", "\nquiver_handshakes_completed_total 1\n", "\nquiver_handshakes_failed_total 0\n"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %q in\n%s", strings.TrimSpace(want), body)
		}
	}
	if sent := regexp.MustCompile(`\nquiver_bytes_sent_total (\d{5,})\n`).FindString(string(body)); sent == "" {
		t.Errorf("less than 10000 bytes were sent:\n%s", body)
	}
}
