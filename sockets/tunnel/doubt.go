package tunnel

import (
	"errors"
	"os"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
)

// doubtAfter is for how long, at least, a connection that was there before may
// say nothing after an OPEN. A peer that lives acknowledges it within a round
// trip; one that was started anew, and has forgotten the connection, may never
// say so.
const doubtAfter = time.Second

// errSilent says that a connection is silent although its peer answers on
// another one.
var errSilent = errors.New("tunnel: the connection is silent, and its peer is not")

// doubt waits for the STATUS of a stream on a connection that was there before.
type doubt struct {
	d     *Dialer
	l     *link
	t     *Target
	qs    *quic.Stream
	heard uint64 // packets, before OPEN was sent
}

// readStatus is readStatus, but for a connection that is silent while another
// one to the same peer can be made: that is errSilent, and the connection takes
// no more streams.
func (w *doubt) readStatus() error {
	patience := max(doubtAfter, 4*w.l.conn.ConnectionStats().SmoothedRTT)
	w.qs.SetReadDeadline(time.Now().Add(patience))
	var buf [tcpq.MaxStatus]byte
	status := partial{buf[:0]}
	for asked := false; ; asked = true {
		err := status.read(w.qs, &w.t.Open)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			w.qs.SetReadDeadline(time.Time{})
			return err
		}
		w.qs.SetReadDeadline(time.Time{})
		silent := w.l.conn.ConnectionStats().PacketsReceived == w.heard
		switch {
		case silent && asked:
			w.l.set.mu.Lock()
			w.l.retire()
			w.l.set.mu.Unlock()
			return errSilent
		case silent:
			w.askAnew()
		}
	}
}

// askAnew makes another connection to the peer. If that succeeds, reading the
// STATUS ends with a deadline.
func (w *doubt) askAnew() {
	w.d.links.mu.Lock()
	defer w.d.links.mu.Unlock()
	key := peerKey{w.t.Peer, w.t.Key}
	p, err := w.d.peer(key)
	if err != nil {
		return
	}
	a := p.attempt
	if a == nil {
		a = w.d.try(key, p, w.t)
	}
	go func() {
		<-a.done
		if a.err == nil {
			w.qs.SetReadDeadline(time.Unix(1, 0))
		}
	}()
}
