package netsim

import (
	"testing"
	"time"
)

// s0 is the link that most cases of the test network use.
const s0 = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25"

func mustScenario(t testing.TB, text string) *Scenario {
	t.Helper()
	sc, err := ParseScenario(text)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func TestSimDelaysAndSerialisesToTheNanosecond(t *testing.T) {
	s := NewSim(mustScenario(t, s0), 1)
	s.Send(Epoch, Left, Packet{Data: make([]byte, 1452), UDP: true, Dst: serverAP})
	at, ok := s.Next()
	want := Epoch.Add((1480+2)*8*100*time.Nanosecond + 15*time.Millisecond)
	if !ok || !at.Equal(want) {
		t.Fatalf("arrival of 1452 payload bytes at %v, want %v", at.Sub(Epoch), want.Sub(Epoch))
	}
	if _, _, early := s.Pop(want.Add(-1)); early {
		t.Error("packet popped a nanosecond before its arrival")
	}
	if to, p, ok := s.Pop(want); !ok || to != Right || len(p.Data) != 1452 {
		t.Errorf("Pop(arrival) = %v, %d bytes, %v; want right, 1452 bytes", to, len(p.Data), ok)
	}
}
