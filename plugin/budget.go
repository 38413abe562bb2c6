package plugin

import "sync"

// budget is an amount that many share. Its zero value has nothing taken. It is safe for concurrent use.
type budget struct {
	mu    sync.Mutex // guards taken
	taken int
}

// take takes n of limit, or nothing and reports false.
func (b *budget) take(n, limit int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken+n > limit {
		return false
	}
	b.taken += n
	return true
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
}

func (b *budget) now() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

// slots lets so many run at once. Its zero value is ready.
type slots struct {
	once sync.Once
	free chan struct{}
}

// run calls f when there is a slot, on a goroutine of its own.
func (s *slots) run(n int, f func()) {
	s.once.Do(func() { s.free = make(chan struct{}, n) })
	go func() {
		s.free <- struct{}{}
		defer func() { <-s.free }()
		f()
	}()
}
