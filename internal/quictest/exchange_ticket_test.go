package quictest

import (
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/netsim"
)

// ticketDelay is that of package core.
const ticketDelay = time.Second

// ticketAfter returns how long after the handshake the client has a ticket.
func ticketAfter(t *testing.T, p *Pair, client *trader) time.Duration {
	t.Helper()
	runUntil(t, p, "the handshake", func() bool { return client.Established })
	start := p.Clock.Now()
	runUntil(t, p, "a ticket", func() bool {
		_, ok := p.Client.Config.TLS.ClientSessionCache.Get(Name)
		return ok
	})
	return p.Clock.Now().Sub(start)
}

// offering announces that the server makes offers.
func offering(side netsim.Side, cfg *core.Config) { cfg.OfferPlugins = side == netsim.Right }

func TestTicketIsNotDelayedWhereNobodyOffers(t *testing.T) {
	p := NewPair(t, 1, Options{Config: resumable(trading(nil))})
	client, server, _, _ := sides(t, true)
	trade(t, p, client, server)
	if took := ticketAfter(t, p, client); took > 31*time.Millisecond {
		t.Errorf("the ticket came %v after the handshake, want one round trip", took)
	}
}

func TestTicketWaitsUntilPluginsAreAgreedOn(t *testing.T) {
	p := NewPair(t, 1, Options{Config: resumable(trading(offering))})
	client, server, from, to := sides(t, false, fec)
	trade(t, p, client, server)
	took := ticketAfter(t, p, client)
	if !from.hasActive(fec.name) || !to.hasActive(fec.name) {
		t.Errorf("the ticket came after %v, before the plugin was agreed on", took)
	}
	if took > 200*time.Millisecond {
		t.Errorf("the ticket came after %v although the plugin was agreed on", took)
	}
}

func TestTicketWaitsForASilentPeerForATimeOnly(t *testing.T) {
	p := NewPair(t, 1, Options{Config: resumable(trading(offering))})
	client, server, _, to := sides(t, false, fec)
	to.silent = true
	trade(t, p, client, server)
	if took := ticketAfter(t, p, client); took < 100*time.Millisecond || took > ticketDelay+50*time.Millisecond {
		t.Errorf("the ticket came after %v, want at most %v", took, ticketDelay)
	}
}

// TestTicketComesAlthoughTheClientDoesNotHear has the acknowledgment of the list
// of plugins lost.
func TestTicketComesAlthoughTheClientDoesNotHear(t *testing.T) {
	deaf := false
	p := NewPair(t, 1, Options{Config: resumable(trading(offering)), Tap: func(from netsim.Side, d []byte) []byte {
		if deaf && from == netsim.Left {
			return nil
		}
		return d
	}})
	client, server, from, _ := sides(t, false, fec)
	trade(t, p, client, server)
	runUntil(t, p, "the plugin", func() bool { deaf = from.hasActive(fec.name); return deaf })
	if took := ticketAfter(t, p, client); took > ticketDelay+50*time.Millisecond {
		t.Errorf("the ticket came after %v, want at most %v", took, ticketDelay)
	}
}
