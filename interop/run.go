package interop

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// run is one execution of a plan.
type run struct {
	plan      *Plan
	store     *Store
	queue     *queue
	installer *installer
	prepLog   io.Writer // what installing and compliance checks say

	mu     sync.Mutex // guards all below, and keeps calls to plan.Watch apart
	report *Report
	ready  map[party]*prepared
}

// Run takes every job of the plan to its end and returns what came out. It writes each result to store as it comes, and
// result.json and index.html at the end, also when ctx ends first: then the report is marked as interrupted and holds what
// was finished. The error is about the plan or the store; failed tests are no error.
func Run(ctx context.Context, plan *Plan, store *Store) (*Report, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	prepLog, err := newOutputLog(store.preparationLog())
	if err != nil {
		return nil, err
	}
	defer prepLog.Close()
	r := &run{
		plan: plan, store: store, prepLog: prepLog,
		installer: &installer{build: plan.Install, done: map[string]func() (string, error){}},
		report:    plan.newReport(), ready: map[party]*prepared{},
	}
	r.execute(ctx)
	r.report.End = time.Now()
	r.report.Interrupted = ctx.Err() != nil
	r.report.markAutoUnsupported(plan.exempt())
	return r.report, store.Finish(r.report)
}

// execute prepares the parties and works through the queue, each as soon as it can.
func (r *run) execute(ctx context.Context) {
	jobs := r.plan.jobs()
	r.queue = newQueue(jobs)
	stop := r.queue.closeWith(ctx)
	defer stop()
	r.watch(func(w Watcher) { w.Begin(len(jobs), r.report.Start) })
	stopClock := r.clock()
	defer stopClock()
	var wg sync.WaitGroup
	for n := range r.report.Clients {
		wg.Go(func() {
			r.settle(ctx, party{RoleClient, r.plan.Clients[n].Name}, r.plan.Clients[n], &r.report.Clients[n])
		})
	}
	for n := range r.report.Servers {
		wg.Go(func() {
			r.settle(ctx, party{RoleServer, r.plan.Servers[n].Name}, r.plan.Servers[n], &r.report.Servers[n])
		})
	}
	for range r.plan.Jobs {
		wg.Go(func() {
			for j := r.queue.next(); j != nil; j = r.queue.next() {
				if r.decided(j) {
					r.watch(func(w Watcher) { w.Finished(j, nil) })
					continue
				}
				r.finish(ctx, j, r.job(ctx, j))
			}
		})
	}
	wg.Wait()
}

// settle prepares one party and tells the queue and the report whether it takes part.
func (r *run) settle(ctx context.Context, p party, impl *Implementation, entry *Party) {
	ready, err := r.prepare(ctx, p, impl)
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	if ready != nil {
		entry.Version = ready.command.version()
	}
	if err != nil {
		entry.Unavailable = err.Error()
	} else {
		r.ready[p] = ready
	}
	r.mu.Unlock()
	for _, j := range r.queue.settle(p, err == nil) {
		r.watch(func(w Watcher) { w.Finished(j, nil) })
	}
	if err != nil {
		fmt.Fprintf(r.prepLog, "%s is unavailable as %s: %v\n", p.name, p.role, err)
		r.watch(func(w Watcher) {
			w.Note(fmt.Sprintf("%s is unavailable as %s: %v", p.name, p.role, err))
		})
	}
}

// decided reports whether a measurement has a run that did not succeed: then there is no mean, and no need for more runs.
func (r *run) decided(j *JobInfo) bool {
	if !j.Case.Measures() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.report.Cells[j.pair][j.column].Result().Status
	return s != NotRun && s != Succeeded
}

// finish records a result; a job that was cut short by the end of ctx has none.
func (r *run) finish(ctx context.Context, j *JobInfo, res *Result) {
	if ctx.Err() != nil {
		res = nil
	}
	if res != nil {
		if err := r.store.Append(res); err != nil {
			r.watch(func(w Watcher) { w.Note("results.jsonl: " + err.Error()) })
		}
		r.mu.Lock()
		r.report.Cells[j.pair][j.column].add(*res)
		r.mu.Unlock()
	}
	r.watch(func(w Watcher) { w.Finished(j, res) })
}

// A ticker is a Watcher that shows the time.
type ticker interface{ Tick() }

// clock ticks a watcher that shows the time, until it is stopped.
func (r *run) clock() (stop func()) {
	w, ok := r.plan.Watch.(ticker)
	if !ok {
		return func() {}
	}
	t := time.NewTicker(time.Second)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-t.C:
				r.watch(func(Watcher) { w.Tick() })
			case <-done:
				return
			}
		}
	})
	return func() {
		t.Stop()
		close(done)
		wg.Wait()
	}
}

func (r *run) watch(call func(Watcher)) {
	if r.plan.Watch == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	call(r.plan.Watch)
}

func (r *run) party(p party) *prepared {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready[p]
}

// newReport returns the report of a run in which nothing has happened.
func (p *Plan) newReport() *Report {
	rep := &Report{
		Start: time.Now(), LogDir: p.LogDir, Seed: p.Seed, Repeat: p.Repeat, Jobs: p.Jobs, Cases: p.Cases,
		Backend: p.Backend.Name(), BackendNote: p.BackendNote, RerunCommand: p.RerunCommand,
		Clients: parties(p.Clients), Servers: parties(p.Servers),
	}
	for _, c := range p.Clients {
		for _, s := range p.Servers {
			cells := make([]Cell, len(p.Cases))
			for i := range cells {
				cells[i].Skipped = !p.includes(c, s)
			}
			rep.Cells = append(rep.Cells, cells)
		}
	}
	return rep
}

func parties(list []*Implementation) []Party {
	out := make([]Party, 0, len(list))
	for _, i := range list {
		out = append(out, Party{Name: i.Name, URL: i.URL})
	}
	return out
}

// exempt returns whom the auto-unsupported hint leaves alone: those named, or, when nobody is, a single client and a
// single server.
func (p *Plan) exempt() []string {
	if p.Exempt != nil {
		return p.Exempt
	}
	var names []string
	if len(p.Clients) == 1 {
		names = append(names, p.Clients[0].Name)
	}
	if len(p.Servers) == 1 {
		names = append(names, p.Servers[0].Name)
	}
	return names
}
