package perf

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// memory is a stack whose connections are pipes in memory: one listener, and
// every stream a pair of pipes.
type memory struct {
	conns   chan Conn
	resumes bool
}

func (*memory) Streams() bool { return true }

func (m *memory) Listen(string, *tls.Config, Options) (Listener, error) { return m, nil }

func (m *memory) Dialer(string, *tls.Config, Options) (Dialer, error) { return m, nil }

func (*memory) Addr() string { return "memory" }

func (m *memory) Accept(ctx context.Context) (Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) Dial(context.Context) (Conn, error) {
	c := &pipes{streams: make(chan Stream, MaxStreams), resumed: m.resumes}
	m.conns <- c
	return c, nil
}

type pipes struct {
	streams chan Stream
	resumed bool
}

func (p *pipes) Open(context.Context) (Stream, error) {
	upR, upW := io.Pipe()
	downR, downW := io.Pipe()
	p.streams <- &pipeStream{upR, downW}
	return &pipeStream{downR, upW}, nil
}

func (p *pipes) Accept(ctx context.Context) (Stream, error) {
	select {
	case s := <-p.streams:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Resumed() bool { return p.resumed }
func (p *pipes) Close() error  { return nil }

type pipeStream struct {
	*io.PipeReader
	w *io.PipeWriter
}

func (s *pipeStream) Write(p []byte) (int, error) { return s.w.Write(p) }

func (s *pipeStream) WriteFinal(p []byte) error {
	s.w.Write(p)
	return s.w.Close()
}

func (s *pipeStream) Abort() {
	s.w.CloseWithError(errors.New("aborted"))
	s.CloseWithError(errors.New("aborted"))
}

func newMemory(t *testing.T) (*memory, context.Context) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	m := &memory{conns: make(chan Conn, 100)}
	go acceptAll(ctx, m)
	return m, ctx
}

func TestEveryWorkEndsWithItsCount(t *testing.T) {
	for _, w := range []Work{
		{Down, 1 << 20, 1}, {Down, 100_003, 7}, {Up, 1 << 20, 1}, {Up, 100_003, 7},
		{PingPong, 20, 1}, {Request, 20, 1}, {Request, 20, 8}, {Handshake, 20, 8}, {Idle, 20, 1},
	} {
		t.Run(fmt.Sprintf("%s %d", w.Kind, w.Streams), func(t *testing.T) {
			m, ctx := newMemory(t)
			var out bytes.Buffer
			if err := runClient(ctx, m, "", w, Options{}, strings.NewReader(""), &out); err != nil {
				t.Fatal(err)
			}
			var r Result
			if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.N != w.N || r.Seconds <= 0 || r.Memory.Heap == 0 {
				t.Errorf("reported %s, error %v; want n = %d, seconds and a heap", &out, err, w.N)
			}
			single := w.Kind == PingPong || w.Kind == Request || w.Kind == Handshake
			if single != (r.P50 > 0 && r.P99 >= r.P50) {
				t.Errorf("p50 %v, p99 %v; want them for single operations only", r.P50, r.P99)
			}
		})
	}
}

func TestResumedWantsResumption(t *testing.T) {
	m, ctx := newMemory(t)
	err := runClient(ctx, m, "", Work{Resumed, 3, 1}, Options{}, strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no resumption: 10 connections") {
		t.Errorf("error %v, want that there was no resumption", err)
	}
	m.resumes = true
	if err := runClient(ctx, m, "", Work{Resumed, 3, 1}, Options{}, strings.NewReader(""), io.Discard); err != nil {
		t.Error(err)
	}
	if err := runClient(ctx, m, "", Work{Handshake, 3, 1}, Options{}, strings.NewReader(""), io.Discard); err == nil {
		t.Error("full handshakes that were resumed count as full")
	}
}

func TestAClientNoticesWhatIsMissing(t *testing.T) {
	m, ctx := newMemory(t)
	c, _ := m.Dial(ctx)
	s, _ := c.Open(ctx)
	go s.WriteFinal([]byte{0, 0, 0, 0, 0, 0, 0, 9})
	if err := drain(s, make([]byte, 100), 10); err == nil || !strings.Contains(err.Error(), "9 of 10 bytes") {
		t.Errorf("error %v, want that 9 of 10 bytes came", err)
	}
}

func TestAServerAbortsStreamsThatSayTooLittle(t *testing.T) {
	m, ctx := newMemory(t)
	c, _ := m.Dial(ctx)
	s, _ := c.Open(ctx)
	s.WriteFinal([]byte{1, 2, 3})
	if _, err := s.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("error %v, want that the stream was aborted", err)
	}
}

func TestServeAnswersUntilStdinEnds(t *testing.T) {
	m := &memory{conns: make(chan Conn)}
	stdin, lines := io.Pipe()
	answers, stdout := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- serve(t.Context(), m, "", tls.Certificate{}, Options{}, stdin, stdout) }()
	r := bufio.NewReader(answers)
	if line, err := r.ReadString('\n'); line != "memory\n" || err != nil {
		t.Fatalf("first line %q, %v; want the address", line, err)
	}
	for _, word := range []string{"count", "memory"} {
		go io.WriteString(lines, word+"\n")
		var got Memory
		if line, err := r.ReadBytes('\n'); err != nil || json.Unmarshal(line, &got) != nil || got.Heap == 0 || got.Goroutines == 0 {
			t.Errorf("%s answered %s, %v", word, line, err)
		}
	}
	lines.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestMainSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"", "want server or client"},
		{"both", `"both": want server or client`},
		{"client -streams 0", "0 streams, want 1 to 1000"},
		{"client -work dance", `unknown work "dance"`},
		{"server -cert absent.pem", "absent.pem"},
	} {
		err := Main(t.Context(), &memory{}, strings.Fields(tc.args), strings.NewReader(""), io.Discard)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q", tc.args, err, tc.want)
		}
	}
}
