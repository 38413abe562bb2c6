package quic

import (
	"io"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// A BuffersWriter takes what a stream received from the memory that it was
// received in: ReceiveStream.WriteTo hands it to one without a copy.
type BuffersWriter interface {
	// WriteBuffers writes all of b, in order, or fails. It may change b, whose bytes
	// are its own until it returns.
	WriteBuffers(b [][]byte) (n int64, err error)
}

// A BuffersReader fills the memory that a stream sends from: SendStream.ReadFrom
// has one do so without a copy.
type BuffersReader interface {
	// ReadBuffers fills b, in order, with what is there, and never waits. n == 0
	// without an error means that there is nothing now; behind the end the error is
	// io.EOF. Bytes that come with an error count.
	ReadBuffers(b [][]byte) (n int, err error)
	// WaitReadable waits until ReadBuffers has bytes, or an error. It may return
	// sooner; its own error ends ReadFrom.
	WaitReadable() error
}

// maxLent is how many pieces of a stream's buffer are lent at once: 256 KiB.
const maxLent = 16

// loan is the pieces that are lent.
type loan struct {
	pieces [maxLent]core.Piece
	bufs   [maxLent][]byte
	n      int
}

// show returns the bytes of the pieces, and how many they are.
func (l *loan) show() (bufs [][]byte, size int) {
	for i := range l.n {
		l.bufs[i] = l.pieces[i].Data
		size += len(l.bufs[i])
	}
	return l.bufs[:l.n], size
}

// lendTo is WriteTo without a copy.
func (s *ReceiveStream) lendTo(w BuffersWriter) (total int64, err error) {
	var l loan
	for {
		if err := s.take(&l); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		bufs, _ := l.show()
		n, err := w.WriteBuffers(bufs)
		clear(l.bufs[:])
		total += n
		if err != nil {
			s.in.c.mu.Lock()
			s.in.c.core.GiveBack(l.pieces[:l.n])
			s.in.c.mu.Unlock()
			return total, err
		}
	}
}

// take is Read into a loan; what was in it goes back.
func (s *ReceiveStream) take(l *loan) (err error) {
	c := s.in.c
	c.mu.Lock()
	c.core.GiveBack(l.pieces[:l.n])
	l.n = 0
	for {
		if err = s.in.expired(); err != nil {
			break
		}
		s.in.seen()
		l.n, err = c.core.Take(time.Now(), s.in.s, l.pieces[:])
		if err != nil {
			err = s.in.publicError(err)
			s.in.tell(c.core.ReadErr(s.in.s))
		}
		if l.n > 0 || err != nil {
			break
		}
		s.in.changed.Wait()
	}
	c.unlock()
	return err
}

// fillFrom is ReadFrom without a copy. It reserves as much as the last read
// filled, and twice that if it filled all: a stream with little to say takes
// little memory.
func (s *SendStream) fillFrom(r BuffersReader) (total int64, err error) {
	var l loan
	for want := 1; ; {
		if err := s.reserve(&l, want); err != nil {
			return total, err
		}
		bufs, size := l.show()
		n, readErr := r.ReadBuffers(bufs)
		clear(l.bufs[:])
		if err := s.commit(&l, n); err != nil {
			return total, err
		}
		total += int64(n)
		if readErr == io.EOF {
			return total, nil
		} else if readErr != nil {
			return total, readErr
		}
		if n == size {
			want = min(2*want, maxLent)
			continue
		}
		if n < size/2 {
			want = max(want/2, 1)
		}
		if err := r.WaitReadable(); err != nil {
			return total, err
		}
	}
}

// reserve waits for room in the stream's buffer and borrows it.
func (s *SendStream) reserve(l *loan, want int) (err error) {
	c := s.out.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err = s.out.expired(); err != nil {
			return err
		}
		if l.n, err = c.core.Reserve(s.out.s, l.pieces[:want]); err != nil {
			return s.out.publicError(err)
		}
		if l.n > 0 {
			return nil
		}
		s.out.changed.Wait()
	}
}

// commit sends the first n bytes of what was reserved, and gives the rest back.
// Something small waits until others that can run have had their turn, if the
// last was of another stream: where one reader has something, more are likely to.
func (s *SendStream) commit(l *loan, n int) error {
	c := s.out.c
	c.mu.Lock()
	err := c.core.Commit(s.out.s, l.pieces[:l.n], n)
	l.n = 0
	switch id := s.out.streamID() + 1; {
	case err != nil || n == 0:
	case n <= smallWrite && id != c.lastFilled:
		c.lastFilled = id
		c.flushSoon()
		return nil
	default:
		c.flushWritten(n)
	}
	err = s.out.publicError(err)
	c.mu.Unlock()
	return err
}
