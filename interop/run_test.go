package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/interop/backend"
	"github.com/seed51309289/quiver/interop/check"
)

func TestRunFillsEveryCellAndLeavesNothingBehind(t *testing.T) {
	plan := testPlan(t, "handshake,retry")
	rep, store := execute(t, t.Context(), plan)
	if got := rep.Count(Succeeded); got != 8 {
		t.Fatalf("%d cells succeeded, want 8:\n%s", got, rep.Matrix(MatrixText))
	}
	for _, f := range []string{"result.json", "index.html", "results.jsonl", "alpha_beta/handshake/output.txt", "alpha_beta/handshake/run.json"} {
		if _, err := os.Stat(filepath.Join(store.Dir, f)); err != nil {
			t.Errorf("missing: %v", err)
		}
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary directories left: %v, %v", left, err)
	}
	if lines := strings.Count(readAll(t, store.Dir, "results.jsonl"), "\n"); lines != 8 {
		t.Errorf("results.jsonl has %d lines, want 8", lines)
	}
}

func TestJobGetsScenarioSeedFilesAndRequests(t *testing.T) {
	plan := testPlan(t, "ipv6")
	fake := plan.Backend.(*fakeBackend)
	var served []string
	fake.behave = func(_ context.Context, j *backend.Job, _ io.Writer) backend.Outcome {
		fake.mu.Lock()
		defer fake.mu.Unlock()
		entries, _ := os.ReadDir(j.WWW)
		served = served[:0]
		for _, e := range entries {
			served = append(served, "https://server6:443/"+e.Name())
		}
		return bothExit(0, 0)
	}
	plan.Clients, plan.Servers = plan.Clients[:1], plan.Servers[1:]
	execute(t, t.Context(), plan)
	j := fake.jobs[0]
	if j.Scenario != s0 || j.Seed != uint64(Seed(7).Job("alpha", "beta", "ipv6", 1)) || j.Timeout != time.Minute || !j.WaitForServer {
		t.Errorf("job = %+v, want scenario %s, the job's seed, one minute, and to wait for the server", j, s0)
	}
	got := slices.Clone(j.Client.Argv[1:])
	slices.Sort(got)
	if j.Client.Argv[0] != "alpha" || !slices.Equal(got, served) {
		t.Errorf("client runs %q, want alpha with the URLs of what is served, %q", j.Client.Argv, served)
	}
	if !slices.Contains(j.Server.Env, "TESTCASE=transfer") || !slices.Contains(j.Server.Env, "REQUESTS=") {
		t.Errorf("server environment = %q, want TESTCASE=transfer and empty REQUESTS", j.Server.Env)
	}
}

func TestResultsKeepTheirPlacesWhateverFinishesFirst(t *testing.T) {
	plan := testPlan(t, "handshake,transfer,ipv6")
	plan.Jobs = 5
	plan.Judge = func(in check.Input) check.Verdict {
		time.Sleep(time.Duration(len(in.Dir)*7%5) * time.Millisecond)
		return check.Verdict{Result: check.Failed, Reason: filepath.Base(filepath.Dir(in.Dir)) + " " + in.Test}
	}
	rep, _ := execute(t, t.Context(), plan)
	for c, client := range rep.Clients {
		for s, server := range rep.Servers {
			for i, cs := range rep.Cases {
				want := server.Name + "_" + client.Name + " " + cs.Name
				if got := rep.Cells[rep.Index(c, s)][i].Result().Reason; got != want {
					t.Errorf("cell client %s server %s test %s holds %q, want %q", client.Name, server.Name, cs.Name, got, want)
				}
			}
		}
	}
}

func TestLongestJobsStartFirst(t *testing.T) {
	plan := testPlan(t, "handshake,transfer,longrtt")
	if err := plan.Check(); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, j := range plan.jobs() {
		order = append(order, j.Case.Name)
	}
	want := slices.Concat(slices.Repeat([]string{"longrtt"}, 4), slices.Repeat([]string{"transfer"}, 4), slices.Repeat([]string{"handshake"}, 4))
	if !slices.Equal(order, want) {
		t.Errorf("order = %v, want %v", order, want)
	}
}

