package policy

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultUDPPort is where a host listens for the streams of all its TCP ports, and where it looks for those of others.
const DefaultUDPPort = 8277

// ProtoQUIC is the third argument of socket(2) by which a program itself asks for QUIC, whatever the rules say of others. It is the number
// that Linux's own QUIC, which is not part of it yet, has chosen.
const ProtoQUIC = 261

// Defaults of rules that say auto.
const (
	DefaultHeadStart = 150 * time.Millisecond
	DefaultRemember  = 10 * time.Minute
)

// Via says over what a connection goes.
type Via uint8

// The ways of a connection. The zero value is QUIC: who forgets to choose leaves nothing in the clear.
const (
	QUIC   Via = iota // QUIC, or it fails
	Auto              // QUIC, and TCP where nobody answers to it
	TCP               // plain TCP
	Refuse            // neither: the program's connect fails
)

var vias = []string{"quic", "auto", "tcp", "refuse"}

// String returns the word of policy files.
func (v Via) String() string { return vias[v] }

// A Decision is what becomes of one connection.
type Decision struct {
	Via        Via
	Peer       netip.AddrPort // where QUIC goes, an address and a UDP port; zero for TCP and Refuse
	Name       string         // the host name of the rule that matched, if it has one
	PeerName   string         // the host name by which the rule knows Peer: that of via=, else Name
	Identity   string         // whom Peer must prove to be: "" by the host's own settings, "pin", "sha256:HEX", a host name or a SPIFFE ID, which may end in *
	EarlyData  bool           // the program's bytes may leave in 0-RTT, where they can be replayed
	Optimistic bool           // the program's bytes may leave before the far side has accepted
	HeadStart  time.Duration  // of Auto: how long QUIC is alone
	Remember   time.Duration  // of Auto: how long an outcome is remembered
	Unresolved string         // of Refuse: the name whose address is not known (yet), of via= or of a rule above that may be meant
	Rule       string         // which rule decided, for people: where it stands, and its text
}

// A ListenDecision is how others reach one listener of the program.
type ListenDecision struct {
	QUIC  bool     // over QUIC
	TCP   bool     // over plain TCP
	UDP   uint16   // of QUIC: the UDP port
	Allow []string // of QUIC: who may connect, as Identity of [Decision]; none means everyone whom the host lets in. The policy owns it
	Rule  string   // which rule decided, for people
}

// A Policy holds the rules of one run. It is safe for concurrent use.
type Policy struct {
	ports     portMode
	protocols []int         // limit: maxProtocols
	connects  []connectRule // ends with one for every destination; limit: maxRules
	listens   []listenRule  // ends with one for every port; limit: maxRules
	rows      int           // what connects may need of a table; limit: maxRows

	table     atomic.Pointer[table]
	resolving sync.Mutex            // held by Resolve
	seen      map[string]*nameAddrs // what is known of each name of the rules; guarded by resolving; bounded by maxRules
}

// finish makes a policy of rules: it adds what is implied, and the first table.
func (p *Policy) finish() *Policy {
	if len(p.connects) == 0 || !p.connects[len(p.connects)-1].everything() {
		p.connects = append(p.connects, connectRule{})
	}
	if len(p.listens) == 0 || !p.listens[len(p.listens)-1].everything() {
		p.listens = append(p.listens, listenRule{quic: true})
	}
	p.seen = map[string]*nameAddrs{}
	for i := range p.connects {
		r := &p.connects[i]
		r.decide()
		for _, name := range r.names() {
			p.seen[name] = &nameAddrs{}
		}
	}
	for i := range p.listens {
		p.listens[i].decide()
	}
	p.table.Store(p.newTable())
	return p
}

// Connect decides about a connection to dest, which is not the program's own listener. It allocates nothing.
//
// Until a name that goes over QUIC has an address ([Policy.Resolve]), nothing that its rule stands above goes over TCP: it could be its.
func (p *Policy) Connect(dest netip.AddrPort) Decision {
	t := p.table.Load()
	i := t.find(dest)
	return p.decision(t, i, p.connects[i].via, dest)
}

