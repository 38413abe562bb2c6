package interop

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sampleReport is a run of two clients against three servers with every kind of cell.
func sampleReport() *Report {
	cases, _ := SelectCases("handshake,transfer,retry")
	start := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	r := &Report{
		Start: start, End: start.Add(95 * time.Second), LogDir: "interop-results/x", Seed: 4711, Repeat: 1, Jobs: 4, Backend: "netns",
		Clients: []Party{
			{Name: "quiver", URL: "https://quiver.example/", Version: "quiver"},
			{Name: "quic-go", URL: "https://github.com/quic-go/quic-go", Version: "github.com/quic-go/quic-go/interop/client@v0.65.0"},
		},
		Servers: []Party{
			{Name: "quiver", URL: "https://quiver.example/", Version: "quiver"},
			{Name: "go-x-net", URL: "https://pkg.go.dev/golang.org/x/net/internal/quic", Version: "golang.org/x/net/internal/quic/cmd/interop@v0.62.0"},
			{Name: "quinn", URL: "https://github.com/quinn-rs/quinn", Unavailable: `no exec for backend netns: the registry entry has no "exec" member`},
		},
		Cases: cases, RerunCommand: "quiver interop run",
	}
	verdicts := [][]Status{
		{Succeeded, Succeeded, Failed}, {Succeeded, Failed, Unsupported}, {NotRun, NotRun, NotRun},
		{Succeeded, Succeeded, Succeeded}, {Succeeded, Succeeded, Failed}, {NotRun, NotRun, NotRun},
	}
	for n, row := range verdicts {
		cells := make([]Cell, len(row))
		for t, s := range row {
			if s != NotRun {
				cells[t].add(sampleResult(r.Clients[n/3].Name, r.Servers[n%3].Name, cases[t].Name, s))
			}
		}
		r.Cells = append(r.Cells, cells)
	}
	return r
}

func sampleResult(client, server, test string, s Status) Result {
	res := Result{
		Client: client, Server: server, Test: test, Repetition: 1, Status: s, Log: pairDir(server, client) + "/" + test,
		Duration: 1234 * time.Millisecond,
	}
	switch s {
	case Succeeded:
		res.Reason = "All 5 criteria hold."
	case Unsupported:
		res.Reason = "server exited with 127: it does not support this test"
	case Failed:
		res.Reason = "The client sent no Initial with a token <of the Retry>."
		res.Evidence = []Evidence{
			{Criterion: "retry token", Trace: "sim/trace_node_left.pcap", Packet: 3, Seconds: 0.0312, Observed: "token of 0 bytes", Expected: "the token of packet 2"},
			{Criterion: "files", Observed: "1 file", Expected: "1 file"},
		}
	}
	return res
}

// golden compares got with testdata/name, or rewrites it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it); got:\n%s", path, got)
	}
}

func TestMatrixText(t *testing.T) { golden(t, "matrix.txt", sampleReport().Matrix(MatrixText)) }

func TestMatrixMarkdown(t *testing.T) { golden(t, "matrix.md", sampleReport().Matrix(MatrixMarkdown)) }

func TestColourChangesNothingButColour(t *testing.T) {
	r := sampleReport()
	coloured := r.Matrix(MatrixColour)
	if plain := terminalEscape.ReplaceAllString(coloured, ""); plain != r.Matrix(MatrixText) || plain == coloured {
		t.Errorf("without its colours the coloured matrix is\n%s", plain)
	}
}

