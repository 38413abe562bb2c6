package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// span is a range of TCP ports, both ends in it.
type span struct{ lo, hi uint16 }

// ports is a set of TCP ports, sorted and without overlap; nil is every port.
type ports []span // limit: maxSpans

func (p ports) has(port uint16) bool {
	for _, s := range p {
		if s.lo <= port && port <= s.hi {
			return true
		}
	}
	return p == nil
}

// covers reports whether every port of q is one of p.
func (p ports) covers(q ports) bool {
	if p == nil {
		return true
	}
	for _, s := range q {
		if !slices.ContainsFunc(p, func(in span) bool { return in.lo <= s.lo && s.hi <= in.hi }) {
			return false
		}
	}
	return q != nil
}

// normal sorts the spans and joins those that touch. All ports together are no restriction.
func (p ports) normal() ports {
	slices.SortFunc(p, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	out := p[:0]
	for _, s := range p {
		if n := len(out); n > 0 && int(s.lo) <= int(out[n-1].hi)+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	if len(out) == 1 && out[0].lo <= 1 && out[0].hi == 65535 {
		return nil
	}
	return out
}

// String returns the set as files have it, "443,8000-8100".
func (p ports) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(itoa(int(s.lo)))
		if s.hi != s.lo {
			b.WriteString("-" + itoa(int(s.hi)))
		}
	}
	return b.String()
}

func (p ports) suffix() string {
	if p == nil {
		return ""
	}
	return " port " + p.String()
}

const wantPorts = "ports from 1 to 65535 such as 443 or 443,8000-8100"

// parsePorts reads a list of ports and ranges.
func parsePorts(s string) (ports, *fault) {
	var out ports
	for item := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(item, "-")
		lo, ok := parsePort(first)
		hi := lo
		if ok && ranged {
			hi, ok = parsePort(last)
		}
		switch {
		case !ok:
			return nil, &fault{word: item, want: wantPorts}
		case hi < lo:
			return nil, &fault{word: item, want: "the lower port first", hint: "write " + last + "-" + first}
		case len(out) == maxSpans:
			return nil, &fault{got: "more than " + itoa(maxSpans) + " ranges", want: "at most " + itoa(maxSpans), hint: "write ranges, or a rule more"}
		}
		out = append(out, span{lo, hi})
	}
	return out.normal(), nil
}

// parsePort reads a port that is not 0, in decimal and without a sign.
func parsePort(s string) (uint16, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0
}

// udpChoice is what one rule says about the UDP port; the zero value is what all say together.
type udpChoice struct {
	how  udpHow
	port uint16 // of udpFixed
}

type udpHow uint8

const (
	udpInherit udpHow = iota
	udpShared
	udpSame
	udpFixed
)

func (c udpChoice) String() string {
	switch c.how {
	case udpShared:
		return "shared"
	case udpSame:
		return "same"
	case udpFixed:
		return itoa(int(c.port))
	}
	return ""
}

// own reports whether a listener with this choice may have another port than the shared one.
func (c udpChoice) own() bool { return c.how == udpSame || c.how == udpFixed }

// parseUDPChoice reads shared, same or a port.
func parseUDPChoice(s string) (udpChoice, *fault) {
	switch s {
	case "shared":
		return udpChoice{how: udpShared}, nil
	case "same":
		return udpChoice{how: udpSame}, nil
	}
	if port, ok := parsePort(s); ok {
		return udpChoice{udpFixed, port}, nil
	}
	return udpChoice{}, &fault{word: s, want: "shared, same or a UDP port from 1 to 65535", hint: closest(s, "shared", "same")}
}

// portMode says which UDP port belongs to a TCP port, for listeners and for peers.
type portMode struct {
	same   bool
	shared uint16
	pairs  []portPair // sorted by TCP port; limit: maxPairs
}

type portPair struct{ tcp, udp uint16 }

func (m *portMode) udp(tcp uint16, c udpChoice) uint16 {
	switch c.how {
	case udpFixed:
		return c.port
	case udpShared:
		return m.shared
	case udpSame:
		return tcp
	}
	if i, ok := m.pair(tcp); ok {
		return m.pairs[i].udp
	}
	if m.same {
		return tcp
	}
	return m.shared
}

func (m *portMode) pair(tcp uint16) (int, bool) {
	return slices.BinarySearchFunc(m.pairs, tcp, func(p portPair, tcp uint16) int { return cmp.Compare(p.tcp, tcp) })
}

// add notes one TCP=UDP pair.
func (m *portMode) add(s string) *fault {
	t, u, _ := strings.Cut(s, "=")
	tcp, ok1 := parsePort(t)
	udp, ok2 := parsePort(u)
	if !ok1 || !ok2 {
		return &fault{word: s, want: "TCP=UDP, two ports from 1 to 65535, such as 8000=9443"}
	}
	i, twice := m.pair(tcp)
	if twice {
		return &fault{word: s, want: "one UDP port for TCP port " + t, hint: "before it stands " + t + "=" + itoa(int(m.pairs[i].udp))}
	}
	if len(m.pairs) == maxPairs {
		return &fault{got: "more than " + itoa(maxPairs) + " pairs", want: "at most " + itoa(maxPairs), hint: "ports same maps every port to itself"}
	}
	m.pairs = slices.Insert(m.pairs, i, portPair{tcp, udp})
	return nil
}

// String returns what stands behind "ports" in a file.
func (m *portMode) String() string {
	out := "shared"
	if m.same {
		out = "same"
	}
	out += " udp=" + itoa(int(m.shared))
	for _, p := range m.pairs {
		out += " " + itoa(int(p.tcp)) + "=" + itoa(int(p.udp))
	}
	return out
}
