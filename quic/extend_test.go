package quic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/quic"
)

// greeter is an extension with a frame of its own, which it sends as soon as it may, and once for each call.
type greeter struct {
	id    string
	conn  hook.Conn
	heard []string
	ended chan hook.DetachReason
}

func newGreeter(id string) *greeter { return &greeter{id: id, ended: make(chan hook.DetachReason, 1)} }

func (g *greeter) Info() *hook.Info {
	return &hook.Info{
		ID: g.id, Version: "1.0.0", Mode: hook.Negotiated, Permissions: hook.MayReserve | hook.MayEmit | hook.MayEvent,
		Hooks: []hook.HookDecl{
			{Op: hook.OpFrameProcess, Anchor: hook.Replace}, {Op: hook.OpFrameWrite, Anchor: hook.Replace}, {Op: hook.OpFrameFate, Anchor: hook.After},
			{Op: hook.OpAppCall, Anchor: hook.Replace},
		},
		Frames: []hook.FrameDecl{{Name: "greeting", AckEliciting: true, InFlight: true, MaxLen: 64}},
	}
}

func (g *greeter) Attach(conn hook.Conn, at *hook.AttachState) error {
	g.conn = conn
	return nil
}

func (g *greeter) Detach(why hook.DetachReason) { g.ended <- why }

func (g *greeter) AppCall(op uint32, in, out []byte) ([]byte, error) {
	if _, err := g.conn.Reserve(hook.Reservation{Size: 64, Urgent: true}); err != nil {
		return nil, err
	}
	return fmt.Appendf(out, "heard %d", len(g.heard)), nil
}

func (g *greeter) WriteFrame(t hook.Token, b []byte, p *hook.PacketPlan) int { return copy(b, "hello") }

func (g *greeter) FrameFate(t hook.Token, f hook.Fate, rtt time.Duration) {}

func (g *greeter) ProcessFrame(f *hook.ReceivedFrame) hook.Verdict {
	g.heard = append(g.heard, string(f.Body))
	g.conn.Emit(7, f.Body)
	return hook.FrameTaken
}

// bystander is an extension that does nothing, and has no frames that the peer would have to know.
type bystander struct {
	id    string
	ended chan hook.DetachReason
}

func newBystander(id string) *bystander { return &bystander{id, make(chan hook.DetachReason, 1)} }

func (b *bystander) Info() *hook.Info { return &hook.Info{ID: b.id, Version: "1.0.0"} }

func (b *bystander) Attach(hook.Conn, *hook.AttachState) error { return nil }

func (b *bystander) Detach(why hook.DetachReason) { b.ended <- why }

// follower is the Extensions and the Extender of a test: it keeps all news, and answers as its functions say.
type follower struct {
	accept, offer bool
	attach        []quic.Attachment
	err           error
	on            func(c *quic.Conn, n *quic.ExtensionNews)

	mu   sync.Mutex
	conn *quic.Conn
	news []quic.ExtensionNews
}

func (f *follower) Exchange() (accept, offer bool) { return f.accept, f.offer }

func (f *follower) Extend(c *quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	f.conn = c
	return f.attach, f, f.err
}

func (f *follower) Resume(offers []hook.Offer) ([]hook.Extension, bool) { return nil, false }

func (f *follower) News(n *quic.ExtensionNews) {
	f.mu.Lock()
	f.news = append(f.news, *n)
	f.mu.Unlock()
	if f.on != nil {
		f.on(f.conn, n)
	}
}

// kinds is what was told so far.
func (f *follower) kinds() (kinds []quic.ExtensionNewsKind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.news {
		kinds = append(kinds, f.news[i].Kind)
	}
	return kinds
}

const greeterID = "org.example.greeter"

