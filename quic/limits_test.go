package quic

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/quictest"
)

func TestFullBacklogRefuses(t *testing.T) {
	client, server := quictest.TLSConfigs(time.Now(), "test")
	l, err := ListenAddr("127.0.0.1:0", server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dead := newConn(l.t, l, l.t.socket(0).conn.LocalAddr())
	dead.core = new(core.Conn) // never established; it only takes a place
	l.mu.Lock()
	for range defaultBacklog {
		l.backlog.push(dead)
	}
	l.mu.Unlock()
	c, err := DialAddr(context.Background(), l.Addr().String(), client, nil)
	if err == nil {
		<-c.Context().Done()
		err = context.Cause(c.Context())
	}
	transport, ok := err.(*TransportError)
	if !ok || transport.Code != TransportErrorCode(core.ConnectionRefused) || !transport.Remote || transport.Reason != refusedFull {
		t.Errorf("dial: got %v, want the peer's CONNECTION_REFUSED: %s", err, refusedFull)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.backlog.len(); n != defaultBacklog {
		t.Errorf("backlog: got %d, want %d", n, defaultBacklog)
	}
	l.backlog = queue[*Conn]{} // for Close
}

func TestInboxIsBounded(t *testing.T) {
	c := newConn(&Transport{}, nil, remoteForTest)
	c.inbox.queued = true // so that nobody empties it
	data := []byte{1, 2, 3}
	for range maxInbox + 10 {
		if !c.postpone(&core.Datagram{Data: data}) {
			t.Fatal("postpone during the handshake reports false")
		}
	}
	if n := len(c.inbox.list); n != maxInbox {
		t.Errorf("inbox: got %d datagrams, want %d", n, maxInbox)
	}
	data[0] = 9
	if c.inbox.list[0].Data[0] != 1 {
		t.Error("the inbox keeps a slice that is the socket's")
	}
	c.handshaking.Store(false)
	if c.postpone(&core.Datagram{Data: data}) {
		t.Error("postpone after the handshake reports true")
	}
}

func TestLogBacklogIsBounded(t *testing.T) {
	f := &qlogFile{}
	f.wake.L = &f.mu // no goroutine runs: the disk stands still
	record := bytes.Repeat([]byte{'x'}, 1<<20)
	for range maxQLogBacklog>>20 + 5 {
		if n, err := f.Write(record); n != len(record) || err != nil {
			t.Fatalf("Write = %d, %v, want %d and no error", n, err, len(record))
		}
	}
	if n := f.buf.Len(); n != maxQLogBacklog {
		t.Errorf("backlog: got %d bytes, want %d", n, maxQLogBacklog)
	}
}

func TestCloseWaitsForTheLogs(t *testing.T) {
	client, server := quictest.TLSConfigs(time.Now(), "test")
	dir := t.TempDir()
	l, err := ListenAddr("127.0.0.1:0", server, &Config{QLogDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c, err := DialAddr(context.Background(), l.Addr().String(), client, &Config{QLogDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.CloseWithError(5, "for the log")
	c.t.Close()
	<-s.Context().Done()
	l.Close()
	files, _ := os.ReadDir(dir)
	if len(files) != 2 {
		t.Fatalf("got %d logs, want 2", len(files))
	}
	for _, f := range files {
		log, err := os.ReadFile(dir + "/" + f.Name())
		if err != nil || !bytes.Contains(log, []byte("for the log")) {
			t.Errorf("%s: no reason of the close in %d bytes, error %v", f.Name(), len(log), err)
		}
	}
}

func TestCloseWaitsForASlowDisk(t *testing.T) {
	tr, err := transportForTest()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.init(); err != nil {
		t.Fatal(err)
	}
	const slow = 30 * time.Millisecond
	f := &qlogFile{done: make(chan struct{})}
	tr.setWriting(f, true)
	start := time.Now()
	time.AfterFunc(slow, func() { close(f.done) })
	tr.Close()
	if took := time.Since(start); took < slow {
		t.Errorf("Close took %v, want at least the %v of the disk", took, slow)
	}
}

func TestFailedDialLeavesNoLogOpen(t *testing.T) {
	client, _ := quictest.TLSConfigs(time.Now(), "test")
	client.ServerName = ""
	tr, err := transportForTest()
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err := tr.Dial(context.Background(), tr.LocalAddr(), client, &Config{QLogDir: t.TempDir()}); err == nil {
		t.Fatal("dial without a server name: no error")
	}
	tr.waitLogs() // hangs if the log was left open
}

func TestQueueKeepsOrderAndReusesMemory(t *testing.T) {
	var q queue[int]
	in, out := 0, 0
	pop := func() {
		t.Helper()
		if got := q.pop(); got != out {
			t.Fatalf("pop = %d, want %d", got, out)
		}
		out++
	}
	for range 500 {
		for range 3 {
			q.push(in)
			in++
		}
		pop()
	}
	for q.len() > 0 {
		pop()
	}
	if in != out {
		t.Errorf("%d went in, %d came out", in, out)
	}
	if allocs := testing.AllocsPerRun(100, func() { q.push(1); q.pop() }); allocs != 0 {
		t.Errorf("push and pop of an empty queue allocate %v times, want 0", allocs)
	}
}

var remoteForTest = netip.MustParseAddrPort("192.0.2.1:443")

func transportForTest() (*Transport, error) {
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	return &Transport{Conn: sock}, err
}
