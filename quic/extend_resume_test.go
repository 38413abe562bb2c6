package quic_test

import (
	"context"
	"crypto/tls"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/quic"
)

// early is a greeter whose frame may travel in 0-RTT packets, and which greets as
// soon as it is attached.
type early struct {
	*greeter
	at []time.Time // when it was greeted
}

func newEarly() *early { return &early{greeter: newGreeter(greeterID)} }

func (g *early) Info() *hook.Info {
	i := g.greeter.Info()
	i.Frames[0].Early = true
	return i
}

func (g *early) Attach(conn hook.Conn, at *hook.AttachState) error {
	g.conn = conn
	conn.Reserve(hook.Reservation{Size: 64})
	return nil
}

func (g *early) ProcessFrame(f *hook.ReceivedFrame) hook.Verdict {
	g.at = append(g.at, time.Now())
	return hook.FrameTaken
}

// returning is the Extensions of one side, for several connections, all of whose
// plugins are greeters.
type returning struct {
	server bool
	cannot bool // it resumes none

	mu      sync.Mutex
	conn    *quic.Conn
	news    []quic.ExtensionNews
	resumed []*early
}

func (r *returning) Exchange() (accept, offer bool) { return !r.server, r.server }

func (r *returning) Extend(c *quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.news = c, nil
	return nil, r, nil
}

func (r *returning) Resume(offers []hook.Offer) (list []hook.Extension, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range offers {
		g := newEarly()
		r.resumed = append(r.resumed, g)
		list = append(list, g)
	}
	return list, !r.cannot
}

func (r *returning) News(n *quic.ExtensionNews) {
	r.mu.Lock()
	c := r.conn
	r.news = append(r.news, *n)
	r.mu.Unlock()
	switch n.Kind {
	case quic.ExtensionPeer:
		if r.server {
			c.OfferPlugin(hook.Offer{ID: greeterID, Version: "1.0.0", Size: 10, Packed: 10, Mode: hook.Negotiated, Frames: 1})
		}
	case quic.ExtensionOffered:
		c.AnswerOffer(n.Local, hook.Answer{Status: hook.AnswerReady})
		c.ReadyOffer(n.Local, newEarly())
	case quic.ExtensionAnswered:
		c.ReadyOffer(n.Local, newEarly())
	}
}

// told returns the kinds of the news so far, those of closed connections left out.
func (r *returning) told() (kinds []quic.ExtensionNewsKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.news {
		kinds = append(kinds, r.news[i].Kind)
	}
	return kinds
}

// comeBack connects, agrees on a greeter, closes, and begins a second connection
// with the session and early data.
func comeBack(w *world, client, server *returning) (l *quic.Listener, c *quic.Conn) {
	w.Helper()
	w.clientTLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	l = w.listen(&quic.Config{Allow0RTT: true, Extensions: server})
	conf := &quic.Config{Extensions: client}
	first := w.dial(conf)
	w.accept(l)
	time.Sleep(10 * rtt)
	first.CloseWithError(0, "")
	time.Sleep(10 * rtt)
	synctest.Wait()
	c, err := w.client.DialEarly(context.Background(), w.server.LocalAddr(), w.clientTLS, conf)
	if err != nil {
		w.Fatalf("dial: %v", err)
	}
	return l, c
}

func TestPluginsOfAnEarlierConnectionAreActiveInTheFirstFlight(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		client, server := &returning{}, &returning{server: true}
		l, c := comeBack(w, client, server)
		start := time.Now()
		w.accept(l)
		time.Sleep(10 * rtt)
		synctest.Wait()
		if len(client.resumed) != 1 || len(server.resumed) != 1 {
			t.Fatalf("%d plugins were taken up at the client, %d at the server, want one each", len(client.resumed), len(server.resumed))
		}
		if !c.ConnectionState().Used0RTT {
			t.Error("the server took no early data")
		}
		at := server.resumed[0].at
		if len(at) != 1 || at[0].Sub(start) > rtt/2+rtt/10 {
			t.Errorf("the server was greeted at %v, want once, half a round trip after %v", at, start)
		}
		if len(client.resumed[0].at) != 1 {
			t.Errorf("the client was greeted %d times, want once", len(client.resumed[0].at))
		}
		for _, r := range []*returning{client, server} {
			if kinds := r.told(); len(kinds) == 0 || kinds[0] != quic.ExtensionActive || !r.news[0].Resumed {
				t.Errorf("news are %v, want the plugin's first", kinds)
			}
		}
	})
}

func TestServerThatCannotTakePluginsUpAgainGetsThemAnew(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		client, server := &returning{}, &returning{server: true, cannot: true}
		l, c := comeBack(w, client, server)
		w.accept(l)
		time.Sleep(10 * rtt)
		synctest.Wait()
		if c.ConnectionState().Used0RTT {
			t.Error("the server took early data")
		}
		if len(client.resumed) != 1 || len(client.resumed[0].ended) != 1 || <-client.resumed[0].ended != hook.DetachRejected {
			t.Error("what the client took up was not ended because of the rejection")
		}
		kinds := client.told()
		if i := slices.Index(kinds, quic.ExtensionPeer); i < 0 || !slices.Contains(kinds[i:], quic.ExtensionActive) {
			t.Errorf("news are %v, want the plugin to be active again", kinds)
		}
	})
}

// TestNewsThatNobodyTakesAreBounded has messages come while an Extender takes its
// time: beyond maxExtenderNews they are dropped, and what belongs to the exchange is not.
func TestNewsThatNobodyTakesAreBounded(t *testing.T) {
	const maxExtenderNews = 256
	if n := quic.MessagesThatWait(4 * maxExtenderNews); n != maxExtenderNews+1 {
		t.Errorf("%d news wait, want %d and one of the exchange", n, maxExtenderNews)
	}
}
