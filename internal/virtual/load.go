package virtual

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed51309289/quiver/internal/core"
)

// Flow is one transfer that a Load is to make, on a stream of its own that the
// client opens.
type Flow struct {
	Size   int64 // bytes
	Upload bool  // the client sends them; else it asks for them
}

// Load is what the applications of a Pair do: the client dials, and when the
// handshake is complete it begins the flows.
type Load struct {
	// Transfers has one entry for each flow, in order.
	Transfers []Transfer
	// Client and Server are the ends of the connection; the server's is nil until
	// it has heard of it.
	Client, Server *Peer
	// Established is when the client's handshake was complete, 0 = not yet.
	Established time.Duration

	pair     *Pair
	parallel bool
	next     int // transfer that begins next
	done     int
	buf      []byte
}

// Transfer is what became of a Flow. Times are those of the pair's clock.
type Transfer struct {
	Flow
	Began    time.Duration // when the client opened the stream
	First    time.Duration // when the first byte arrived
	Ended    time.Duration // when the last byte had arrived, or Err came
	Received int64         // bytes
	Done     bool
	Err      error
}

// Took returns the time from the beginning to the end.
func (t *Transfer) Took() time.Duration { return t.Ended - t.Began }

// leg is what an end remembers of a stream.
type leg struct {
	transfer *Transfer
	header   []byte // server: what has come of it
	send     int64  // bytes left to send
	sends    bool
	receives bool
}

// The content of a transfer repeats patternSize bytes; a prime, so that no piece
// that is lost or moved by whole packets or buffers goes unnoticed.
const (
	patternSize = 251
	headerSize  = 4        // number of the transfer, big endian
	readSize    = 32 << 10 // bytes read at once
	writeSize   = 64 << 10 // bytes written at once
)

// pattern is long enough to write writeSize bytes from every offset below patternSize.
var pattern = func() []byte {
	b := make([]byte, writeSize+patternSize)
	for i := range b {
		b[i] = byte(i % patternSize)
	}
	return b
}()

// Start dials and makes the flows one after the other, or all at once if
// parallel. Call Run with Load.Done then. The Load takes OnConn of the server and
// OnEvent of both ends; what OnConn was before is still called.
func (p *Pair) Start(flows []Flow, parallel bool) (*Load, error) {
	l := &Load{pair: p, parallel: parallel, buf: make([]byte, readSize)}
	for _, f := range flows {
		l.Transfers = append(l.Transfers, Transfer{Flow: f})
	}
	before := p.Server.OnConn
	p.Server.OnConn = func(c *Peer) {
		if before != nil {
			before(c)
		}
		l.Server = c
		c.OnEvent = l.serve
	}
	c, err := p.Dial()
	if err != nil {
		return nil, err
	}
	l.Client, c.OnEvent = c, l.fetch
	return l, nil
}

// Done reports whether every transfer is over, for good or bad.
func (l *Load) Done() bool { return l.done == len(l.Transfers) }

// fetch is the client's application.
func (l *Load) fetch(e core.Event) {
	switch e.Kind {
	case core.EventEstablished:
		l.Established = l.pair.Clock.Since()
		l.begin()
	case core.EventStreams:
		l.begin()
	case core.EventReadable, core.EventWritable:
		l.move(l.Client, e.Stream)
	case core.EventClosed:
		l.abort(e.Err)
	}
}

// begin opens the streams of the transfers whose turn it is.
func (l *Load) begin() {
	for l.next < len(l.Transfers) && (l.parallel || l.done == l.next) {
		s, ok := l.Client.Open(false)
		if !ok {
			return
		}
		t := &l.Transfers[l.next]
		t.Began = l.pair.Clock.Since()
		var header [headerSize]byte
		binary.BigEndian.PutUint32(header[:], uint32(l.next))
		l.next++
		x := &leg{transfer: t, sends: t.Upload, receives: !t.Upload}
		s.User = x
		if _, err := l.Client.Write(s, header[:]); err != nil {
			l.end(t, err)
			continue
		}
		if x.sends {
			x.send = t.Size
		}
		l.push(l.Client, s, x)
	}
}

