package fabric

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// stockSize is how many sockets of a kind are made before they are asked for. limit: what idles takes descriptors.
const stockSize = 32

// A stock has sockets of a fabric ready. Only threads that live there can make them, and to wait for another thread takes longer than all
// else that a connection needs.
type stock struct {
	crew *crew
	make func() (int, error) // on a thread of the fabric

	filling atomic.Bool
	mu      sync.Mutex // guards ready and closed
	ready   []int      // limit: stockSize
	closed  bool
}

// take returns a socket, which is the caller's.
func (s *stock) take() (int, error) {
	s.mu.Lock()
	n := len(s.ready)
	fd := -1
	if n > 0 {
		fd = s.ready[n-1]
		s.ready = s.ready[:n-1]
	}
	s.mu.Unlock()
	if n <= stockSize/2 && s.filling.CompareAndSwap(false, true) {
		go func() {
			defer s.filling.Store(false)
			s.crew.do(s.fill)
		}()
	}
	if fd >= 0 {
		return fd, nil
	}
	return onCrew(s.crew, s.make)
}

// fill makes sockets until there are enough, or no more can be had.
func (s *stock) fill() error {
	for {
		fd, err := s.make()
		if err != nil {
			return err
		}
		s.mu.Lock()
		full := s.closed || len(s.ready) >= stockSize
		if !full {
			s.ready = append(s.ready, fd)
		}
		s.mu.Unlock()
		if full {
			unix.Close(fd)
			return nil
		}
	}
}

// close closes what is left. Nothing is added any more.
func (s *stock) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, fd := range s.ready {
		unix.Close(fd)
	}
	s.ready = nil
}
