package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed51309289/quiver/interop/backend"
	"github.com/seed51309289/quiver/interop/check"
)

// Slack on top of a job's own timeout. The backend keeps the timeout; these hold when it does not.
const (
	stopSlack    = 20 * time.Second // stopping the programs and removing their world
	abandonSlack = 10 * time.Second // after which a backend that still runs is left behind
)

// job runs one job from making its files to its verdict. It never returns nil.
func (r *run) job(ctx context.Context, j *JobInfo) *Result {
	r.watch(func(w Watcher) { w.Started(j) })
	dir := r.plan.dir(j)
	res := &Result{
		Client: j.Client.Name, Server: j.Server.Name, Test: j.Case.Name, Repetition: j.Repetition,
		Log: filepath.ToSlash(dir), Started: time.Now(),
	}
	full := filepath.Join(r.store.Dir, dir)
	out, err := openRunDir(full)
	if err != nil {
		res.Status, res.Reason = Failed, "the run itself went wrong, no verdict on the endpoints: "+err.Error()
		return res
	}
	defer out.Close()
	r.attempt(ctx, j, res, full, out)
	res.Duration = time.Since(res.Started)
	if ctx.Err() != nil {
		fmt.Fprintln(out, "interrupted, no verdict")
		return res
	}
	if res.Status == Unsupported {
		dropTraces(full)
	}
	out.verdict(j, res)
	return res
}

// attempt runs and judges the job in dir, and puts what came out into res.
func (r *run) attempt(ctx context.Context, j *JobInfo, res *Result, dir string, out *outputLog) {
	if err := r.attemptIn(ctx, j, res, dir, out); err != nil {
		res.Status, res.Reason = Failed, "the run itself went wrong, no verdict on the endpoints: "+err.Error()
	}
}

func (r *run) attemptIn(ctx context.Context, j *JobInfo, res *Result, dir string, out *outputLog) error {
	if why := strangers(j.Client, j.Server, j.Case.Name); why != "" {
		res.Status, res.Reason = Unsupported, why
		return nil
	}
	work, err := newWorkDir(j.Seed, j.Case.Chain)
	if err != nil {
		return err
	}
	defer work.remove()
	files, err := makeFiles(work.www, j.Case.Files, j.Case.NameLen, j.Seed)
	if err != nil {
		return err
	}
	job, err := r.backendJob(j, dir, work, files)
	if err != nil {
		return err
	}
	logJob(out, j, job)
	outcome := r.runBackend(ctx, job, out)
	fmt.Fprintf(out, "client: %v, server: %v\n", outcome.Client, outcome.Server)
	if err := saveFacts(dir, j, work, files); err != nil {
		return err
	}
	r.judge(j, res, dir, work, files, outcome)
	if res.Status == Failed && r.plan.SaveFiles {
		if err := saveFiles(dir, work); err != nil {
			fmt.Fprintf(out, "saving files: %v\n", err)
		}
	}
	return nil
}

func (r *run) backendJob(j *JobInfo, dir string, work *workDir, files []string) (*backend.Job, error) {
	job := work.job(dir)
	job.Scenario, job.Seed, job.Timeout, job.WaitForServer = j.Case.Scenario, uint64(j.Seed), j.Case.Timeout, true
	job.CrossTraffic = j.Case.Cross
	client, server := party{RoleClient, j.Client.Name}, party{RoleServer, j.Server.Name}
	places, err := r.plan.Backend.Places(job, RoleClient)
	if err != nil {
		return nil, err
	}
	urls := requestURLs(places.Authority(j.Case.Host), files)
	if job.Client, err = r.program(job, client, r.party(client), j.Case.Client, urls); err != nil {
		return nil, err
	}
	job.Server, err = r.program(job, server, r.party(server), j.Case.Server, nil)
	return job, err
}

// runBackend runs the job and comes back in bounded time, whatever the backend does.
func (r *run) runBackend(ctx context.Context, job *backend.Job, out *outputLog) backend.Outcome {
	limit := job.Timeout + stopSlack
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan backend.Outcome, 1)
	go func() { done <- r.plan.Backend.Run(ctx, job, out) }()
	select {
	case o := <-done:
		return deadlineToTimeout(o, ctx)
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return deadlineToTimeout(o, ctx)
	case <-time.After(abandonSlack):
		return backend.Outcome{TimedOut: true, Duration: limit, Err: errors.New("the backend did not end the job")}
	}
}

// deadlineToTimeout makes a timeout of the runner's own deadline, which the backend sees as the end of its context.
func deadlineToTimeout(o backend.Outcome, ctx context.Context) backend.Outcome {
	if errors.Is(o.Err, context.DeadlineExceeded) || (o.Err != nil && ctx.Err() == context.DeadlineExceeded) {
		o.TimedOut = true
	}
	return o
}

// judge puts the verdict on a run that has ended into res.
func (r *run) judge(j *JobInfo, res *Result, dir string, work *workDir, files []string, outcome backend.Outcome) {
	embedSecrets(dir)
	if status, reason, ok := preliminary(outcome, j.Case.Timeout); ok {
		res.Status, res.Reason = status, reason
		return
	}
	v := r.plan.Judge(check.Input{Test: j.Case.Name, Profile: check.Compat, Dir: dir, WWW: work.www, Downloads: work.downloads, Files: files})
	res.Status, res.Reason, res.Evidence, res.Goodput = Status(v.Result), v.Reason, evidenceOf(v.Evidence), v.Goodput
}

// openRunDir makes the directories of a run and its output.txt.
func openRunDir(dir string) (*outputLog, error) {
	for _, sub := range []string{"client/qlog", "server/qlog", "sim"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(sub)), 0o755); err != nil {
			return nil, err
		}
	}
	return newOutputLog(filepath.Join(dir, "output.txt"))
}

// logJob writes what is about to run.
func logJob(out *outputLog, j *JobInfo, job *backend.Job) {
	fmt.Fprintf(out, "Running %s, seed %d, timeout %v\nScenario: %s\n", j, uint64(j.Seed), j.Case.Timeout, j.Case.Scenario)
	for role, p := range map[string]backend.Program{RoleClient: job.Client, RoleServer: job.Server} {
		fmt.Fprintf(out, "%s command: %q\n%s environment: %q\n", role, p.Argv, role, p.Env)
	}
}

// saveFiles keeps what the server served and the client downloaded.
func saveFiles(dir string, work *workDir) error {
	return errors.Join(
		os.CopyFS(filepath.Join(dir, "server_www"), os.DirFS(work.www)),
		os.CopyFS(filepath.Join(dir, "client_downloads"), os.DirFS(work.downloads)),
	)
}

// dropTraces removes what an unsupported run left, except its output.txt.
func dropTraces(dir string) {
	for _, sub := range []string{"client", "server", "sim", factsFileName} {
		os.RemoveAll(filepath.Join(dir, sub))
	}
}

// writeJSON writes v indented, for people to read.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return WriteFileAtomic(path, append(data, '\n'))
}
