package dissect

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:50000")
	serverAddr = netip.MustParseAddrPort("198.51.100.1:443")
)

// talk is a made-up conversation: datagrams that a test may reorder or drop before they are captured.
type talk struct {
	t         testing.TB
	c         *kit.Conn
	keyLog    []byte
	datagrams [][]*kit.Packet
	trace     *Trace
}

func newTalk(t testing.TB, config kit.Config) *talk {
	t.Helper()
	h, err := kit.NewHandshake(config)
	if err != nil {
		t.Fatal(err)
	}
	return &talk{t: t, c: kit.NewConn(h, 1), keyLog: h.KeyLog()}
}

func (k *talk) send(packets ...*kit.Packet) { k.datagrams = append(k.datagrams, packets) }

func (k *talk) sendFrom(side kit.Side, t wire.PacketType, frames ...[]byte) {
	k.send(k.c.Packet(side, t, frames...))
}

// handshake plays the whole handshake; the ClientHello takes as many packets as it needs.
func (k *talk) handshake() {
	c := k.c
	hello := c.H.Initial[kit.Client]
	for at := 0; at < len(hello); at += 1000 {
		k.sendFrom(kit.Client, wire.PacketInitial, kit.Crypto(at, hello[at:min(at+1000, len(hello))]))
	}
	k.send(c.Packet(kit.Server, wire.PacketInitial, kit.Ack(0), kit.Crypto(0, c.H.Initial[kit.Server])),
		c.Packet(kit.Server, wire.PacketHandshake, kit.Crypto(0, c.H.Handshake[kit.Server])))
	k.send(c.Packet(kit.Client, wire.PacketInitial, kit.Ack(0)),
		c.Packet(kit.Client, wire.PacketHandshake, kit.Ack(0), kit.Crypto(0, c.H.Handshake[kit.Client])))
}

func (k *talk) stream(side kit.Side, n int) {
	for i := range n {
		k.sendFrom(side, wire.Packet1RTT, kit.Stream(0, 10*i, []byte("0123456789"), false))
	}
}

// capture writes the datagrams 1 ms apart.
func (k *talk) capture() []byte {
	c := kit.NewCapture()
	for i, packets := range k.datagrams {
		src, dst := clientAddr, serverAddr
		if packets[0].From == kit.Server {
			src, dst = dst, src
		}
		c.UDP(time.Duration(i)*time.Millisecond, src, dst, 0, seal(packets))
	}
	return c.Bytes()
}

func seal(packets []*kit.Packet) (payload []byte) {
	for _, p := range packets {
		payload = p.Seal(payload)
	}
	return payload
}

func (k *talk) dissect() *Trace {
	k.t.Helper()
	trace, err := Read(k.capture(), Options{KeyLogs: [][]byte{k.keyLog}})
	if err != nil {
		k.t.Fatal(err)
	}
	k.trace = trace
	return trace
}

// wantOpen checks that every packet was decrypted.
func (k *talk) wantOpen() {
	k.t.Helper()
	for i := range k.trace.Datagrams {
		d := &k.trace.Datagrams[i]
		for j := range d.Packets {
			if !d.Packets[j].Decrypted || d.Packets[j].Note != "" {
				k.t.Errorf("frame %d: %s, want it decrypted", d.Frame, d.Line(j))
			}
		}
	}
}

// wantLine checks the text of one packet, without its time.
func (k *talk) wantLine(datagram, packet int, want string) {
	k.t.Helper()
	if len(k.trace.Datagrams) <= datagram || len(k.trace.Datagrams[datagram].Packets) <= packet {
		k.t.Fatalf("there is no packet %d in datagram %d", packet, datagram)
	}
	_, got, _ := strings.Cut(k.trace.Datagrams[datagram].Line(packet), "  ")
	if got != want {
		k.t.Errorf("packet %d of datagram %d is %q, want %q", packet, datagram, got, want)
	}
}
