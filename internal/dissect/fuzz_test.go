package dissect

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

// checkTrace looks for contradictions in what was made of any bytes.
func checkTrace(t *testing.T, trace *Trace) {
	t.Helper()
	frame := 0
	for i := range trace.Datagrams {
		d := &trace.Datagrams[i]
		if d.Frame <= frame || d.Frame > trace.Frames {
			t.Fatalf("frame %d after %d of %d", d.Frame, frame, trace.Frames)
		}
		frame = d.Frame
		size := d.Trailing
		for j := range d.Packets {
			p := &d.Packets[j]
			size += p.Size
			if p.Decrypted && p.Conn == nil || !p.Decrypted && len(p.Frames) > 0 {
				t.Fatalf("frame %d: decrypted %v, connection %v, %d frames", d.Frame, p.Decrypted, p.Conn, len(p.Frames))
			}
			if d.Line(j) == "" {
				t.Fatal("a packet without a line")
			}
		}
		if size > d.Size {
			t.Fatalf("frame %d: packets of %d bytes in a datagram of %d", d.Frame, size, d.Size)
		}
	}
}

// recordedHandshake is the handshake of a recorded trace: always the same, so
// that a fuzzer's findings can be repeated.
func recordedHandshake(t testing.TB) *kit.Handshake {
	c := openRecorded(t, "quicgo_chacha20.pcapng").Conns[0]
	h := &kit.Handshake{Random: c.ClientHello.Random, Suite: c.ServerHello.Suite}
	for _, side := range []role{client, server} {
		h.Initial[side] = c.ends[side].crypto[levelInitial].data
		h.Handshake[side] = c.ends[side].crypto[levelHandshake].data
		h.HandshakeSecret[side], h.TrafficSecret[side] = c.secrets.handshake[side], c.secrets.traffic[side]
	}
	return h
}

// FuzzDissect feeds whole capture files. The seeds are small, or the fuzzer
// spends its time on making them smaller.
func FuzzDissect(f *testing.F) {
	h := recordedHandshake(f)
	conn := kit.NewConn(h, 1)
	c := kit.NewCapture()
	c.Secrets([]byte("SERVER_TRAFFIC_SECRET_0 00 00\n"))
	c.UDP(0, clientAddr, serverAddr, 1, conn.Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, []byte{1, 0, 0, 9})).Seal(nil), "comment")
	c.UDP(0, serverAddr, clientAddr, 1, conn.Retry([]byte{1, 2, 3}, []byte("token")).Raw)
	f.Add(c.Bytes(), []byte("CLIENT_TRAFFIC_SECRET_0 00 00\n"))
	file, err := os.ReadFile(filepath.Join("testdata", "quicgo_retry.pcap"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file[:100], []byte{})
	f.Add([]byte("\n\r\r\n"), []byte{})
	f.Fuzz(func(t *testing.T, file, log []byte) {
		trace, err := Read(file, Options{KeyLogs: [][]byte{log}})
		if err == nil {
			checkTrace(t, trace)
		}
	})
}

// FuzzDatagram changes the inside of one protected packet of a connection: its
// frames are the input, so that mutations get past the encryption. Then the
// same bytes come as a datagram of their own.
func FuzzDatagram(f *testing.F) {
	h := recordedHandshake(f)
	f.Add(uint8(0), kit.Crypto(0, h.Initial[kit.Client][:60]))
	f.Add(uint8(1), kit.Crypto(0, h.Initial[kit.Server][:60]))
	f.Add(uint8(3), kit.Crypto(0, h.Handshake[kit.Server][:60]))
	f.Add(uint8(5), kit.Stream(4, 100, []byte("data"), true))
	f.Add(uint8(4), kit.Frame(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: []byte{1, 2, 3}}))
	f.Add(uint8(4), kit.Ack(5))
	types := []wire.PacketType{wire.PacketInitial, wire.PacketHandshake, wire.Packet1RTT}
	f.Fuzz(func(t *testing.T, where uint8, frames []byte) {
		if len(frames) > 8000 {
			return
		}
		side, kind := kit.Side(where%2), types[where/2%3]
		k := &talk{t: t, c: kit.NewConn(h, 1)}
		if where&0x80 == 0 {
			k.handshake()
		}
		k.sendFrom(side, kind, frames)
		k.handshake()
		k.stream(kit.Server, 1)
		feed := newFeeder(h.KeyLog())
		for _, packets := range k.datagrams {
			feed.packets(packets[0].From, packets...)
		}
		feed.feed(clientAddr, serverAddr, frames)
		feed.d.trace.Frames = feed.n
		feed.d.finish()
		checkTrace(t, feed.d.trace)
	})
}

// bulk is a capture of a transfer of about 10 MB.
func bulk(t testing.TB) (file, keyLog []byte) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	data := make([]byte, 1150)
	for i := range 9000 {
		k.sendFrom(kit.Server, wire.Packet1RTT, kit.Stream(0, i*len(data), data, false))
		if i%2 == 1 {
			k.sendFrom(kit.Client, wire.Packet1RTT, kit.Ack(uint64(i)))
		}
	}
	return k.capture(), k.keyLog
}

func BenchmarkRead(b *testing.B) {
	file, log := bulk(b)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		trace, err := Read(file, Options{KeyLogs: [][]byte{log}})
		if err != nil || len(trace.Datagrams) != 13503 {
			b.Fatalf("%d datagrams, %v", len(trace.Datagrams), err)
		}
	}
}

// TestLargeTraceIsReadWellUnderASecond has the size of a transfer of 10 MB: a
// matrix judges hundreds of them. The bound is wide, for slow machines.
func TestLargeTraceIsReadWellUnderASecond(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a moment")
	}
	file, log := bulk(t)
	start := time.Now()
	trace, err := Read(file, Options{KeyLogs: [][]byte{log}})
	if err != nil {
		t.Fatal(err)
	}
	k := &talk{t: t, trace: trace}
	k.wantOpen()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%d bytes took %v, want well under a second", len(file), took)
	}
}