// Asked decides about a connection of a socket that was made with a protocol number of [Policy.Protocols]: the program asks for QUIC, and
// gets it unless the rule for dest says refuse.
func (p *Policy) Asked(dest netip.AddrPort) Decision {
	t := p.table.Load()
	i := t.find(dest)
	if via := p.connects[i].via; via == Refuse {
		return p.decision(t, i, Refuse, dest)
	}
	return p.decision(t, i, QUIC, dest)
}

func (p *Policy) decision(t *table, i int, via Via, dest netip.AddrPort) Decision {
	r := &p.connects[i]
	d := r.decision
	d.Via = via
	if (via == TCP || via == Auto) && t.unsure[i] != "" {
		d.Via, d.Unresolved = Refuse, t.unsure[i]
		return d
	}
	if via == TCP || via == Refuse {
		return d
	}
	if r.gateway.host == "" {
		d.Peer = netip.AddrPortFrom(dest.Addr().Unmap(), p.ports.udp(dest.Port(), r.udp))
		return d
	}
	if addr := t.gateways[i]; addr.IsValid() {
		d.Peer = netip.AddrPortFrom(addr, r.gateway.port)
		return d
	}
	if d.Via = Refuse; via == Auto {
		d.Via = TCP // what auto is for: QUIC is not to be had
		return d
	}
	d.Unresolved = r.gateway.host
	return d
}

// Listen decides about a listener of the program at addr, of which only the port matters. It allocates nothing.
func (p *Policy) Listen(addr netip.AddrPort) ListenDecision {
	r := p.listenRule(addr.Port())
	d := r.decision
	if d.QUIC {
		d.UDP = p.ports.udp(addr.Port(), r.udp)
	}
	return d
}

// AskedListen decides about a listener made with a protocol number of [Policy.Protocols]: over QUIC and nothing else.
func (p *Policy) AskedListen(addr netip.AddrPort) ListenDecision {
	r := p.listenRule(addr.Port())
	d := r.decision
	d.QUIC, d.TCP = true, false
	d.UDP = p.ports.udp(addr.Port(), r.udp)
	return d
}

func (p *Policy) listenRule(port uint16) *listenRule {
	for i := range p.listens {
		if p.listens[i].ports.has(port) {
			return &p.listens[i]
		}
	}
	panic("BUG: a policy without a rule for every listener")
}

// Protocols returns the protocol numbers by which sockets ask for QUIC, ascending; [ProtoQUIC] is one of them. The caller may keep the slice.
func (p *Policy) Protocols() []int { return append([]int(nil), p.protocols...) }

// UDPPort returns the port that all listeners share, if they share one: not so with "ports same".
func (p *Policy) UDPPort() (port uint16, shared bool) { return p.ports.shared, !p.ports.same }

// Redirected returns the destinations for which a gateway is asked, so that this host needs no route to them: networks, and all addresses
// if one rule names the gateway of a host name or of everything. The caller owns the slice.
func (p *Policy) Redirected() []netip.Prefix {
	var out []netip.Prefix
	for i := range p.connects {
		switch r := &p.connects[i]; {
		case r.gateway.host == "":
		case r.dest.kind == destPrefix:
			out = append(out, r.dest.prefix)
		default:
			return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
		}
	}
	return out
}

// MustKnowListeners reports whether a shell has to hear of each listener when the program makes it: some are reached over plain TCP, or have
// a UDP port of their own. Otherwise it is enough to ask [Policy.Listen] when somebody comes.
func (p *Policy) MustKnowListeners() bool {
	if p.ports.same || len(p.ports.pairs) > 0 {
		return true
	}
	for i := range p.listens {
		if r := &p.listens[i]; r.tcp || r.udp.own() {
			return true
		}
	}
	return false
}

// String returns the policy as a file that means the same, with the defaults that apply written out.
func (p *Policy) String() string {
	rows := [][]string{{"ports", p.ports.String()}}
	for _, n := range p.protocols {
		rows = append(rows, []string{"protocol", itoa(n) + " quic"})
	}
	for i := range p.connects {
		rows = append(rows, p.connects[i].columns())
	}
	for i := range p.listens {
		rows = append(rows, p.listens[i].columns())
	}
	var width [3]int
	for _, row := range rows {
		for i := 0; i < len(row)-1 && len(row) > 2 || i < 1; i++ {
			width[i] = max(width[i], len(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-len(cell)))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