// exchanged makes a connection on which the server offers a greeter, with content, and the client takes it.
func exchanged(w *world) (client, server *follower, c, s *quic.Conn, ours, theirs *greeter) {
	w.Helper()
	content := bytes.Repeat([]byte("plugin "), 3000)
	ours, theirs = newGreeter(greeterID), newGreeter(greeterID)
	check := func(err error) {
		if err != nil {
			w.Error(err)
		}
	}
	server = &follower{offer: true, on: func(c *quic.Conn, n *quic.ExtensionNews) {
		switch n.Kind {
		case quic.ExtensionPeer:
			_, err := c.OfferPlugin(hook.Offer{ID: greeterID, Version: "1.0.0", Size: len(content), Packed: len(content), Mode: hook.Negotiated, Frames: 1})
			check(err)
		case quic.ExtensionAnswered:
			if n.Answer.Status == hook.AnswerNeed {
				check(c.ProvideOffer(n.Local, content))
			}
			check(c.ReadyOffer(n.Local, theirs))
		}
	}}
	client = &follower{accept: true, on: func(c *quic.Conn, n *quic.ExtensionNews) {
		switch n.Kind {
		case quic.ExtensionOffered:
			check(c.AnswerOffer(n.Local, hook.Answer{Status: hook.AnswerNeed}))
		case quic.ExtensionContent:
			if !bytes.Equal(n.Content, content) {
				w.Errorf("content of %d bytes, want the %d that were offered", len(n.Content), len(content))
			}
			check(c.ReadyOffer(n.Local, ours))
		}
	}}
	c, s = w.pair(&quic.Config{Extensions: client}, &quic.Config{Extensions: server})
	time.Sleep(10 * rtt)
	synctest.Wait()
	return client, server, c, s, ours, theirs
}

func TestAPluginIsExchangedAndUsedOnTheSameConnection(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		client, server, c, s, ours, theirs := exchanged(w)
		for _, conn := range []*quic.Conn{c, s} {
			if _, err := conn.CallExtension(greeterID, 1, nil); err != nil {
				t.Fatalf("call: %v", err)
			}
		}
		time.Sleep(2 * rtt)
		synctest.Wait()
		if want := []string{"hello"}; !slices.Equal(ours.heard, want) || !slices.Equal(theirs.heard, want) {
			t.Errorf("client heard %q, server %q, want both %q", ours.heard, theirs.heard, want)
		}
		if got := c.ConnectionStats().Extensions; len(got) != 1 || got[0].ID != greeterID || !got[0].Active || got[0].FramesWritten != 1 || got[0].FramesAcked != 1 {
			t.Errorf("stats of the client's extensions: %+v", got)
		}
		if err := c.Detach(greeterID); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * rtt)
		synctest.Wait()
		if a, b := <-ours.ended, <-theirs.ended; a != hook.DetachAsked || b != hook.DetachPeer {
			t.Errorf("client's half ended since %v, the server's since %v", a, b)
		}
		c.CloseWithError(0, "")
		time.Sleep(2 * rtt)
		synctest.Wait()
		want := []quic.ExtensionNewsKind{quic.ExtensionPeer, quic.ExtensionOffered, quic.ExtensionContent, quic.ExtensionActive, quic.ExtensionEmitted,
			quic.ExtensionDetached, quic.ExtensionClosed}
		if got := client.kinds(); !slices.Equal(got, want) {
			t.Errorf("client was told %v, want %v", got, want)
		}
		if got := server.kinds(); !slices.Contains(got, quic.ExtensionDetached) || got[len(got)-1] != quic.ExtensionClosed {
			t.Errorf("server was told %v, want that it is detached, and at last the end", got)
		}
	})
}

func TestAMessageReachesTheOtherHalf(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		client, _, _, s, _, _ := exchanged(w)
		var local uint64
		for _, n := range client.news {
			if n.Kind == quic.ExtensionActive {
				local = n.Local
			}
		}
		if err := s.MessageOffer(local, []byte("psst")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * rtt)
		synctest.Wait()
		last := client.news[len(client.news)-1]
		if last.Kind != quic.ExtensionMessage || last.Local != local || string(last.Content) != "psst" {
			t.Errorf("last news %+v, want the message", last)
		}
	})
}

