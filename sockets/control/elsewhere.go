package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	portLimit     = 300 * time.Millisecond // for other supervisors to say where a port is
	rememberPort  = time.Second            // for which a port that was found is there: peers may ask again and again
	maxRemembered = 256                    // limit: answers remembered; a peer chooses the ports
	maxSearches   = 4                      // limit: searches at once; more wait
)

// Elsewhere asks the other supervisors of this user, and for root of all users,
// which of them takes connections for a TCP port of this host, and returns its
// UDP port and process number. Supervisors in other network namespaces have
// other ports and do not answer. ok is false if none does within portLimit.
// An answer holds for rememberPort. That there is none holds no longer than the
// question: a listener is reached as soon as it listens.
//
// A nil Publication, of a supervisor that could not publish itself, asks as well.
func (p *Publication) Elsewhere(ctx context.Context, tcp uint16) (udp uint16, pid int, ok bool) {
	if p == nil {
		a, ok := search(ctx, "", networkName(), tcp)
		return a.UDP, a.PID, ok
	}
	a, ok, err := p.memory.ask(ctx, tcp, func() (portAnswer, bool) { return search(ctx, p.Path(), p.network, tcp) })
	return a.UDP, a.PID, ok && err == nil
}

// search asks every socket but that with the path except; the first that knows wins.
func search(ctx context.Context, except, network string, tcp uint16) (portAnswer, bool) {
	limited, cancel := context.WithTimeout(ctx, portLimit)
	defer cancel()
	var (
		once  sync.Once
		found portAnswer
		ok    bool
	)
	question := "/v1/port?" + url.Values{"tcp": {strconv.Itoa(int(tcp))}, "network": {network}}.Encode()
	askAll(limited, except, func(ctx context.Context, s *socket) {
		if a, err := s.port(ctx, question); err == nil {
			once.Do(func() { found, ok = a, true })
			cancel()
		}
	})
	return found, ok
}

// port asks for one port.
func (s *socket) port(ctx context.Context, question string) (portAnswer, error) {
	var a portAnswer
	body, err := s.get(ctx, question)
	if err != nil {
		return a, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, 1<<10)).Decode(&a); err != nil {
		return a, err
	}
	if a.UDP == 0 {
		return a, errors.New("port 0")
	}
	return a, nil
}

// memory remembers where ports are.
type memory struct {
	mu      sync.Mutex            // guards answers
	answers map[uint16]remembered // limit: maxRemembered
	slots   chan struct{}         // limit: maxSearches
}

type remembered struct {
	portAnswer
	ok    bool
	until time.Time
}

// ask returns the answer for a port, from memory or by search. The error is that
// of ctx, which ended while others searched.
func (m *memory) ask(ctx context.Context, port uint16, search func() (portAnswer, bool)) (portAnswer, bool, error) {
	if a, known := m.recall(port, time.Now()); known {
		return a.portAnswer, a.ok, nil
	}
	m.mu.Lock()
	if m.slots == nil {
		m.slots = make(chan struct{}, maxSearches)
	}
	m.mu.Unlock()
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return portAnswer{}, false, ctx.Err()
	}
	defer func() { <-m.slots }()
	if a, known := m.recall(port, time.Now()); known { // somebody was faster
		return a.portAnswer, a.ok, nil
	}
	a, ok := search()
	if ok {
		m.learn(port, remembered{a, ok, time.Now().Add(rememberPort)}, time.Now())
	}
	return a, ok, nil
}

func (m *memory) recall(port uint16, now time.Time) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, known := m.answers[port]
	return a, known && now.Before(a.until)
}

// learn remembers an answer. A full memory forgets what is over, and if nothing
// is, all: an answer costs little.
func (m *memory) learn(port uint16, a remembered, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers == nil {
		m.answers = map[uint16]remembered{}
	}
	if len(m.answers) >= maxRemembered {
		for port, old := range m.answers {
			if !now.Before(old.until) {
				delete(m.answers, port)
			}
		}
	}
	if len(m.answers) >= maxRemembered {
		clear(m.answers)
	}
	m.answers[port] = a
}