// TestResultFileHasTheSchemaOfThePublicRunner compares the members that its page and tools read, one by one.
func TestResultFileHasTheSchemaOfThePublicRunner(t *testing.T) {
	data, err := sampleReport().JSON()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsRune(data, '\n') {
		t.Error("result.json is more than one line")
	}
	var f map[string]any
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"start_time":   1772366400.123456,
		"end_time":     1772366495.123456,
		"log_dir":      "interop-results/x",
		"servers":      []any{"quiver", "go-x-net", "quinn"},
		"clients":      []any{"quiver", "quic-go"},
		"quic_version": "0x1",
		"urls": map[string]any{
			"quiver": "https://quiver.example/", "quic-go": "https://github.com/quic-go/quic-go",
			"go-x-net": "https://pkg.go.dev/golang.org/x/net/internal/quic", "quinn": "https://github.com/quinn-rs/quinn",
		},
		"tests": map[string]any{
			"H":  map[string]any{"name": "handshake", "desc": "Handshake completes and a small file arrives."},
			"DC": map[string]any{"name": "transfer", "desc": "Three files arrive concurrently under flow control, on one connection."},
			"S":  map[string]any{"name": "retry", "desc": "Server sends a Retry and the client uses its token."},
		},
		"measurements": []any{[]any{}, []any{}, []any{}, []any{}, []any{}, []any{}},
		"seed":         4711.0,
		"interrupted":  false,
	} {
		if !reflect.DeepEqual(f[name], want) {
			t.Errorf("%s = %#v, want %#v", name, f[name], want)
		}
	}
	var got []string
	for _, pair := range f["results"].([]any) {
		for _, e := range pair.([]any) {
			m := e.(map[string]any)
			result, ok := m["result"]
			if !ok {
				t.Errorf("%v has no result, want null when it was not run", m)
			}
			got = append(got, fmt.Sprint(m["abbr"], " ", m["name"], " ", result))
		}
	}
	want := []string{
		"H handshake succeeded", "DC transfer succeeded", "S retry failed",
		"H handshake succeeded", "DC transfer failed", "S retry unsupported",
		"H handshake <nil>", "DC transfer <nil>", "S retry <nil>",
		"H handshake succeeded", "DC transfer succeeded", "S retry succeeded",
		"H handshake succeeded", "DC transfer succeeded", "S retry failed",
		"H handshake <nil>", "DC transfer <nil>", "S retry <nil>",
	}
	if !slices.Equal(got, want) {
		t.Errorf("results = %q, want %q, client by client", got, want)
	}
}

func TestResultOrderOfMembersStartsAsThePublicRunner(t *testing.T) {
	data, err := sampleReport().JSON()
	if err != nil {
		t.Fatal(err)
	}
	members, err := orderedObject(data)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range members[:10] {
		got = append(got, m.key)
	}
	want := []string{"start_time", "end_time", "log_dir", "servers", "clients", "urls", "tests", "quic_version", "results", "measurements"}
	if !slices.Equal(got, want) {
		t.Errorf("members = %q, want %q first", got, want)
	}
}

func TestFailureAgainstEveryPeerGetsAHintAndStaysAFailure(t *testing.T) {
	r := sampleReport()
	r.Servers, r.Cells = r.Servers[:2], append(r.Cells[0:2:2], r.Cells[3:5]...)
	r.markAutoUnsupported(nil)
	retry := r.Cells[r.Index(0, 0)][2]
	if !retry.AutoUnsupported || retry.Status() != Failed {
		t.Errorf("quiver's retry, failed or unsupported against both servers: hint %v, status %s; want the hint and failed", retry.AutoUnsupported, retry.Status())
	}
	if r.Cells[r.Index(0, 1)][1].AutoUnsupported {
		t.Error("transfer failed against one peer only and still has the hint")
	}
	r = sampleReport()
	r.Servers, r.Cells = r.Servers[:2], append(r.Cells[0:2:2], r.Cells[3:5]...)
	r.markAutoUnsupported([]string{"quiver", "go-x-net"})
	if r.Cells[r.Index(0, 0)][2].AutoUnsupported {
		t.Error("an exempt implementation has the hint")
	}
}

func TestRerunCommandNamesCellAndSeed(t *testing.T) {
	r := sampleReport()
	got := r.Rerun(r.Failures()[0])
	if want := "quiver interop run -s quiver -c quiver -t retry --seed 4711"; got != want {
		t.Errorf("Rerun = %s, want %s", got, want)
	}
	notes := strings.Join(r.Notes(), "\n")
	wantContains(t, "notes", notes, "Unavailable: quinn (server): no exec", "Failed: retry, client quiver, server quiver: The client sent no", "again: "+got)
}

func TestShellQuoteMakesOneWord(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain-1.0/x", "plain-1.0/x"}, {"", "''"}, {"a b", "'a b'"}, {"it's", `'it'\''s'`}, {"$HOME", "'$HOME'"},
	} {
		if got := ShellQuote(tt.in); got != tt.want {
			t.Errorf("ShellQuote(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}
