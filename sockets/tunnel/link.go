package tunnel

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
)

// A link is a QUIC connection with the streams that tunnels have on it.
type link struct {
	conn  *quic.Conn
	set   *links
	peer  netip.AddrPort // where it was dialed, or came from first
	key   string         // the identity that was asked for; of a server's ""
	own   bool           // has one stream, and closes with it
	since time.Time

	// All below is guarded by set.mu.
	streams  *Stream // the newest; a list by older and newer
	count    int     // of streams, and of Dials that are about to open one
	opened   uint64  // ever
	sent     uint64  // bytes of streams that are over
	received uint64
	unused   *time.Timer // closes it; nil = never needed
	retired  bool        // takes no more streams
}

// links are all links of a Dialer or a Server.
type links struct {
	mu     sync.Mutex         // guards all below, and the links; a leaf
	all    map[*link]struct{} // limit: maxLinks
	closed bool
	wait   time.Duration // how long an unused link is kept; 0 = not at all, negative = for ever
	over   func(*link)   // under mu, when a link takes no more streams; may be nil

	watching atomic.Bool // somebody will look at the pumps
}

// maxLinks is how many QUIC connections a Dialer or a Server has at once.
// limit: connections that peers begin, or programs cause.
const maxLinks = 16384

// add makes a link of a connection whose end takes it out again. It reports
// false if there is no room, or nothing is added any more. The caller holds set.mu.
func (set *links) add(conn *quic.Conn, peer netip.AddrPort, key string) (*link, bool) {
	if set.closed || len(set.all) >= maxLinks {
		return nil, false
	}
	if set.all == nil {
		set.all = make(map[*link]struct{})
	}
	l := &link{conn: conn, set: set, peer: peer, key: key, since: time.Now()}
	set.all[l] = struct{}{}
	context.AfterFunc(conn.Context(), func() {
		set.mu.Lock()
		defer set.mu.Unlock()
		l.retire()
		delete(set.all, l)
	})
	return l, true
}

// retire lets no more streams on the link. The caller holds set.mu.
func (l *link) retire() {
	if l.retired {
		return
	}
	l.retired = true
	if l.unused != nil {
		l.unused.Stop()
	}
	if l.set.over != nil {
		l.set.over(l)
	}
}

// use counts one who is about to open a stream. It reports false if the link
// takes none. The caller holds set.mu.
func (l *link) use() bool {
	if l.retired || l.conn.Context().Err() != nil {
		return false
	}
	l.count++
	if l.unused != nil {
		l.unused.Stop()
	}
	return true
}

// unuse takes use back. The caller holds set.mu.
func (l *link) unuse() {
	l.count--
	if l.count > 0 || l.set.wait < 0 {
		return
	}
	switch {
	case l.own, l.retired, l.set.wait == 0:
		l.retire()
		go l.closeAfterStreams()
	case l.unused == nil:
		l.unused = time.AfterFunc(l.set.wait, l.expire)
	default:
		l.unused.Reset(l.set.wait)
	}
}

// expire closes the link if nobody uses it.
func (l *link) expire() {
	l.set.mu.Lock()
	if l.count > 0 || l.retired {
		l.set.mu.Unlock()
		return
	}
	l.retire()
	l.set.mu.Unlock()
	l.conn.CloseWithError(tcpq.CodeNone, "")
}

// How often closeAfterStreams looks, at first and at most.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// closeAfterStreams closes the connection when the peer has all that was
// written.
func (l *link) closeAfterStreams() {
	l.awaitStreams(context.Background())
	l.conn.CloseWithError(tcpq.CodeNone, "")
}

// awaitStreams returns when no stream is left on the connection, or it has
// ended, or ctx.
func (l *link) awaitStreams(ctx context.Context) {
	for every := firstLook; l.conn.ConnectionStats().StreamsActive > 0; every = min(2*every, lastLook) {
		t := time.NewTimer(every)
		select {
		case <-t.C:
		case <-l.conn.Context().Done():
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil || l.conn.Context().Err() != nil {
			return
		}
	}
}

// close ends all links: those whose streams end until ctx is done in peace, the
// others with tcpq.CodeStopping. It returns when all are closed.
func (set *links) close(ctx context.Context) {
	set.mu.Lock()
	set.closed = true
	all := map[*link]bool{} // whether somebody may have written
	for l := range set.all {
		l.retire()
		all[l] = l.count > 0 || complete(l.conn) // else all that was sent is OPENs that were taken back, to who may never answer
	}
	set.mu.Unlock()
	var wg sync.WaitGroup
	for l, written := range all {
		wg.Go(func() {
			if written {
				l.awaitStreams(ctx)
			}
			code, why := uint64(tcpq.CodeNone), ""
			if ctx.Err() != nil {
				code, why = tcpq.CodeStopping, tcpq.CodeText(tcpq.CodeStopping)
			}
			l.conn.CloseWithError(code, why)
		})
	}
	wg.Wait()
}
