package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxNameAddrs  = 64              // limit: addresses of one host name
	maxLookups    = 8               // limit: names that are looked up at once
	lookupTimeout = 5 * time.Second // of one name
)

// RefreshEvery is how often a shell should call [Policy.Resolve]. The library that looks names up does not tell how long an answer holds.
const RefreshEvery = 30 * time.Second

// A Lookup returns the addresses of a host name, as net.Resolver.LookupNetIP with the network "ip" does.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// nameAddrs is what is known of a name.
type nameAddrs struct {
	addrs []netip.Addr // the latest answer first; limit: maxNameAddrs
	first netip.Addr   // the one to call, as long as answers have it
}

// A NameError says that a host name of the policy has no address now. Without any from earlier answers, a rule for it matches nothing, and
// if it says quic, what the rules below send over TCP is refused; as a gateway it makes connections fail.
type NameError struct {
	Host  string
	Known int // addresses from earlier answers, which still count
	Err   error
}

func (e *NameError) Error() string {
	if e.Known > 0 {
		return fmt.Sprintf("policy: host name %s: %v; its %d known addresses still count", e.Host, e.Err, e.Known)
	}
	return fmt.Sprintf("policy: host name %s: %v", e.Host, e.Err)
}

func (e *NameError) Unwrap() error { return e.Err }

// Names returns the host names of the rules, sorted. Without any there is nothing to refresh.
func (p *Policy) Names() []string { return slices.Sorted(maps.Keys(p.seen)) }

// Resolve looks up every host name, several at a time, and decides by the answers from then on. An address stays known after an answer
// without it, as long as there is room: the names of large services have more addresses than fit an answer, and a program may hold one for
// long. The error joins a [*NameError] for each name that failed. Calls wait for each other.
func (p *Policy) Resolve(ctx context.Context, lookup Lookup) error {
	p.resolving.Lock()
	defer p.resolving.Unlock()
	names := p.Names()
	found := make([][]netip.Addr, len(names))
	errs := make([]error, len(names))
	slots := make(chan struct{}, maxLookups)
	var wait sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
			defer cancel()
			found[i], errs[i] = lookup(ctx, name)
			if errs[i] == nil && len(found[i]) == 0 {
				errs[i] = errNoAddress
			}
		})
	}
	wait.Wait()
	changed := false
	for i, name := range names {
		n := p.seen[name]
		if errs[i] != nil {
			errs[i] = &NameError{name, len(n.addrs), errs[i]}
			continue
		}
		changed = n.learn(found[i]) || changed
	}
	if changed {
		p.table.Store(p.newTable())
	}
	return errors.Join(errs...)
}

var errNoAddress = errors.New("no address")

// learn puts an answer before what is known, and reports whether that changed anything.
func (n *nameAddrs) learn(answer []netip.Addr) bool {
	next := make([]netip.Addr, 0, len(n.addrs))
	keep := false
	for i, list := range [][]netip.Addr{answer, n.addrs} {
		for _, a := range list {
			a = a.Unmap().WithZone("")
			if a.IsValid() && !slices.Contains(next, a) && len(next) < maxNameAddrs {
				next = append(next, a)
				keep = keep || i == 0 && a == n.first
			}
		}
	}
	if len(next) == 0 || keep && sameSet(next, n.addrs) {
		return false
	}
	if n.addrs = next; !keep {
		n.first = next[0]
	}
	return true
}

func sameSet(a, b []netip.Addr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x netip.Addr) bool { return !slices.Contains(b, x) })
}
