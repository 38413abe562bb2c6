package control

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

// endless repeats a byte.
type endless byte

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e)
	}
	return len(b), nil
}

func TestSnapshotIsCutAndSaysHowMuch(t *testing.T) {
	runtimeDir(t)
	long := strings.Repeat("ü", MaxText)
	p := Program{
		Listeners: make([]Listener, MaxListeners+1), Peers: make([]Peer, MaxPeers+2), Conns: make([]Conn, MaxConns+3),
		UDP: make([]netip.AddrPort, MaxListeners+4), PeersLeftOut: 10, ConnsLeftOut: -5,
		Command: []string{"a", long, "b"}, Policy: strings.Repeat("x", maxPolicy+1), Kind: long, Mode: long,
	}
	p.Conns[0] = Conn{Name: long, Direction: long, Via: long, State: long, Command: long, Rule: long}
	p.Peers[0] = Peer{Direction: long, Identity: long, State: long}
	p.Listeners[0] = Listener{Via: long, Rule: long}
	publish(t, p, nil)
	got, err := List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p = got[0]
	for name, n := range map[string][2]int{
		"listeners": {len(p.Listeners), MaxListeners}, "left out": {p.ListenersLeftOut, 1},
		"peers": {len(p.Peers), MaxPeers}, "peers left out, with those of the caller": {p.PeersLeftOut, 12},
		"connections": {len(p.Conns), MaxConns}, "connections left out": {p.ConnsLeftOut, 3},
		"UDP addresses": {len(p.UDP), MaxListeners}, "arguments": {len(p.Command), 2}, "policy": {len(p.Policy), maxPolicy},
	} {
		if n[0] != n[1] {
			t.Errorf("%s: %d, want %d", name, n[0], n[1])
		}
	}
	c, r, l := p.Conns[0], p.Peers[0], p.Listeners[0]
	for _, text := range append(p.Command, p.Kind, p.Mode, c.Name, c.Direction, c.Via, c.State, c.Command, c.Rule, r.Direction, r.Identity, r.State, l.Via, l.Rule) {
		if len(text) > MaxText || len(text) > 1 && !strings.HasSuffix(text, "…") || !utf8.ValidString(text) {
			t.Errorf("text of %d bytes ends in %q", len(text), text[len(text)-3:])
		}
	}
}

func TestFullestProgramFitsIntoAnAnswer(t *testing.T) {
	text := strings.Repeat("x", MaxText)
	p := Program{Listeners: make([]Listener, MaxListeners), Peers: make([]Peer, MaxPeers), Conns: make([]Conn, MaxConns), Policy: strings.Repeat("x", maxPolicy)}
	for i := range p.Conns {
		p.Conns[i] = Conn{Name: text, Command: text, Rule: text}
	}
	for i := range p.Peers {
		p.Peers[i].Identity = text
	}
	for i := range p.Listeners {
		p.Listeners[i].Rule = text
	}
	b, err := json.Marshal(p)
	if err != nil || len(b) > maxAnswer {
		t.Errorf("%d bytes, %v, want at most %d", len(b), err, maxAnswer)
	}
}

func TestAnswerWithoutEndIsCutOff(t *testing.T) {
	_, err := readProgram(io.MultiReader(strings.NewReader(`{"version":1,"policy":"`), endless('x')))
	if err == nil || !strings.Contains(err.Error(), "longer than 33554432 bytes") {
		t.Errorf("readProgram: %v, want that it is longer than maxAnswer, %d", err, maxAnswer)
	}
}

func TestReadersBeyondTheLimitComeAgain(t *testing.T) {
	runtimeDir(t)
	asked, answer := make(chan struct{}, maxReaders), make(chan struct{})
	p, err := Publish(t.Context(), func() Program {
		asked <- struct{}{}
		<-answer
		return Program{}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	done := make(chan error, maxReaders)
	for range maxReaders {
		go func() {
			_, err := List(t.Context())
			done <- err
		}()
	}
	for range maxReaders {
		<-asked
	}
	_, err = List(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "it is answering too many others") {
		t.Errorf("List: %v, want that it has too many readers", err)
	}
	close(answer)
	for range maxReaders {
		<-done // late perhaps, which is no matter here
	}
}

func TestCutAnswersNeverPanic(t *testing.T) {
	p := full()
	p.Version = Version
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := readProgram(bytes.NewReader(b[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes are a program", n, len(b))
		}
	}
	for i := range b {
		for bit := range 8 {
			flipped := bytes.Clone(b)
			flipped[i] ^= 1 << bit
			readProgram(bytes.NewReader(flipped)) // some of them are programs
		}
	}
}

func FuzzReadProgram(f *testing.F) {
	p := full()
	p.Version = Version
	b, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"conns":[{"app":"moon"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readProgram(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(p.Conns) > MaxConns || len(p.Peers) > MaxPeers || p.Conns == nil || p.Command == nil {
			t.Errorf("%d connections, %d peers", len(p.Conns), len(p.Peers))
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readProgram(bytes.NewReader(again)); err != nil {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}
