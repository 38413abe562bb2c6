package dissect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

// feeder hands datagrams to a dissector without a file around them.
type feeder struct {
	d *dissector
	n int
}

func newFeeder(keyLog []byte) *feeder {
	return &feeder{d: newDissector(Options{KeyLogs: [][]byte{keyLog}})}
}

func (f *feeder) feed(src, dst netip.AddrPort, payload []byte) {
	f.n++
	f.d.datagram(f.n, time.Duration(f.n)*time.Microsecond, &udpDatagram{src: src, dst: dst, size: len(payload), payload: payload}, "")
}

func (f *feeder) packets(side kit.Side, packets ...*kit.Packet) {
	if side == kit.Client {
		f.feed(clientAddr, serverAddr, seal(packets))
		return
	}
	f.feed(serverAddr, clientAddr, seal(packets))
}

func TestWaitingPacketsAreBounded(t *testing.T) {
	f := newFeeder(nil)
	packet := append([]byte{0x40}, make([]byte, 40)...)
	for range maxWaitingPackets + 10 {
		f.feed(clientAddr, serverAddr, packet)
	}
	if f.d.waits != maxWaitingPackets || len(f.d.strays) != maxWaitingPackets {
		t.Errorf("%d packets wait, want %d", f.d.waits, maxWaitingPackets)
	}
	if note := f.d.trace.Datagrams[f.n-1].Packets[0].Note; note != noteTooMany {
		t.Errorf("note of the last one is %q, want %q", note, noteTooMany)
	}
}

func TestWaitingBytesAreBounded(t *testing.T) {
	f := newFeeder(nil)
	packet := append([]byte{0x40}, make([]byte, 60000)...)
	for range maxWaitingBytes/60000 + 10 {
		f.feed(clientAddr, serverAddr, packet)
	}
	if f.d.waitLen > maxWaitingBytes || f.d.waits < maxWaitingBytes/60000-1 {
		t.Errorf("%d packets of %d bytes wait, want no more than %d bytes", f.d.waits, f.d.waitLen, maxWaitingBytes)
	}
}

func TestWaitingPacketsAreForgottenOnceOpen(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	f := newFeeder(k.keyLog)
	f.packets(kit.Client, k.c.Packet(kit.Client, wire.PacketInitial, kit.Frame(wire.Frame{Type: wire.FramePing})))
	k.handshake()
	k.stream(kit.Server, 5)
	early := len(k.datagrams) - 5
	for _, packets := range k.datagrams[early:] {
		f.packets(kit.Server, packets...)
	}
	if f.d.waits != 5 {
		t.Fatalf("%d packets wait, want 5", f.d.waits)
	}
	for _, packets := range k.datagrams[:early] {
		f.packets(packets[0].From, packets...)
	}
	if f.d.waits != 0 || f.d.waitLen != 0 {
		t.Errorf("%d packets of %d bytes wait, want none", f.d.waits, f.d.waitLen)
	}
}

func TestCryptoDataIsBounded(t *testing.T) {
	var s cryptoStream
	s.add(maxCryptoBytes-10, make([]byte, 11))
	if !s.full || len(s.data) != 0 {
		t.Errorf("full %v with %d bytes, want a refusal of data beyond %d", s.full, len(s.data), maxCryptoBytes)
	}
	s = cryptoStream{}
	for i := range maxCryptoGaps + 10 {
		s.add(uint64(2*i), []byte{1})
	}
	if len(s.have) != maxCryptoGaps || !s.full {
		t.Errorf("%d pieces, want %d", len(s.have), maxCryptoGaps)
	}
	s = cryptoStream{}
	s.add(wire.MaxVarint-1, []byte{1})
	if !s.full || len(s.data) != 0 {
		t.Error("data at the end of the number space was kept")
	}
}

func TestFramesOfAPacketAreBounded(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	f := newFeeder(nil)
	f.packets(kit.Client, k.c.Packet(kit.Client, wire.PacketInitial, bytes.Repeat([]byte{1}, maxFramesPerPacket+5)))
	p := f.d.trace.Datagrams[0].Packets[0]
	if len(p.Frames) != maxFramesPerPacket || p.Note == "" {
		t.Errorf("%d frames with note %q, want %d and a note", len(p.Frames), p.Note, maxFramesPerPacket)
	}
}

func TestAckRangesAreBounded(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	f := newFeeder(nil)
	ack := []byte{byte(wire.FrameAck)}
	ack = wire.AppendVarint(ack, 10_000)
	ack = wire.AppendVarint(ack, 0)
	ack = wire.AppendVarint(ack, maxAckRanges+50)
	ack = wire.AppendVarint(ack, 0)
	ack = append(ack, bytes.Repeat([]byte{0, 0}, maxAckRanges+50)...)
	f.packets(kit.Client, k.c.Packet(kit.Client, wire.PacketInitial, ack))
	if n := len(f.d.trace.Datagrams[0].Packets[0].Frames[0].Ack.Ranges); n != maxAckRanges {
		t.Errorf("%d ranges, want %d", n, maxAckRanges)
	}
}

