package http3_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/http3"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

// world is a client's and a server's socket on a simulated network, in a
// bubble with a clock of its own.
type world struct {
	*testing.T
	net                  *netsim.Network
	client               *quic.Transport
	server               *quic.Transport
	clientTLS, serverTLS *tls.Config
}

// inWorld runs body in a bubble, and closes everything after it: a goroutine
// that stays fails the test.
func inWorld(t *testing.T, body func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sc, err := netsim.ParseScenario("simple-p2p --delay=15ms --bandwidth=100Mbps --queue=100")
		if err != nil {
			t.Fatal(err)
		}
		w := &world{T: t, net: netsim.NewNetwork(sc, quictest.Seed(t, 1))}
		w.clientTLS, w.serverTLS = quictest.TLSConfigs(time.Now(), http3.ALPN)
		w.client = w.transport(netsim.Left, 0)
		w.server = w.transport(netsim.Right, netsim.ServerPort)
		t.Cleanup(func() {
			w.client.Close()
			w.server.Close()
			w.net.Close()
		})
		body(w)
	})
}

func (w *world) transport(side netsim.Side, port uint16) *quic.Transport {
	w.Helper()
	sock, err := w.net.Listen(side, netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		w.Fatal(err)
	}
	return &quic.Transport{Conn: sock}
}

func (w *world) listen() *quic.Listener {
	w.Helper()
	l, err := w.server.Listen(w.serverTLS, nil)
	if err != nil {
		w.Fatal(err)
	}
	return l
}

// serve runs s until the test ends.
func (w *world) serve(s *http3.Server) {
	w.Helper()
	l := w.listen()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.ServeListener(l); !errors.Is(err, http.ErrServerClosed) {
			w.Errorf("ServeListener: %v, want ErrServerClosed", err)
		}
	}()
	w.Cleanup(func() {
		s.Close()
		<-done
	})
}

func (w *world) serveFunc(h http.HandlerFunc) { w.Helper(); w.serve(&http3.Server{Handler: h}) }

