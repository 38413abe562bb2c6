package sockets

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/sockets/policy"
)

// lookUpNames learns the addresses of the host names in the policy before the program starts, and again from time to time until the run ends.
func (s *supervisor) lookUpNames() {
	if len(s.conf.Policy.Names()) == 0 {
		return
	}
	s.lookUp()
	go func() {
		tick := time.NewTicker(policy.RefreshEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.lookUp()
			case <-s.ctx.Done():
				return
			}
		}
	}()
}

func (s *supervisor) lookUp() {
	err := s.conf.Policy.Resolve(s.ctx, func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	})
	if err != nil && s.ctx.Err() == nil && s.alarms.first(alarm{text: err.Error()}, time.Now()) {
		s.log.Warn(err.Error())
	}
}

// expected is whom the peer of d must prove to be. Where authorities vouch for peers and the rule has a name, it is who has that name, not just
// the address.
func (s *supervisor) expected(d policy.Decision) string {
	if d.Identity == "" && s.conf.Identity.CA != "" {
		return d.PeerName
	}
	return d.Identity
}

// noAddress is why a connection is refused that depends on a name without an address.
func noAddress(d policy.Decision) error {
	return fmt.Errorf("host name %s of the policy has no address: %w", d.Unresolved, syscall.EHOSTUNREACH)
}
