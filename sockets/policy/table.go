package policy

import (
	"encoding/binary"
	"net/netip"
)

// table is the rules about connections as rows of plain numbers, in their order: a search is one pass over them, a few bytes for each,
// without a pointer to follow. It is made anew when the addresses of names change, and never altered. limit: maxRows
type table struct {
	v4       []row4
	v6       []row6
	gateways []netip.Addr // of each rule, its via=; invalid: none, or unknown
	unsure   []string     // of each rule, the first name above it that goes over QUIC and has no address: the destination may be its
}

type row4 struct {
	net, mask uint32
	lo, hi    uint16
	rule      int32
}

type row6 struct {
	netHi, netLo, maskHi, maskLo uint64
	lo, hi                       uint16
	rule                         int32
}

// newTable makes the table of the rules and of what is known of names.
func (p *Policy) newTable() *table {
	t := &table{gateways: make([]netip.Addr, len(p.connects)), unsure: make([]string, len(p.connects))}
	unknown := ""
	for i := range p.connects {
		r := &p.connects[i]
		t.unsure[i] = unknown
		if unknown == "" && r.via == QUIC && r.dest.kind == destName && len(p.seen[r.dest.name].addrs) == 0 {
			unknown = r.dest.name
		}
		spans := r.ports
		if spans == nil {
			spans = ports{{0, 65535}}
		}
		for _, s := range spans {
			switch r.dest.kind {
			case destAny:
				t.v4 = append(t.v4, row4{lo: s.lo, hi: s.hi, rule: int32(i)})
				t.v6 = append(t.v6, row6{lo: s.lo, hi: s.hi, rule: int32(i)})
			case destPrefix:
				t.add(r.dest.prefix, s, i)
			case destName:
				for _, a := range p.seen[r.dest.name].addrs {
					t.add(netip.PrefixFrom(a, a.BitLen()), s, i)
				}
			}
		}
		if r.gateway.host != "" {
			t.gateways[i] = r.gateway.addr()
			if n := p.seen[r.gateway.host]; n != nil {
				t.gateways[i] = n.first
			}
		}
	}
	return t
}

func (t *table) add(prefix netip.Prefix, s span, rule int) {
	if prefix.Addr().Is4() {
		mask := ^uint32(0) << (32 - prefix.Bits())
		t.v4 = append(t.v4, row4{word4(prefix.Addr()) & mask, mask, s.lo, s.hi, int32(rule)})
		return
	}
	hi, lo := words6(prefix.Addr())
	bits := prefix.Bits()
	maskHi, maskLo := ^uint64(0)<<max(64-bits, 0), ^uint64(0)<<min(128-bits, 64)
	t.v6 = append(t.v6, row6{hi & maskHi, lo & maskLo, maskHi, maskLo, s.lo, s.hi, int32(rule)})
}

// find returns the first rule that matches.
func (t *table) find(dest netip.AddrPort) int {
	addr, port := dest.Addr().Unmap(), dest.Port()
	if addr.Is4() {
		a := word4(addr)
		for i := range t.v4 {
			if r := &t.v4[i]; a&r.mask == r.net && r.lo <= port && port <= r.hi {
				return int(r.rule)
			}
		}
	} else {
		hi, lo := words6(addr)
		for i := range t.v6 {
			if r := &t.v6[i]; hi&r.maskHi == r.netHi && lo&r.maskLo == r.netLo && r.lo <= port && port <= r.hi {
				return int(r.rule)
			}
		}
	}
	panic("BUG: a policy without a rule for every destination")
}

func word4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// words6 returns the halves of an address. The zero Addr, which is no address, is ::, as it is in socket addresses.
func words6(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}
