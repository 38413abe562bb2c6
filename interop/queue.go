package interop

import (
	"context"
	"slices"
	"sync"
)

// A queue hands out jobs in their order, each as soon as both of its programs are ready.
type queue struct {
	mu      sync.Mutex // guards all below
	changed sync.Cond
	waiting []*JobInfo
	ready   map[party]bool
	closed  bool
}

// A party is an implementation in one role.
type party struct{ role, name string }

func newQueue(jobs []*JobInfo) *queue {
	q := &queue{waiting: jobs, ready: map[party]bool{}}
	q.changed.L = &q.mu
	return q
}

// settle records whether a party can run. The jobs of one that cannot are dropped, and returned.
func (q *queue) settle(p party, ok bool) (dropped []*JobInfo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed.Broadcast()
	if ok {
		q.ready[p] = true
		return nil
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(j *JobInfo) bool {
		out := p == party{RoleClient, j.Client.Name} || p == party{RoleServer, j.Server.Name}
		if out {
			dropped = append(dropped, j)
		}
		return out
	})
	return dropped
}

// close wakes everyone; next returns nil from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}

// next waits for a job that can run and takes it. It returns nil when none is left or the queue is closed.
func (q *queue) next() *JobInfo {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.waiting) > 0 {
		n := slices.IndexFunc(q.waiting, func(j *JobInfo) bool {
			return q.ready[party{RoleClient, j.Client.Name}] && q.ready[party{RoleServer, j.Server.Name}]
		})
		if n >= 0 {
			j := q.waiting[n]
			q.waiting = slices.Delete(q.waiting, n, n+1)
			return j
		}
		q.changed.Wait()
	}
	return nil
}

// closeWith closes the queue when ctx ends; call the returned function to stop watching.
func (q *queue) closeWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, q.close)
}
