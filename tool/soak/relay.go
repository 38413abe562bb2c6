package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

const (
	relaysAtOnce     = 4
	socketsPerRelay  = 2 // that connections share; others have their own
	relayLife        = 8 * time.Second
	blackout         = 1500 * time.Millisecond
	rebinds, goDarks = "rebind", "blackhole"
)

// relay is a network of its own between some clients and a server.
type relay struct {
	front      *net.UDPAddr // where clients send
	kind       string       // of the scenario
	scenario   string
	transports []*quic.Transport
	users      int // and one while new connections may come
	stop       func()
}

// scenario draws the weather of one relay.
func scenario(rng *rand.Rand) string {
	link := fmt.Sprintf("--delay=%dms --bandwidth=%dMbps --queue=200", 1+rng.IntN(30), 20+rng.IntN(180))
	switch rng.IntN(6) {
	case 0:
		return fmt.Sprintf("rebind %s --first-rebind=%dms --rebind-freq=%dms", link, 500+rng.IntN(1000), 1000+rng.IntN(2000))
	case 1:
		return fmt.Sprintf("rebind %s --first-rebind=%dms --rebind-freq=%dms --rebind-addr", link, 500+rng.IntN(1000), 1500+rng.IntN(2000))
	case 2:
		return fmt.Sprintf("blackhole %s --on=3s --off=%v --repeat=100", link, blackout)
	case 3:
		return fmt.Sprintf("mtu %s --first=1500 --then=1300 --after=3s", link)
	}
	return fmt.Sprintf("link %s --loss=%d --corrupt=%d --duplicate=%d --reorder=%d --ce=%d --jitter=%dms", link,
		rng.IntN(4), rng.IntN(3), rng.IntN(3), rng.IntN(4), rng.IntN(3), rng.IntN(3))
}

// newRelay starts a relay with a random scenario to one of the servers.
func (s *soak) newRelay(rng *rand.Rand) (*relay, error) {
	r := &relay{users: 1}
	if r.scenario = s.only; r.scenario == "" {
		r.scenario = scenario(rng)
	}
	r.kind, _, _ = strings.Cut(r.scenario, " ")
	sc, err := netsim.ParseScenario(r.scenario)
	if err != nil {
		return nil, err
	}
	server := s.servers[rng.IntN(len(s.servers))].t.LocalAddr().(*net.UDPAddr).AddrPort()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan netip.AddrPort, 1), make(chan error, 1)
	go func() {
		_, err := netsim.RunUDP(ctx, netsim.UDPConfig{Listen: netip.AddrPortFrom(server.Addr(), 0), Target: server,
			Scenario: sc, Seed: rng.Uint64(), Ready: func(a netip.AddrPort) { ready <- a }})
		done <- err
	}()
	select {
	case at := <-ready:
		r.front = net.UDPAddrFromAddrPort(at)
	case err := <-done:
		cancel()
		return nil, err
	}
	r.stop = func() {
		for _, t := range r.transports {
			t.Close()
		}
		cancel()
		<-done
	}
	for range socketsPerRelay {
		sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback})
		if err != nil {
			r.stop()
			return nil, err
		}
		r.transports = append(r.transports, &quic.Transport{Conn: sock})
	}
	return r, nil
}

// weather is the relays that new connections take. Each lives for some seconds
// and until its last connection has ended.
type weather struct {
	*soak
	mu      sync.Mutex // guards all below
	now     [relaysAtOnce]*relay
	stopped sync.WaitGroup
}

// begin makes the first relays; renew replaces them in turns until ctx ends.
func (w *weather) begin(rng *rand.Rand) error {
	for i := range w.now {
		if err := w.replace(i, rng); err != nil {
			w.end()
			return err
		}
	}
	return nil
}

func (w *weather) renew(ctx context.Context, rng *rand.Rand) error {
	ticker := time.NewTicker(relayLife / relaysAtOnce)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := w.replace(i%relaysAtOnce, rng); err != nil {
				return err
			}
		}
	}
}

func (w *weather) replace(i int, rng *rand.Rand) error {
	r, err := w.newRelay(rng)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	w.mu.Lock()
	old := w.now[i]
	w.now[i] = r
	w.mu.Unlock()
	w.release(old)
	return nil
}

// take returns a relay for one connection, which releases it.
func (w *weather) take(rng *rand.Rand) *relay {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.now[rng.IntN(relaysAtOnce)]
	r.users++
	return r
}

func (w *weather) release(r *relay) {
	if r == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.users--; r.users == 0 {
		w.stopped.Go(r.stop)
	}
}

// end lets go of all relays, and waits until they have stopped.
func (w *weather) end() {
	for i := range w.now {
		w.mu.Lock()
		r := w.now[i]
		w.now[i] = nil
		w.mu.Unlock()
		w.release(r)
	}
	w.stopped.Wait()
}
