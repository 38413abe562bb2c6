package fabric

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func diagAnswer() []byte {
	b := make([]byte, 16+72)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	body := b[16:]
	body[0], body[1] = diagINET, tcpListen
	binary.BigEndian.PutUint16(body[4:], 80)
	copy(body[8:], []byte{10, 0, 0, 1})
	return b
}

func TestAnswersOfSockDiagAreReadAndCutOnesRefused(t *testing.T) {
	one := diagAnswer()
	whole := append(append([]byte(nil), one...), one...)
	end := make([]byte, 16)
	binary.NativeEndian.PutUint32(end, 16)
	binary.NativeEndian.PutUint16(end[4:], netlinkDone)
	whole = append(whole, end...)
	n := 0
	done, code, err := parseDiag(whole, func(s Socket, state byte) {
		n++
		if s.Local != netip.MustParseAddrPort("10.0.0.1:80") || s.Remote.IsValid() || state != tcpListen {
			t.Errorf("%+v in state %d", s, state)
		}
	})
	if !done || code != 0 || err != nil || n != 2 {
		t.Errorf("%d sockets, %v, %v, %v", n, done, code, err)
	}
	for size := range whole {
		if done, _, _ := parseDiag(whole[:size], func(Socket, byte) {}); done {
			t.Errorf("the first %d bytes of %d are a whole answer", size, len(whole))
		}
	}
	for bit := range 8 * len(whole) {
		whole[bit/8] ^= 1 << (bit % 8)
		parseDiag(whole, func(Socket, byte) {})
		whole[bit/8] ^= 1 << (bit % 8)
	}
}

func FuzzDiag(f *testing.F) {
	f.Add(diagAnswer())
	f.Fuzz(func(t *testing.T, b []byte) { parseDiag(b, func(Socket, byte) {}) })
}