func TestConnectionIDsAreBounded(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	f := newFeeder(nil)
	for i := range maxConnIDs + 100 {
		id := binary.BigEndian.AppendUint32([]byte{0xaa}, uint32(i))
		frame := wire.Frame{Type: wire.FrameNewConnectionID, Sequence: uint64(i), ConnID: id}
		f.packets(kit.Client, k.c.Packet(kit.Client, wire.PacketInitial, kit.Frame(frame)))
	}
	if n := len(f.d.ids); n != maxConnIDs {
		t.Errorf("%d connection IDs, want %d", n, maxConnIDs)
	}
}

func TestRetriesOfAConnectionAreBounded(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	f := newFeeder(nil)
	f.packets(kit.Client, k.c.Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client])))
	for i := range 3 * maxInitialIDs {
		f.packets(kit.Server, k.c.Retry([]byte{1, 2, 3, byte(i)}, []byte("t")))
	}
	if n := len(f.d.trace.Conns[0].initialIDs); n != maxInitialIDs {
		t.Errorf("%d sources of Initial keys, want %d", n, maxInitialIDs)
	}
}

func TestConnectionsOfAnAddressPairAreBounded(t *testing.T) {
	h, err := kit.NewHandshake(kit.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	f := newFeeder(nil)
	for i := range 3 * maxPairConns {
		f.packets(kit.Client, kit.NewConn(h, byte(i)).Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, h.Initial[kit.Client])))
	}
	if n := len(f.d.pairs[addrPair{clientAddr, serverAddr}]); n != maxPairConns || len(f.d.trace.Conns) != 3*maxPairConns {
		t.Errorf("%d connections remembered of %d, want %d", n, len(f.d.trace.Conns), maxPairConns)
	}
}

func TestMessagesOfAConnectionAreBounded(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	f := newFeeder(nil)
	empty := bytes.Repeat([]byte{99, 0, 0, 0}, maxMessages+9)
	f.packets(kit.Client, k.c.Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, empty)))
	if n := len(f.d.trace.Conns[0].Messages); n != maxMessages {
		t.Errorf("%d messages, want %d", n, maxMessages)
	}
}

func TestKeyLogLinesAreBounded(t *testing.T) {
	var text bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&text, "SERVER_TRAFFIC_SECRET_0 %064x 00\n", i)
	}
	l := keyLog{lines: maxKeyLogLines - 7}
	l.add(text.Bytes())
	if len(l.sessions) != 7 {
		t.Errorf("%d sessions beyond the limit's last 7 lines", len(l.sessions))
	}
}

func TestResetTokensAndWarningsAreBounded(t *testing.T) {
	f := newFeeder(nil)
	for i := range maxResetTokens + 10 {
		var token [16]byte
		binary.BigEndian.PutUint32(token[:], uint32(i))
		f.d.addResetToken(token)
	}
	for range maxWarnings + 10 {
		f.d.trace.warn("again")
	}
	if len(f.d.tokens) != maxResetTokens || len(f.d.trace.Warnings) != maxWarnings {
		t.Errorf("%d tokens and %d warnings, want %d and %d", len(f.d.tokens), len(f.d.trace.Warnings), maxResetTokens, maxWarnings)
	}
}

func TestDatagramsAreBounded(t *testing.T) {
	d := newDissector(Options{})
	d.trace.Datagrams = make([]Datagram, maxDatagrams)
	(&source{}).each(d) // which does not look for another one
	if len(d.trace.Datagrams) != maxDatagrams || len(d.trace.Warnings) != 1 {
		t.Errorf("%d datagrams, warnings %v, want %d and a warning", len(d.trace.Datagrams), d.trace.Warnings, maxDatagrams)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	h, err := kit.NewHandshake(kit.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	f := newFeeder(nil)
	f.d.trace.Conns = make([]*Conn, maxConns)
	f.packets(kit.Client, kit.NewConn(h, 1).Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, h.Initial[kit.Client])))
	if len(f.d.trace.Conns) != maxConns || len(f.d.trace.Warnings) != 1 || !strings.Contains(f.d.trace.Warnings[0], "connections") {
		t.Errorf("%d connections, warnings %v, want %d and a warning", len(f.d.trace.Conns), f.d.trace.Warnings, maxConns)
	}
}

func TestKeyUpdatesAreBounded(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	k.stream(kit.Server, 1)
	k.dissect()
	e := &k.trace.Conns[0].ends[server]
	if e.generation(maxGenerations) != nil || e.generation(-1) != nil || e.generation(3) == nil {
		t.Error("generations beyond the limit have keys, or one within has none")
	}
}
