package virtual

import (
	"bytes"
	"io"

	"github.com/seed51309289/quiver/internal/core"
)

// Serve makes p answer every stream: it reads a request to its end and writes
// respond's answer.
func (p *Peer) Serve(respond func(request []byte) []byte) {
	requests := map[*core.Stream]*bytes.Buffer{}
	answers := map[*core.Stream][]byte{}
	p.OnEvent = func(e core.Event) {
		switch e.Kind {
		case core.EventOpened:
			requests[e.Stream] = &bytes.Buffer{}
		case core.EventReadable:
			req := requests[e.Stream]
			if req == nil || !p.readAll(e.Stream, req) {
				return
			}
			delete(requests, e.Stream)
			answers[e.Stream] = respond(req.Bytes())
			fallthrough
		case core.EventWritable:
			rest, ok := answers[e.Stream]
			if !ok {
				return
			}
			n, err := p.Write(e.Stream, rest)
			if err != nil {
				delete(answers, e.Stream)
				return
			}
			answers[e.Stream] = rest[n:]
			if n == len(rest) {
				p.CloseWrite(e.Stream)
				delete(answers, e.Stream)
			}
		}
	}
}

// Fetch is one request of a client and what came back.
type Fetch struct {
	Stream  *core.Stream
	Request []byte
	Body    bytes.Buffer
	Done    bool
	Err     error
}

// Get sends a request on a stream of its own and collects the answer. It
// returns nil if the peer does not allow another stream yet.
func (p *Peer) Get(request []byte) *Fetch {
	s, ok := p.Open(false)
	if !ok {
		return nil
	}
	f := &Fetch{Stream: s, Request: request}
	s.User = f
	if n, err := p.Write(s, request); err != nil || n < len(request) {
		f.Err = err
	}
	p.CloseWrite(s)
	p.OnEvent = func(e core.Event) {
		if e.Kind != core.EventReadable {
			return
		}
		if f, ok := e.Stream.User.(*Fetch); ok && !f.Done {
			f.Done = p.ReadInto(e.Stream, f)
		}
	}
	p.Flush()
	return f
}

func (p *Peer) ReadInto(s *core.Stream, f *Fetch) bool {
	end, err := p.ReadSome(s, &f.Body)
	f.Err = err
	return end || err != nil
}

func (p *Peer) readAll(s *core.Stream, into *bytes.Buffer) bool {
	end, _ := p.ReadSome(s, into)
	return end
}

func (p *Peer) ReadSome(s *core.Stream, into *bytes.Buffer) (end bool, err error) {
	var buf [4096]byte
	for {
		n, err := p.Read(p.Now(), s, buf[:])
		into.Write(buf[:n])
		if err == io.EOF {
			return true, nil
		}
		if n == 0 {
			return false, err
		}
	}
}
