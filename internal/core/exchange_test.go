package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

func keptOffers(n, config int) (set []hook.Offer) {
	for i := range n {
		set = append(set, hook.Offer{
			Local: uint64(i), Digest: [32]byte{byte(i)}, ID: "org.example.fec", Version: "1.0.0", Size: 9000, Packed: 4000, Mode: hook.Negotiated,
			Frames: 2, TypeBase: uint64(wire.FramePlugin) + 16*uint64(i), Config: make([]byte, config),
		})
	}
	return set
}

// remembered writes a memory with plugins into a session and reads it again.
func remembered(m *memory) (memory, bool) {
	entry := appendMemory(m)
	return recallEntry(entry)
}

func TestSessionRemembersPlugins(t *testing.T) {
	for _, n := range []int{0, 1, 2 * maxOffers} {
		m := memory{wire.Version2, time.UnixMilli(5000), "h3", wire.DefaultParams(), keptOffers(n, 3)}
		got, ok := remembered(&m)
		if !ok || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", m) {
			t.Errorf("%d plugins come back as %v, %+v\nwant %+v", n, ok, got, m)
		}
	}
}

func TestSessionOfPluginsCutAnywhereIsNone(t *testing.T) {
	m := memory{wire.Version1, time.UnixMilli(5000), "h3", wire.DefaultParams(), keptOffers(2, 3)}
	entry := appendMemory(&m)
	for n := range len(entry) {
		if got, ok := recallEntry(entry[:n]); ok {
			t.Fatalf("cut to %d of %d bytes: %+v", n, len(entry), got)
		}
	}
	list := appendOffers(nil, m.plugins)
	for n := 1; n < len(list); n++ {
		if set, ok := parseOffers(list[:n]); ok && len(set) != 1 {
			t.Fatalf("list cut to %d of %d bytes: %+v", n, len(list), set)
		}
	}
}

func TestListOfPluginsToRememberIsBounded(t *testing.T) {
	e := &exchange{}
	for _, o := range keptOffers(2*maxOffers, 20) {
		e.plugins = append(e.plugins, &plugin{Offer: o, sentReady: true, gotReady: true})
	}
	if set, fits := e.agreed(); !fits || len(set) != 2*maxOffers {
		t.Errorf("%d plugins, %d bytes: fits is %v, want it below maxRemembered = %d", len(set), len(appendOffers(nil, set)), fits, maxRemembered)
	}
	for _, p := range e.plugins {
		p.Config = make([]byte, 200)
	}
	if set, fits := e.agreed(); fits {
		t.Errorf("%d bytes are to be remembered, want at most maxRemembered = %d", len(appendOffers(nil, set)), maxRemembered)
	}
	if _, ok := parseOffers(appendOffers(nil, keptOffers(2*maxOffers+1, 0))); ok {
		t.Error("more plugins than a connection has are read from a session")
	}
}

// FuzzRecall asks that a memory that is read, written anew, reads the same.
func FuzzRecall(f *testing.F) {
	m := memory{wire.Version1, time.UnixMilli(5000), "h3", wire.DefaultParams(), keptOffers(2, 3)}
	f.Add(appendMemory(&m))
	m.plugins = nil
	f.Add(appendMemory(&m))
	f.Fuzz(func(t *testing.T, entry []byte) {
		got, ok := recallEntry(entry)
		if !ok {
			return
		}
		again, ok := recallEntry(appendMemory(&got))
		if !ok || fmt.Sprintf("%+v", again.plugins) != fmt.Sprintf("%+v", got.plugins) || again.alpn != got.alpn {
			t.Fatalf("%+v written anew reads as %v, %+v", got, ok, again)
		}
	})
}
