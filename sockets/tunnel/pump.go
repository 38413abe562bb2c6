package tunnel

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
)

// An Ending is how a TCP connection ended.
type Ending uint8

// The endings.
const (
	Finished    Ending = iota // both sides sent FIN
	ResetByLeg                // the program at this end reset it, or is gone
	ResetByPeer               // the other end did
	RefusedLate               // the acceptor refused a stream that was opened in good faith
	PeerLost                  // the QUIC connection ended
)

var endings = [...]string{"finished", "reset by the program", "reset by the peer", "refused", "connection to the peer lost"}

// String returns the ending in words.
func (e Ending) String() string { return endings[e] }

// A Result is what Pump did.
type Result struct {
	Ending Ending
	Err    error // what came before an Ending that is not Finished
	// Sent and Received are bytes of the TCP connection, to and from the peer.
	Sent, Received uint64
	Took           time.Duration
}

// Pump carries bytes between a leg and a stream, both ways, until both
// directions are over, and closes both. FIN, RST and their likes cross as
// docs/tcpq.md says: each direction ends by itself, for as long as it takes; a
// reset of one end is a reset of the other.
//
// It runs one direction in its caller's goroutine and the other in one more,
// which has ended when Pump returns. A pump that waits has no buffer.
func Pump(leg Leg, s *Stream) Result {
	p := &pump{leg: leg, s: s, start: time.Now()}
	p.src = newSource(p)
	p.to = &sink{p: p, quick: newQuick(p.src)}
	s.link.set.pumping(s, p)
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.up()
	}()
	p.down()
	<-over
	s.link.set.pumping(s, nil)
	return p.end()
}

// pump is what both directions know.
type pump struct {
	leg   Leg
	s     *Stream
	start time.Time
	src   *source // nil = the system does not tell when the leg can be read
	to    *sink

	mu       sync.Mutex // guards all below; a leaf
	upOver   bool       // the program's bytes have ended
	downOver bool       // the peer's have
	stopped  error      // the peer reads no more; nil = it does, as far as we know
	legErr   error      // of writing to the leg: nothing goes there any more, but what came from it may not all be read
	failed   bool
	ending   Ending
	err      error
}

// up carries what the program writes. Then it waits for the program's reset
// while the other direction goes on.
func (p *pump) up() {
	if p.src == nil {
		p.upByCopy(func() bool { return false })
	} else if p.s.early != nil && p.upByCopy(p.s.settled.Load) {
		// all is over before early data was taken, or not
	} else if _, err := p.s.qs.Load().ReadFrom(p.src); p.src.err != nil {
		p.fail(ResetByLeg, p.src.err)
	} else if err != nil {
		p.writeFailed(err)
	} else {
		p.upEnded()
	}
	if p.src != nil && p.half() {
		if err := p.src.awaitReset(); err != nil {
			p.fail(ResetByLeg, err)
		}
	}
}

// half reports whether the peer's direction alone goes on.
func (p *pump) half() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.downOver && !p.failed
}

// upByCopy is up for legs that cannot be waited for, and for bytes that may have
// to be sent again. It goes on until enough says so; over = it went on to the end.
func (p *pump) upByCopy(enough func() bool) (over bool) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for !enough() {
		n, readErr := p.leg.Read(buf[:])
		if n > 0 {
			if _, err := p.s.Write(buf[:n]); err != nil {
				p.writeFailed(err)
				return true
			}
		}
		switch readErr {
		case nil:
		case io.EOF:
			p.upEnded()
			return true
		default:
			p.fail(ResetByLeg, readErr)
			return true
		}
	}
	return false
}

// down carries what the peer sends.
func (p *pump) down() {
	qs, err := p.s.answered()
	if err != nil {
		p.readFailed(err)
		return
	}
	_, err = qs.WriteTo(p.to)
	switch {
	case p.s.abandoned.Load():
		p.downEnded()
	case p.to.err != nil:
		p.legFailed(p.to.err)
	case err != nil:
		p.readFailed(err)
	default:
		p.downEnded()
	}
}