func TestARefusedOfferLeavesTheConnectionAlone(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		server := &follower{offer: true, on: func(c *quic.Conn, n *quic.ExtensionNews) {
			if n.Kind == quic.ExtensionPeer {
				c.OfferPlugin(hook.Offer{ID: greeterID, Version: "1.0.0", Size: 10, Packed: 10, Mode: hook.Negotiated, Frames: 1})
			}
		}}
		client := &follower{accept: true, on: func(c *quic.Conn, n *quic.ExtensionNews) {
			if n.Kind == quic.ExtensionOffered {
				c.AnswerOffer(n.Local, hook.Answer{Status: hook.AnswerRefused, Code: 3, Reason: "not today"})
			}
		}}
		c, s := w.pair(&quic.Config{Extensions: client}, &quic.Config{Extensions: server})
		time.Sleep(4 * rtt)
		synctest.Wait()
		i := slices.Index(server.kinds(), quic.ExtensionAnswered)
		if i < 0 || server.news[i].Answer.Status != hook.AnswerRefused || server.news[i].Answer.Reason != "not today" {
			t.Fatalf("server was told %+v, want the refusal", server.news)
		}
		cs, ss := w.streams(c, s)
		cs.Close()
		ss.Close()
	})
}

func TestAPeerWithoutPluginsSeesAPlainConnection(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		server := &follower{offer: true, accept: true}
		c, s := w.pair(nil, &quic.Config{Extensions: server})
		time.Sleep(2 * rtt)
		synctest.Wait()
		if len(server.news) != 1 || server.news[0].Kind != quic.ExtensionPeer || server.news[0].Speaks {
			t.Errorf("server was told %+v, want that the peer takes no part", server.news)
		}
		if _, err := s.OfferPlugin(hook.Offer{ID: greeterID, Version: "1.0.0", Size: 1, Packed: 1}); !errors.Is(err, quic.ErrNoExchange) {
			t.Errorf("an offer to it: %v, want ErrNoExchange", err)
		}
		if _, err := c.OfferPlugin(hook.Offer{ID: greeterID, Version: "1.0.0", Size: 1, Packed: 1}); !errors.Is(err, quic.ErrNoExchange) {
			t.Errorf("an offer of it: %v, want ErrNoExchange", err)
		}
	})
}

func TestWhatCannotBeAttachedFailsTheDialOnly(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		broken := newBystander("") // an ID is wanted
		l := w.listen(&quic.Config{Extensions: &follower{attach: []quic.Attachment{{Extension: broken}}}})
		first := newBystander(greeterID)
		_, err := w.dialErr(&quic.Config{Extensions: &follower{attach: []quic.Attachment{{Extension: first}, {Extension: broken}}}})
		var attach *quic.AttachError
		if !errors.As(err, &attach) {
			t.Fatalf("dial: %v, want an *AttachError", err)
		}
		select {
		case <-first.ended:
		default:
			t.Error("the first extension was not detached")
		}
		if _, err := w.dialErr(&quic.Config{Extensions: &follower{err: errors.New("no plugins today")}}); err == nil || !strings.Contains(err.Error(), "no plugins today") {
			t.Errorf("dial: %v, want the error of Extend", err)
		}
		c := w.dial(nil) // the server goes on without its extension
		s, err := l.Accept(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.ConnectionStats().Extensions; len(got) != 0 {
			t.Errorf("extensions of the server: %+v", got)
		}
		if err := c.Attach(newBystander(greeterID), nil); err != nil {
			t.Error(err)
		}
		if err := c.Attach(newBystander(greeterID), nil); !errors.As(err, &attach) || !strings.Contains(err.Error(), greeterID) {
			t.Errorf("the same ID again: %v", err)
		}
		if _, err := c.CallExtension("org.example.nobody", 1, nil); !errors.Is(err, quic.ErrNoExtension) {
			t.Errorf("call of nobody: %v", err)
		}
		if err := c.Detach("org.example.nobody"); !errors.Is(err, quic.ErrNoExtension) {
			t.Errorf("detach of nobody: %v", err)
		}
	})
}
