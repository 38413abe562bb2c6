package quic_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

// beginning is an Initial that authenticates, with the beginning of a
// ClientHello whose rest never comes.
func beginning(n int) []byte {
	const pnLen = 1
	dcid := binary.BigEndian.AppendUint64(nil, uint64(n))
	client, _ := crypt.NewInitial(wire.Version1, dcid)
	b, lengthAt := wire.AppendLong(nil, wire.PacketInitial, wire.Version1, dcid, []byte("flooding"), nil, 0, pnLen)
	pnOffset := len(b) - pnLen
	hello := []byte{1, 0, 4, 0}
	b = append(wire.AppendCryptoHeader(b, 0, len(hello)), hello...)
	b = append(b, make([]byte, wire.MinInitialDatagram-len(b)-crypt.TagSize)...)
	wire.PutVarint2(b[lengthAt:], uint64(len(b)+crypt.TagSize-pnOffset))
	return client.Seal(append(b, make([]byte, crypt.TagSize)...)[:len(b)], pnOffset, pnLen, 0)
}

func TestFloodOfInitialsLeavesRoomForAnHonestClient(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		const most = 64
		w.server.MaxHandshakes = most
		l := w.listen(nil)
		stranger, err := w.net.Listen(netsim.Left, netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		stop := make(chan struct{})
		flooded := make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					flooded <- n
					return
				case <-time.After(100 * time.Microsecond):
					stranger.WriteTo(beginning(n), w.server.LocalAddr())
					n++
				}
			}
		}()
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		c := w.dial(&quic.Config{HandshakeTimeout: 5 * time.Second})
		w.wantTook("an honest client's handshake, with a Retry", start, 2*rtt, 8*rtt)
		s := w.accept(l)
		if got := w.server.HalfOpen(); got > most/2+1 {
			w.Errorf("%d handshakes are under way, want at most half of %d and the honest one", got, most)
		}
		cs, ss := w.streams(c, s)
		ss.WriteFinal([]byte("x"))
		cs.Read(make([]byte, 1))
		close(stop)
		if n := <-flooded; n < 10*most {
			w.Errorf("only %d Initials were sent, want many more than %d", n, most)
		}
	})
}