// upEnded is called when all of the program is carried.
func (p *pump) upEnded() {
	p.mu.Lock()
	p.upOver = true
	reset := p.legErr
	p.mu.Unlock()
	if reset != nil { // which the leg tells once, and the other direction has heard
		p.fail(ResetByLeg, reset)
		return
	}
	p.s.CloseWrite()
}

// legFailed is called when the leg takes no bytes: the program has reset it. What it sent before goes to the peer all the same.
func (p *pump) legFailed(err error) {
	p.mu.Lock()
	p.legErr = err
	over := p.upOver
	p.mu.Unlock()
	if over {
		p.fail(ResetByLeg, err)
	} else {
		p.s.Stop(tcpq.CodeReset)
	}
}

// downEnded is called when all of the peer is delivered.
func (p *pump) downEnded() {
	p.leg.CloseWrite() // an error is one of reading, too
	p.mu.Lock()
	p.downOver = true
	upOver, stopped := p.upOver, p.stopped
	p.mu.Unlock()
	if stopped != nil {
		p.peerStopped(stopped)
	} else if !upOver {
		p.watchHalf()
	} else if p.src != nil {
		p.src.stopWaiting(p.leg)
	}
}

// writeFailed ends the program's direction after an error of the stream.
func (p *pump) writeFailed(err error) {
	if _, ok := stopped(err); !ok {
		p.fail(PeerLost, err)
		return
	}
	p.mu.Lock()
	p.upOver, p.stopped = true, err
	over, reset := p.downOver, p.legErr
	p.mu.Unlock()
	if reset != nil {
		p.fail(ResetByLeg, reset)
	} else if over {
		p.peerStopped(err)
	}
}

// peerStopped is called when all of the peer is delivered, and it reads no more: it was reset, or its program has closed.
func (p *pump) peerStopped(err error) {
	if code, ok := stopped(err); !ok || code != tcpq.CodeNone {
		p.fail(ResetByPeer, err)
		return
	}
	p.mu.Lock()
	over := p.failed
	p.failed = true
	p.mu.Unlock()
	if !over {
		p.leg.Close() // the kernel keeps what the program has not read yet, and answers what it writes with RST
	}
}

// readFailed ends everything after an error of the stream.
func (p *pump) readFailed(err error) {
	var refused *StatusError
	_, reset := stopped(err)
	switch {
	case errors.As(err, &refused):
		p.fail(RefusedLate, err)
	case reset:
		p.fail(ResetByPeer, err)
	default:
		p.fail(PeerLost, err)
	}
}

// fail ends both directions: the peer learns of a reset, behind what the program
// sent, and so does the program. What happened first counts.
func (p *pump) fail(how Ending, err error) { p.giveUp(how, err, p.s.ResetAfter) }

// failNow is fail when the peer takes no bytes, and is to learn of a reset all
// the same.
func (p *pump) failNow(how Ending, err error) { p.giveUp(how, err, p.s.Reset) }

func (p *pump) giveUp(how Ending, err error, reset func(code uint64)) {
	p.mu.Lock()
	if p.failed {
		p.mu.Unlock()
		return
	}
	p.failed, p.ending, p.err = true, how, err
	p.mu.Unlock()
	code := uint64(tcpq.CodeReset)
	if how == ResetByLeg && errors.Is(err, syscall.ETIMEDOUT) {
		code = tcpq.CodeTimeout
	}
	reset(code)
	p.s.Stop(code)
	p.leg.SetLinger(0)
	p.leg.Close()
}

// end closes what is left, and tells what happened.
func (p *pump) end() Result {
	if !p.failed {
		p.leg.Close()
	}
	p.s.Close()
	return Result{Ending: p.ending, Err: p.err, Sent: p.s.sent.Load(), Received: p.s.received.Load(), Took: time.Since(p.start)}
}