func (w *world) dial() *quic.Conn {
	w.Helper()
	c, err := w.client.Dial(context.Background(), w.server.LocalAddr(), w.clientTLS, nil)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// roundTripper is a Transport that dials to the one server there is.
func (w *world) roundTripper() *http3.Transport {
	w.Helper()
	t := &http3.Transport{
		Dial: func(ctx context.Context, _ string, _ *tls.Config, conf *quic.Config) (*quic.Conn, error) {
			return w.client.Dial(ctx, w.server.LocalAddr(), w.clientTLS, conf)
		},
	}
	w.Cleanup(func() { t.Close() })
	return t
}

func (w *world) get(t http.RoundTripper, path string) (*http.Response, error) {
	w.Helper()
	r, err := http.NewRequest(http.MethodGet, "https://example.org"+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	return t.RoundTrip(r)
}

// wantBody reads the response to its end.
func (w *world) wantBody(resp *http.Response, err error, want string) {
	w.Helper()
	if err != nil {
		w.Fatalf("round trip: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || string(b) != want {
		w.Fatalf("body = %.80q, %v; want %.80q", b, err, want)
	}
}

// A rawPeer is one side of HTTP/3 that says what the test says.
type rawPeer struct {
	*testing.T
	conn *quic.Conn
}

// rawClient connects to the server and sends SETTINGS.
func (w *world) rawClient() *rawPeer {
	p := &rawPeer{w.T, w.dial()}
	p.uni(cat([]byte{0}, frame(0x4)))
	return p
}

// rawServer accepts one connection for t, which asks for "/", and sends SETTINGS.
func (w *world) rawServer(settings []byte) (p *rawPeer, result chan error) {
	l := w.listen()
	t := w.roundTripper()
	result = make(chan error, 1)
	go func() {
		resp, err := w.get(t, "/")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		result <- err
	}()
	c, err := l.Accept(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	p = &rawPeer{w.T, c}
	if settings != nil {
		p.uni(settings)
	}
	return p, result
}

// uni opens a unidirectional stream that begins with b.
func (p *rawPeer) uni(b []byte) *quic.SendStream {
	p.Helper()
	s, err := p.conn.OpenUniStream()
	if err != nil {
		p.Fatal(err)
	}
	p.write(s, b)
	return s
}

// bidi opens a bidirectional stream that begins with b.
func (p *rawPeer) bidi(b []byte) *quic.Stream {
	p.Helper()
	s, err := p.conn.OpenStream()
	if err != nil {
		p.Fatal(err)
	}
	p.write(s, b)
	return s
}

func (p *rawPeer) accept() *quic.Stream {
	p.Helper()
	s, err := p.conn.AcceptStream(context.Background())
	if err != nil {
		p.Fatal(err)
	}
	return s
}

func (p *rawPeer) write(w io.Writer, b []byte) {
	p.Helper()
	if len(b) == 0 {
		return
	}
	if _, err := w.Write(b); err != nil {
		p.Fatal(err)
	}
}

// wantClosed waits for the other side to close the connection with code.
func (p *rawPeer) wantClosed(code http3.ErrCode) {
	p.Helper()
	select {
	case <-p.conn.Context().Done():
	case <-time.After(10 * time.Second):
		p.Fatalf("the connection is open, want %v", code)
	}
	var closed *quic.ApplicationError
	if err := context.Cause(p.conn.Context()); !errors.As(err, &closed) || !closed.Remote || http3.ErrCode(closed.Code) != code {
		p.Fatalf("the connection ended with %v, want %v of the peer's", err, code)
	}
}

// wantReset waits for the other side to give the stream up with code, and
// checks that the connection goes on.
func (p *rawPeer) wantReset(s *quic.Stream, code http3.ErrCode) {
	p.Helper()
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := io.Copy(io.Discard, s)
	var reset *quic.StreamError
	if !errors.As(err, &reset) || !reset.Remote || http3.ErrCode(reset.Code) != code {
		p.Fatalf("the stream ended with %v, want %v of the peer's", err, code)
	}
	p.wantOpen()
}

func (p *rawPeer) wantOpen() {
	p.Helper()
	time.Sleep(200 * time.Millisecond)
	if err := context.Cause(p.conn.Context()); err != nil {
		p.Fatalf("the connection ended with %v, want it open", err)
	}
}

// wantStatus reads a response's first frame, which must be HEADERS with status.
func (p *rawPeer) wantStatus(s *quic.Stream, status string) {
	p.Helper()
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	typ, payload, err := readFrame(bufio.NewReader(s))
	if err != nil || typ != 0x1 {
		p.Fatalf("frame of type %#x, %v; want HEADERS", typ, err)
	}
	if got := decode(p.T, payload)[0]; got != (http3.Field{Name: ":status", Value: status}) {
		p.Fatalf("the response begins with %v, want :status %s", got, status)
	}
}

func readFrame(r *bufio.Reader) (typ uint64, payload []byte, err error) {
	if typ, err = http3.ReadVarint(r); err != nil {
		return 0, nil, err
	}
	n, err := http3.ReadVarint(r)
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return typ, payload, err
}

func decode(t *testing.T, section []byte) []http3.Field {
	t.Helper()
	fields, err := http3.ReadFields(section, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// frame is a frame whose payload is parts.
func frame(typ uint64, parts ...[]byte) []byte {
	payload := cat(parts...)
	return cat(varint(typ), varint(uint64(len(payload))), payload)
}

func varint(vs ...uint64) []byte {
	var b []byte
	for _, v := range vs {
		b = wire.AppendVarint(b, v)
	}
	return b
}

// headers is a HEADERS frame of names and values in turn.
func headers(pairs ...string) []byte { return http3.Headers(pairs...) }

// getRoot is a request that nobody objects to.
func getRoot(more ...string) []byte {
	return headers(append([]string{":method", "GET", ":scheme", "https", ":authority", "example.org", ":path", "/"}, more...)...)
}
