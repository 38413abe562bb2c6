package lab

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// Options say how Compare works.
type Options struct {
	Workers int // repetitions at the same time; 0 = as many as there are processors
	// Progress, if set, is told after each repetition how many of how many are done. Calls do not overlap.
	Progress func(done, total int)
}

// batch is a list of repetitions that several workers carry out.
type batch struct {
	scenarios []*Scenario
	setups    []Setup
	results   [][]*Result // by scenario, by setup
}

// job is one repetition.
type job struct{ scenario, setup, repetition int }

func newBatch(scenarios []*Scenario, setups []Setup) (*batch, error) {
	b := &batch{scenarios: scenarios, setups: setups}
	for i := range setups {
		if err := setups[i].check(); err != nil {
			return nil, err
		}
	}
	for _, s := range scenarios {
		if s == nil || s.Network == nil {
			return nil, errors.New("lab: a scenario has no network: ParseScenario and Grid make scenarios")
		}
		if s.Repeat < 1 || s.Limit <= 0 || len(s.Flows) == 0 {
			return nil, fmt.Errorf("lab: scenario %s: %d repetitions of %d flows within %v, want at least one of each, and a limit", s.Name, s.Repeat, len(s.Flows), s.Limit)
		}
		var row []*Result
		for i := range setups {
			row = append(row, &Result{Scenario: s, Setup: setups[i].Title(), Repetitions: make([]Repetition, s.Repeat)})
		}
		b.results = append(b.results, row)
	}
	return b, nil
}

// jobs lists the repetitions; both setups of one follow each other.
func (b *batch) jobs() (list []job) {
	for i, s := range b.scenarios {
		for r := range s.Repeat {
			for j := range b.setups {
				list = append(list, job{i, j, r})
			}
		}
	}
	return list
}

// run carries all jobs out. Every result has its place, so the order in which workers finish shows nowhere.
func (b *batch) run(ctx context.Context, opts Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	list := b.jobs()
	workers := opts.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next int
		done int
	)
	take := func() (job, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(list) || ctx.Err() != nil {
			return job{}, false
		}
		next++
		return list[next-1], true
	}
	finish := func() {
		mu.Lock()
		defer mu.Unlock()
		if done++; opts.Progress != nil {
			opts.Progress(done, len(list))
		}
	}
	for range min(workers, len(list)) {
		wg.Go(func() {
			for {
				j, ok := take()
				if !ok {
					return
				}
				if err := b.do(ctx, j); err != nil {
					cancel(err)
					return
				}
				finish()
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (b *batch) do(ctx context.Context, j job) error {
	s := b.scenarios[j.scenario]
	rep, err := once(ctx, s, &b.setups[j.setup], s.Seed+uint64(j.repetition), nil)
	if err != nil {
		return err
	}
	b.results[j.scenario][j.setup].Repetitions[j.repetition] = rep
	return nil
}
