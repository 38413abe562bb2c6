package interop

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/interop/backend"
	"github.com/seed51309289/quiver/interop/check"
)

// fakeBackend plays the programs itself: behave decides how a job ends.
type fakeBackend struct {
	behave     func(ctx context.Context, j *backend.Job, log io.Writer) backend.Outcome
	compliance func(ctx context.Context, role string, p backend.Program) (backend.Exit, error)

	mu   sync.Mutex // guards jobs
	jobs []*backend.Job
}

func (f *fakeBackend) Name() string { return "netns" }

func (f *fakeBackend) Places(*backend.Job, string) (backend.Places, error) {
	return backend.Places{
		Listen: ":443", Authority: func(h string) string { return h + ":443" },
		Certs: "/certs", WWW: "/www", Downloads: "/downloads", Logs: "/logs", QLog: "/logs/qlog/",
	}, nil
}

func (f *fakeBackend) Run(ctx context.Context, j *backend.Job, log io.Writer) backend.Outcome {
	f.mu.Lock()
	f.jobs = append(f.jobs, j)
	f.mu.Unlock()
	if f.behave != nil {
		return f.behave(ctx, j, log)
	}
	return bothExit(0, 0)
}

func (f *fakeBackend) Compliance(ctx context.Context, role string, p backend.Program, log io.Writer) (backend.Exit, error) {
	if f.compliance != nil {
		return f.compliance(ctx, role, p)
	}
	return backend.Exit{Started: true, Code: 127}, nil
}

func bothExit(client, server int) backend.Outcome {
	return backend.Outcome{Client: backend.Exit{Started: true, Code: client}, Server: backend.Exit{Started: true, Code: server}}
}

// testRegistry has three implementations that run a command called like them; "only-server" has no client.
const testRegistry = `{
  "alpha": {"url": "https://a.example/", "role": "both", "exec": {"client": {"run": ["alpha", "{requests}"]}, "server": {"run": ["alpha"]}}},
  "beta": {"url": "https://b.example/", "role": "both", "exec": {"client": {"run": ["beta", "{requests}"]}, "server": {"run": ["beta"]}}},
  "only-server": {"url": "https://c.example/", "role": "server", "exec": {"server": {"run": ["c"]}}}
}`

func parseRegistry(t *testing.T, text string) *Registry {
	t.Helper()
	r := new(Registry)
	if err := r.Overlay("test.json", []byte(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

// testPlan runs alpha and beta against each other in the named tests, everything succeeding.
func testPlan(t *testing.T, tests string) *Plan {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	r := parseRegistry(t, testRegistry)
	clients, err := r.Select(RoleClient, []string{"alpha", "beta"})
	if err != nil {
		t.Fatal(err)
	}
	servers, err := r.Select(RoleServer, []string{"alpha", "beta"})
	if err != nil {
		t.Fatal(err)
	}
	cases, err := SelectCases(tests)
	if err != nil {
		t.Fatal(err)
	}
	return &Plan{
		Clients: clients, Servers: servers, Cases: cases, Backend: new(fakeBackend), Seed: 7, Jobs: 2, LogDir: "logs-of-test",
		RerunCommand: "quiver interop run",
		Judge:        func(check.Input) check.Verdict { return check.Verdict{Result: check.Succeeded, Reason: "all fine"} },
	}
}

// execute runs the plan in a fresh store. The whole call is bounded in time.
func execute(t *testing.T, ctx context.Context, plan *Plan) (*Report, *Store) {
	t.Helper()
	store, err := NewStore(filepath.Join(t.TempDir(), "logs"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	rep, err := Run(ctx, plan, store)
	if err != nil {
		t.Fatal(err)
	}
	return rep, store
}

func (r *Report) cellOf(t *testing.T, client, server, test string) *Cell {
	t.Helper()
	for c := range r.Clients {
		for s := range r.Servers {
			for i := range r.Cases {
				if r.Clients[c].Name == client && r.Servers[s].Name == server && r.Cases[i].Name == test {
					return &r.Cells[r.Index(c, s)][i]
				}
			}
		}
	}
	t.Fatalf("no cell for client %s, server %s, test %s", client, server, test)
	return nil
}

func readAll(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantContains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}
