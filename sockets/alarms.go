package sockets

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/seed51309289/quiver/sockets/identity"
)

const (
	// alarmPause is how long the user hears nothing of the same thing again.
	alarmPause = time.Minute
	// limit: maxAlarms is how many peers are remembered for that; beyond it all are forgotten.
	maxAlarms = 256
)

// alarms tells the user of trouble that a program cannot be told of: a connection refused is all that it sees, whatever the reason.
type alarms struct {
	mu   sync.Mutex
	said map[alarm]time.Time // limit: maxAlarms
}

type alarm struct {
	peer netip.AddrPort
	text string
}

// raise says once in a while why a peer was not reached.
func (a *alarms) raise(log *slog.Logger, peer netip.AddrPort, err error) {
	text, ok := worthSaying(err)
	if !ok || !a.first(alarm{peer, text}, time.Now()) {
		return
	}
	log.Warn(text, "peer", peer)
}

// first reports whether the user has not heard of it lately.
func (a *alarms) first(what alarm, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, ok := a.said[what]; ok && now.Sub(at) < alarmPause {
		return false
	}
	if a.said == nil || len(a.said) >= maxAlarms {
		a.said = map[alarm]time.Time{}
	}
	a.said[what] = now
	return true
}

// worthSaying returns what the user is told of an error, if it is about who the peer is.
func worthSaying(err error) (string, bool) {
	hint := identity.Hint(err)
	if hint == "" {
		return "", false
	}
	return err.Error() + "; " + hint, true
}