func TestHangingJobEndsAtItsDeadline(t *testing.T) {
	plan := testPlan(t, "handshake")
	plan.Clients, plan.Servers = plan.Clients[:1], plan.Servers[:1]
	r := &run{plan: plan}
	plan.Backend.(*fakeBackend).behave = func(ctx context.Context, _ *backend.Job, _ io.Writer) backend.Outcome {
		<-ctx.Done()
		return backend.Outcome{Client: backend.Exit{Code: -1}, Server: backend.Exit{Code: -1}, Err: ctx.Err()}
	}
	out, err := newOutputLog(filepath.Join(t.TempDir(), "output.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	got := r.runBackend(t.Context(), &backend.Job{Timeout: 10*time.Millisecond - stopSlack}, out)
	status, reason, _ := preliminary(got, 10*time.Millisecond)
	if !got.TimedOut || status != Failed || !strings.Contains(reason, "timeout") {
		t.Errorf("outcome %+v: %s %q, want failed by timeout", got, status, reason)
	}
}

func TestPeerThatExits127IsUnsupportedAndKeepsOnlyItsOutput(t *testing.T) {
	plan := testPlan(t, "retry")
	plan.Backend.(*fakeBackend).behave = func(context.Context, *backend.Job, io.Writer) backend.Outcome { return bothExit(127, 0) }
	rep, store := execute(t, t.Context(), plan)
	if got := rep.Count(Unsupported); got != 4 {
		t.Fatalf("%d cells unsupported, want 4", got)
	}
	entries, err := os.ReadDir(filepath.Join(store.Dir, "alpha_beta", "retry"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "output.txt" {
		t.Errorf("run directory holds %v, %v, want output.txt alone", entries, err)
	}
}

func TestMissingProgramMakesOnlyThatImplementationUnavailable(t *testing.T) {
	plan := testPlan(t, "handshake")
	plan.Clients[1].Exec.Client.Install = "example.org/beta@v1"
	plan.Install = func(context.Context, string, io.Writer) (string, error) {
		return "", errors.New("example.org/beta@v1: no such module")
	}
	rep, store := execute(t, t.Context(), plan)
	for _, tt := range []struct {
		client, server string
		want           Status
	}{{"alpha", "alpha", Succeeded}, {"alpha", "beta", Succeeded}, {"beta", "alpha", NotRun}, {"beta", "beta", NotRun}} {
		if got := rep.cellOf(t, tt.client, tt.server, "handshake").Status(); got != tt.want {
			t.Errorf("client %s, server %s: %q, want %q", tt.client, tt.server, got, tt.want)
		}
	}
	if got := rep.Unavailable(); len(got) != 1 || got[0] != "beta (client): example.org/beta@v1: no such module" {
		t.Errorf("unavailable = %q, want beta as client with the reason", got)
	}
	wantContains(t, "result.json", readAll(t, store.Dir, "result.json"), `"beta":{"client":"example.org/beta@v1: no such module"}`, `"result":null`)
	wantContains(t, "index.html", readAll(t, store.Dir, "index.html"), "no such module", "client unavailable")
}

func TestImageWithoutProgramIsUnavailable(t *testing.T) {
	plan := testPlan(t, "handshake")
	plan.Servers[0].Exec = nil
	plan.Clients = plan.Clients[1:]
	rep, _ := execute(t, t.Context(), plan)
	if got := rep.Servers[0].Unavailable; !strings.Contains(got, "no exec for backend netns") {
		t.Errorf("reason = %q, want no exec for backend netns", got)
	}
}

func TestPackageIsInstalledOnceForBothRoles(t *testing.T) {
	plan := testPlan(t, "handshake")
	for _, i := range plan.Clients {
		i.Exec.Client.Install, i.Exec.Server.Install = "example.org/x@v1", "example.org/x@v1"
		i.Exec.Client.Run[0] = "{bin}"
	}
	var mu sync.Mutex
	calls := 0
	plan.Install = func(_ context.Context, pkg string, log io.Writer) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		fmt.Fprintf(log, "peers: building %s\npeers: go: downloading y\n", pkg)
		return "/cache/x", nil
	}
	var said bytes.Buffer
	plan.Watch = &PlainProgress{W: &said}
	_, store := execute(t, t.Context(), plan)
	wantContains(t, "progress", said.String(), "peers: building example.org/x@v1\n")
	wantContains(t, "preparation.txt", readAll(t, store.Dir, "preparation.txt"), "downloading y")
	if strings.Contains(said.String(), "downloading") {
		t.Errorf("progress has every line of the go command:\n%s", said.String())
	}
	if calls != 1 {
		t.Errorf("installed %d times, want once", calls)
	}
	if got := plan.Backend.(*fakeBackend).jobs[0].Client.Argv[0]; got != "/cache/x" {
		t.Errorf("client runs %q, want the installed program", got)
	}
}

func TestImplementationThatAcceptsAnyTestIsNotRun(t *testing.T) {
	plan := testPlan(t, "handshake")
	var mu sync.Mutex
	testcases := map[string]bool{}
	plan.Backend.(*fakeBackend).compliance = func(_ context.Context, role string, p backend.Program) (backend.Exit, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, kv := range p.Env {
			if strings.HasPrefix(kv, "TESTCASE=") {
				testcases[p.Name+role+kv] = true
			}
		}
		if p.Name == "beta" && role == RoleServer {
			return backend.Exit{Started: true}, nil
		}
		return backend.Exit{Started: true, Code: 127}, nil
	}
	rep, _ := execute(t, t.Context(), plan)
	if got := rep.Servers[1].Unavailable; !strings.Contains(got, "not compliant: exit status 0") {
		t.Errorf("reason = %q, want not compliant", got)
	}
	if len(testcases) != 4 {
		t.Errorf("compliance checks: %v, want one for each implementation and role", testcases)
	}
	if got := rep.Count(Succeeded); got != 2 {
		t.Errorf("%d cells succeeded, want the 2 without beta as server", got)
	}
}

func TestInterruptKeepsWhatWasFinished(t *testing.T) {
	plan := testPlan(t, "handshake,transfer")
	plan.Jobs = 1
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	plan.Backend.(*fakeBackend).behave = func(ctx context.Context, _ *backend.Job, _ io.Writer) backend.Outcome {
		if n++; n == 3 {
			cancel()
			<-ctx.Done()
			return backend.Outcome{Err: ctx.Err()}
		}
		return bothExit(0, 0)
	}
	rep, store := execute(t, ctx, plan)
	if !rep.Interrupted || rep.Ran() != 2 {
		t.Fatalf("interrupted %v with %d results, want true with 2", rep.Interrupted, rep.Ran())
	}
	var f resultFile
	if err := json.Unmarshal([]byte(readAll(t, store.Dir, "result.json")), &f); err != nil || !f.Interrupted {
		t.Errorf("result.json: %v, interrupted %v, want it whole and marked", err, f.Interrupted)
	}
	wantContains(t, "index.html", readAll(t, store.Dir, "index.html"), "Interrupted")
}

func TestAnotherSeedAsksForOtherFiles(t *testing.T) {
	requests := func(seed Seed) string {
		plan := testPlan(t, "handshake")
		plan.Seed, plan.Clients, plan.Servers = seed, plan.Clients[:1], plan.Servers[:1]
		execute(t, t.Context(), plan)
		return fmt.Sprint(plan.Backend.(*fakeBackend).jobs[0].Client.Argv)
	}
	if a, b, c := requests(1), requests(1), requests(2); a != b || a == c {
		t.Errorf("requests %s, %s, %s, want the first two equal and the third different", a, b, c)
	}
}

func TestRepeatedCellFailsWhenOneRunDoes(t *testing.T) {
	plan := testPlan(t, "handshake")
	plan.Clients, plan.Servers, plan.Repeat = plan.Clients[:1], plan.Servers[:1], 3
	plan.Judge = func(in check.Input) check.Verdict {
		if filepath.Base(in.Dir) == "2" {
			return check.Verdict{Result: check.Failed, Reason: "the second"}
		}
		return check.Verdict{Result: check.Succeeded}
	}
	rep, store := execute(t, t.Context(), plan)
	cell := rep.cellOf(t, "alpha", "alpha", "handshake")
	if res := cell.Result(); len(cell.Results) != 3 || res.Status != Failed || res.Log != "alpha_alpha/handshake/2" {
		t.Errorf("cell = %+v, want the failed second of three runs", cell)
	}
	wantContains(t, "result.json", readAll(t, store.Dir, "result.json"), `"repetitions":["succeeded","failed","succeeded"]`)
}

func TestMustIncludeLeavesOtherPairsEmpty(t *testing.T) {
	plan := testPlan(t, "handshake")
	plan.MustInclude = "beta"
	rep, _ := execute(t, t.Context(), plan)
	if cell := rep.cellOf(t, "alpha", "alpha", "handshake"); !cell.Skipped || rep.Count(Succeeded) != 3 {
		t.Errorf("alpha with itself skipped: %v, %d succeeded, want true and 3", cell.Skipped, rep.Count(Succeeded))
	}
	if !strings.Contains(rep.Matrix(MatrixText), "| alpha |       | ✓(H) |") {
		t.Errorf("the left-out pair is not an empty cell:\n%s", rep.Matrix(MatrixText))
	}
}

func TestFailedRunKeepsFilesOnlyWhenAsked(t *testing.T) {
	for _, save := range []bool{true, false} {
		plan := testPlan(t, "handshake")
		plan.SaveFiles = save
		plan.Judge = func(check.Input) check.Verdict { return check.Verdict{Result: check.Failed} }
		_, store := execute(t, t.Context(), plan)
		for _, dir := range []string{"server_www", "client_downloads"} {
			_, err := os.Stat(filepath.Join(store.Dir, "alpha_alpha", "handshake", dir))
			if (err == nil) != save {
				t.Errorf("save-files %v: %s: %v", save, dir, err)
			}
		}
	}
}

func TestSavedRunCanBeJudgedAgain(t *testing.T) {
	plan := testPlan(t, "ipv6")
	plan.Backend.(*fakeBackend).behave = func(_ context.Context, j *backend.Job, _ io.Writer) backend.Outcome {
		entries, _ := os.ReadDir(j.WWW)
		data, _ := os.ReadFile(filepath.Join(j.WWW, entries[0].Name()))
		os.WriteFile(filepath.Join(j.Downloads, entries[0].Name()), data, 0o644)
		data[0] ^= 1
		os.WriteFile(filepath.Join(j.Downloads, "stray"), data, 0o644)
		return bothExit(0, 0)
	}
	compare := func(in check.Input) check.Verdict {
		var facts []string
		entries, _ := os.ReadDir(in.Downloads)
		for _, e := range entries {
			a, _ := os.ReadFile(filepath.Join(in.Downloads, e.Name()))
			b, err := os.ReadFile(filepath.Join(in.WWW, e.Name()))
			facts = append(facts, fmt.Sprintf("%s %d served %v same %v", e.Name(), len(a), err == nil, string(a) == string(b)))
		}
		return check.Verdict{Result: check.Failed, Reason: in.Test + ": " + strings.Join(facts, ", ")}
	}
	plan.Judge = compare
	rep, store := execute(t, t.Context(), plan)
	want := rep.cellOf(t, "alpha", "beta", "ipv6").Result()
	got, err := CheckSaved(filepath.Join(store.Dir, "beta_alpha", "ipv6"), compare)
	if err != nil {
		t.Fatal(err)
	}
	if got.Reason != want.Reason || got.Status != want.Status || !strings.Contains(got.Reason, "same true") {
		t.Errorf("judged again: %q, first: %q, want the same facts", got.Reason, want.Reason)
	}
	if _, err := CheckSaved(store.Dir, compare); err == nil || !strings.Contains(err.Error(), "LOGDIR/SERVER_CLIENT/TEST") {
		t.Errorf("CheckSaved of the wrong directory = %v, want what to give instead", err)
	}
}

func TestLogDirectoryIsNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	if _, err := NewStore(dir); err == nil || !strings.Contains(err.Error(), "--log-dir") {
		t.Errorf("NewStore of an existing directory = %v, want a refusal that names --log-dir", err)
	}
}

func TestPlanRefusesPairsThatShareADirectory(t *testing.T) {
	r := parseRegistry(t, `{
		"a": {"image": "i", "url": "u", "role": "both"}, "a_b": {"image": "i", "url": "u", "role": "both"},
		"b_c": {"image": "i", "url": "u", "role": "both"}, "c": {"image": "i", "url": "u", "role": "both"}}`)
	plan := &Plan{Clients: r.All(), Servers: r.All(), Backend: new(fakeBackend)}
	if err := plan.Check(); err == nil || !strings.Contains(err.Error(), "a_b_c") {
		t.Errorf("Check = %v, want an error about a_b_c", err)
	}
}

// measured judges each run of a measurement by its directory's name: 1 is 9,000 kbit/s, 2 is 9,100 and so on.
func measured(in check.Input) check.Verdict {
	n, _ := strconv.Atoi(filepath.Base(in.Dir))
	return check.Verdict{Result: check.Succeeded, Goodput: 8900 + 100*float64(n)}
}

func TestMeasurementIsTheMeanOfItsRuns(t *testing.T) {
	plan := testPlan(t, "handshake,goodput")
	plan.Clients, plan.Servers = plan.Clients[:1], plan.Servers[:1]
	plan.Judge = measured
	rep, store := execute(t, t.Context(), plan)
	cell := rep.cellOf(t, "alpha", "alpha", "goodput")
	if got := cell.Details(); len(cell.Results) != 5 || got != "9200 (± 158) kbps" {
		t.Errorf("%d runs, %q, want 5 and 9200 (± 158) kbps", len(cell.Results), got)
	}
	var f struct {
		Tests        map[string]testEntry
		Results      [][]resultEntry
		Measurements [][]map[string]any
	}
	if err := json.Unmarshal([]byte(readAll(t, store.Dir, "result.json")), &f); err != nil {
		t.Fatal(err)
	}
	m := f.Measurements[0][0]
	if len(f.Results[0]) != 1 || m["name"] != "goodput" || m["abbr"] != "G" || m["result"] != "succeeded" || m["details"] != "9200 (± 158) kbps" || f.Tests["G"].Name != "goodput" {
		t.Errorf("result.json has results %v, measurements %v, tests %v", f.Results, f.Measurements, f.Tests)
	}
	wantContains(t, "matrix", rep.Matrix(MatrixText), "✓(H)", "✓ G: 9200 (± 158) kbps")
	wantContains(t, "Markdown", rep.Matrix(MatrixMarkdown), "| alpha | ✓ G: 9200 (± 158) kbps |")
	wantContains(t, "index.html", readAll(t, store.Dir, "index.html"), "Measurements</h2>", "G: 9200 (± 158) kbps", "alpha_alpha/goodput/5/")
}

func TestMeasurementEndsWithItsFirstFailure(t *testing.T) {
	plan := testPlan(t, "goodput")
	plan.Clients, plan.Servers, plan.Jobs = plan.Clients[:1], plan.Servers[:1], 1
	plan.Judge = func(in check.Input) check.Verdict {
		if filepath.Base(in.Dir) == "3" {
			return check.Verdict{Result: check.Failed, Reason: "the third"}
		}
		return measured(in)
	}
	rep, store := execute(t, t.Context(), plan)
	cell := rep.cellOf(t, "alpha", "alpha", "goodput")
	if len(cell.Results) != 3 || cell.Status() != Failed || cell.Details() != "" {
		t.Errorf("%d runs, %s, %q, want 3, failed, and no value", len(cell.Results), cell.Status(), cell.Details())
	}
	wantContains(t, "matrix", rep.Matrix(MatrixText), "✕ G ")
	wantContains(t, "result.json", readAll(t, store.Dir, "result.json"), `"measurements":[[{"name":"goodput","abbr":"G","result":"failed","details":""`)
}

func TestUnsupportedMeasurementIsNotMeasuredAgain(t *testing.T) {
	plan := testPlan(t, "crosstraffic")
	plan.Clients, plan.Servers, plan.Jobs = plan.Clients[:1], plan.Servers[:1], 1
	fake := plan.Backend.(*fakeBackend)
	fake.behave = func(context.Context, *backend.Job, io.Writer) backend.Outcome { return bothExit(127, 0) }
	rep, _ := execute(t, t.Context(), plan)
	if n := len(fake.jobs); n != 1 || rep.cellOf(t, "alpha", "alpha", "crosstraffic").Status() != Unsupported {
		t.Errorf("%d runs, want one that is unsupported", n)
	}
	if !fake.jobs[0].CrossTraffic || fake.jobs[0].Timeout != 3*time.Minute {
		t.Errorf("job = %+v, want cross traffic and three minutes", fake.jobs[0])
	}
}

func TestCaseWithoutFilesAsksForTheRoot(t *testing.T) {
	plan := testPlan(t, "versionnegotiation")
	execute(t, t.Context(), plan)
	if argv := plan.Backend.(*fakeBackend).jobs[0].Client.Argv; !slices.Equal(argv[1:], []string{"https://server4:443/"}) {
		t.Errorf("client runs %q, want the one URL https://server4:443/", argv)
	}
}

func TestPairWithoutCommonProtocolIsUnsupportedAndNotRun(t *testing.T) {
	plan := testPlan(t, "handshake,http3")
	plan.Servers[1].Speaks = []string{ProtocolH3}
	rep, _ := execute(t, t.Context(), plan)
	cell := rep.cellOf(t, "alpha", "beta", "handshake")
	if cell.Status() != Unsupported || !strings.Contains(cell.Result().Reason, "no common application protocol") {
		t.Errorf("cell is %s because %q, want unsupported for want of a protocol", cell.Status(), cell.Result().Reason)
	}
	if got := rep.cellOf(t, "alpha", "beta", "http3").Status(); got != Succeeded {
		t.Errorf("http3 is %s, want succeeded: all speak h3 there", got)
	}
	if n := len(plan.Backend.(*fakeBackend).jobs); n != 6 { // beta is one implementation in both roles
		t.Errorf("%d jobs ran, want 6: all but handshake against beta as server, where beta speaks with itself", n)
	}
}
