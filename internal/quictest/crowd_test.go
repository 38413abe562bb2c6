package quictest

import "testing"

func TestManyStreamsShareTheSendBuffers(t *testing.T) {
	const (
		crowded, crowdedShare = 2 << 20, 32 << 10 // of the core
		one                   = 1 << 20           // more than the buffer of one stream
		chunk                 = 16 << 10
	)
	r := NewRawClient(t, RawOptions{}).Connect()
	r.AutoAck = false
	first, streams, total := 0, 0, 0
	for ; ; streams++ {
		s, ok := r.Conn.Open(true)
		if !ok {
			break
		}
		n, err := r.Conn.Write(s, padding(one))
		if err != nil {
			t.Fatal(err)
		}
		if streams == 0 {
			first = n
		}
		if n < crowdedShare {
			t.Fatalf("stream %d takes %d bytes, want at least %d", streams, n, crowdedShare)
		}
		total += n
	}
	if most := 3*first + crowded + streams*(crowdedShare+chunk); total > most || total < crowded {
		t.Errorf("%d streams took %d bytes together, want %d at most; the first took %d", streams, total, most, first)
	}
	if streams < 20 || total > streams*first*3/4 {
		t.Errorf("%d streams took %d bytes, the first %d: this is no crowd", streams, total, first)
	}
}