// serve is the server's application.
func (l *Load) serve(e core.Event) {
	switch e.Kind {
	case core.EventOpened:
		e.Stream.User = &leg{}
	case core.EventReadable, core.EventWritable:
		l.move(l.Server, e.Stream)
	}
}

// move reads and writes what stream s of end c can.
func (l *Load) move(c *Peer, s *core.Stream) {
	x, ok := s.User.(*leg)
	if !ok {
		return
	}
	if x.transfer == nil && !l.readHeader(c, s, x) {
		return
	}
	if x.receives {
		l.pull(c, s, x)
	} else {
		l.drop(c, s)
	}
	l.push(c, s, x)
}

// readHeader reads which transfer a stream at the server is for.
func (l *Load) readHeader(c *Peer, s *core.Stream, x *leg) bool {
	var b [headerSize]byte
	n, err := c.Read(c.Now(), s, b[:headerSize-len(x.header)])
	x.header = append(x.header, b[:n]...)
	if err != nil || len(x.header) < headerSize {
		return false
	}
	i := binary.BigEndian.Uint32(x.header)
	if int64(i) >= int64(len(l.Transfers)) {
		l.pair.fail("a stream asks for transfer %d of %d", i, len(l.Transfers))
		return false
	}
	x.transfer = &l.Transfers[i]
	x.receives = x.transfer.Upload
	if x.sends = !x.receives; x.sends {
		x.send = x.transfer.Size
	}
	return true
}

// push writes what is left to send, and then the end.
func (l *Load) push(c *Peer, s *core.Stream, x *leg) {
	for x.sends && x.send > 0 {
		at := (x.transfer.Size - x.send) % patternSize
		n, err := c.Write(s, pattern[at:][:min(x.send, writeSize)])
		if err != nil {
			l.end(x.transfer, err)
			return
		}
		if n == 0 {
			return
		}
		x.send -= int64(n)
	}
	c.CloseWrite(s)
}

// pull reads what has arrived and compares it.
func (l *Load) pull(c *Peer, s *core.Stream, x *leg) {
	t := x.transfer
	for !t.Done {
		n, err := c.Read(c.Now(), s, l.buf)
		if n > 0 && t.First == 0 {
			t.First = l.pair.Clock.Since()
		}
		if !bytes.Equal(l.buf[:n], pattern[t.Received%patternSize:][:n]) {
			l.end(t, fmt.Errorf("the bytes at %d+%d are not those that were sent", t.Received, n))
			return
		}
		t.Received += int64(n)
		switch {
		case errors.Is(err, io.EOF) && t.Received == t.Size:
			l.end(t, nil)
		case errors.Is(err, io.EOF):
			l.end(t, fmt.Errorf("the stream ended after %d bytes, want %d", t.Received, t.Size))
		case err != nil:
			l.end(t, err)
		case n == 0:
			return
		}
	}
}

// drop reads to the end of a stream that carries nothing more this way.
func (l *Load) drop(c *Peer, s *core.Stream) {
	for {
		if n, err := c.Read(c.Now(), s, l.buf); n == 0 || err != nil {
			return
		}
	}
}

// end notes the end of a transfer and begins the next.
func (l *Load) end(t *Transfer, err error) {
	if t.Done {
		return
	}
	t.Done, t.Err, t.Ended = true, err, l.pair.Clock.Since()
	l.done++
	if l.next < len(l.Transfers) {
		l.pair.At(l.pair.Clock.Now(), l.goOn)
	}
}

// goOn begins the next transfer from the driver, not from inside an event of the
// server.
func (l *Load) goOn() {
	l.begin()
	l.Client.Flush()
}

// abort ends what is left when the connection is no more.
func (l *Load) abort(err error) {
	if err == nil {
		err = errClosed
	}
	l.next = len(l.Transfers)
	for i := range l.Transfers {
		l.end(&l.Transfers[i], err)
	}
}
