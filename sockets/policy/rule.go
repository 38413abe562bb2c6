package policy

import (
	"strconv"
	"strings"
	"time"
)

// connectRule is one line about connections. The zero value is what no line decides: everything over QUIC.
type connectRule struct {
	from       string // where it stands, as in "policy.conf:3" or "--to"; empty: implied
	line       int    // of the file
	dest       dest
	ports      ports
	via        Via
	identity   string
	gateway    hostPort
	headStart  time.Duration
	remember   time.Duration
	earlyData  bool
	optimistic bool
	udp        udpChoice
	decision   Decision // all of it but Via and Peer
}

// listenRule is one line about listeners.
type listenRule struct {
	from      string
	line      int
	ports     ports
	quic, tcp bool
	allow     []string // limit: maxAllow
	udp       udpChoice
	decision  ListenDecision // all of it but UDP
}

func (r *connectRule) everything() bool { return r.dest.kind == destAny && r.ports == nil }

func (r *listenRule) everything() bool { return r.ports == nil }

// covers reports whether r leaves nothing to a later rule.
func (r *connectRule) covers(later *connectRule) bool {
	return r.dest.covers(later.dest) && r.ports.covers(later.ports)
}

// names are the host names that the rule needs the addresses of.
func (r *connectRule) names() []string {
	var out []string
	if r.dest.kind == destName {
		out = append(out, r.dest.name)
	}
	if r.gateway.host != "" && !r.gateway.addr().IsValid() {
		out = append(out, r.gateway.host)
	}
	return out
}

func (r *connectRule) decide() {
	r.decision = Decision{
		Name: r.dest.name, PeerName: r.peerName(), Identity: r.identity, EarlyData: r.earlyData, Optimistic: r.optimistic,
		HeadStart: r.headStart, Remember: r.remember, Rule: ruleText(r.from, r.columns()),
	}
}

// peerName is the name of who is called, if the rule has one.
func (r *connectRule) peerName() string {
	switch {
	case r.gateway.host == "":
		return r.dest.name
	case r.gateway.addr().IsValid():
		return ""
	}
	return r.gateway.host
}

func (r *listenRule) decide() {
	r.decision = ListenDecision{QUIC: r.quic, TCP: r.tcp, Allow: r.allow, Rule: ruleText(r.from, r.columns())}
}

// ruleText says which rule this is.
func ruleText(from string, columns []string) string {
	text := strings.Join(columns, " ")
	if from == "" {
		return "default: " + text
	}
	return from + ": " + text
}

// columns returns the words of the rule, options together in the last.
func (r *connectRule) columns() []string {
	out := []string{"connect", r.dest.String() + r.ports.suffix(), r.via.String()}
	var opts []string
	add := func(key, value string) {
		if value != "" {
			opts = append(opts, key+"="+value)
		}
	}
	if pin, ok := strings.CutPrefix(r.identity, pinPrefix); ok {
		add("pin", pinPrefix+pin)
	} else {
		add("identity", r.identity)
	}
	add("via", r.gateway.String())
	add("ports", r.udp.String())
	if r.via == Auto {
		add("head-start", duration(r.headStart))
		add("remember", duration(r.remember))
	}
	add("early-data", yes(r.earlyData))
	add("optimistic", yes(r.optimistic))
	return withOptions(out, opts)
}

func (r *listenRule) columns() []string {
	what := "default"
	if r.ports != nil {
		what = strings.TrimPrefix(r.ports.suffix(), " ")
	}
	how := map[[2]bool]string{{true, false}: "quic", {true, true}: "quic+tcp", {false, true}: "tcp"}[[2]bool{r.quic, r.tcp}]
	var opts []string
	if len(r.allow) > 0 {
		opts = append(opts, "allow="+strings.Join(r.allow, ","))
	}
	if s := r.udp.String(); s != "" {
		opts = append(opts, "udp="+s)
	}
	return withOptions([]string{"listen", what, how}, opts)
}

func withOptions(columns, opts []string) []string {
	if len(opts) == 0 {
		return columns
	}
	return append(columns, strings.Join(opts, " "))
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }

// duration writes d without the zeros that time.Duration prints: 10m, not 10m0s.
func duration(d time.Duration) string {
	s := d.String()
	if cut, ok := strings.CutSuffix(s, "m0s"); ok {
		s = cut + "m"
	}
	if cut, ok := strings.CutSuffix(s, "h0m"); ok {
		s = cut + "h"
	}
	return s
}
