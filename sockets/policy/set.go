package policy

import (
	"context"
	"net/netip"
)

// A Set is a set of destinations, as --to has them. The zero value is empty. It is safe for concurrent use.
type Set struct{ policy *Policy }

// ParseSet reads lists of HOST, ADDRESS or CIDR, each with :PORTS or without, commas between. Errors, of type [Errors], say that they are of
// flag.
func ParseSet(flag string, lists []string) (*Set, error) {
	b := builder{policy: &Policy{ports: portMode{shared: DefaultUDPPort}}}
	b.rules(flag, lists)
	if len(b.errs) > 0 {
		return nil, b.errs[:min(len(b.errs), maxErrors)]
	}
	b.policy.connects = append(b.policy.connects, connectRule{via: Refuse})
	return &Set{b.policy.finish()}, nil
}

// Has reports whether dest is one of the set. It allocates nothing.
func (s *Set) Has(dest netip.AddrPort) bool {
	return s.policy != nil && s.policy.Connect(dest).Via != Refuse
}

// Resolve looks up the host names of the set, as [Policy.Resolve] does.
func (s *Set) Resolve(ctx context.Context, lookup Lookup) error {
	if s.policy == nil {
		return nil
	}
	return s.policy.Resolve(ctx, lookup)
}
