package policy

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Flags are those of a command, as given. The zero value is what a command without any means: everything over QUIC. A flag that was not given
// is empty here, also if the command has a default for it: what is given beside Policy is a contradiction.
//
// To and Listen choose what goes over QUIC on their side, and the rest of that side is plain TCP: --to says nothing of listeners, --listen
// nothing of connections.
type Flags struct {
	Policy   string   // a file, which says it all: none of the others beside it but UDPPort
	To       []string // destinations over QUIC: HOST, ADDRESS or CIDR, each with :PORTS or without, commas between
	Listen   []string // ports of listeners over QUIC: 8000,9000-9010 or all
	Fallback string   // "tcp": what would be quic is auto, and quic+tcp for listeners; "fail" and "": it is not
	Ports    string   // shared (default) or same; and TCP=UDP pairs, commas between
	UDPPort  int      // the shared UDP port, here and of peers; 0: DefaultUDPPort
	Proto    []string // N=quic: sockets with this protocol number go over QUIC; what no flag names is plain TCP then, on both sides
}

// FromFlags makes a policy of flags. Every error is the user's and is [Errors], but for a file that cannot be read.
func FromFlags(f Flags) (*Policy, error) {
	b := builder{Flags: f, policy: &Policy{ports: portMode{shared: DefaultUDPPort}, protocols: []int{ProtoQUIC}}}
	if f.Policy != "" {
		return b.fromFile()
	}
	b.empty()
	b.portFlags()
	b.protocolFlags()
	b.fallback()
	b.destinations()
	b.listeners()
	if len(b.errs) > 0 {
		return nil, b.errs[:min(len(b.errs), maxErrors)]
	}
	return b.policy.finish(), nil
}

type builder struct {
	Flags
	policy *Policy
	auto   bool
	errs   Errors // bounded by the command line
}

func (b *builder) fail(flag string, f *fault) {
	if f != nil {
		b.errs = append(b.errs, f.at(flag, 0, 0))
	}
}

// contradict refuses two flags together.
func (b *builder) contradict(flag, other, hint string) {
	b.errs = append(b.errs, &Error{In: flag, Got: other + " as well", Want: "one of the two", Hint: hint})
}

// empty refuses flags that were given without saying anything, as from a variable of a shell that is not set: --to "" must not mean that
// nothing goes over QUIC.
func (b *builder) empty() {
	for _, list := range []struct {
		flag   string
		values []string
	}{{"--to", b.To}, {"--listen", b.Flags.Listen}, {"--proto", b.Proto}} {
		if len(list.values) > 0 && len(items(list.values)) == 0 {
			b.fail(list.flag, &fault{want: "a list", hint: "without the flag everything goes over QUIC"})
		}
	}
}

func (b *builder) fromFile() (*Policy, error) {
	for _, other := range []struct {
		flag  string
		given bool
	}{{"--to", len(b.To) > 0}, {"--listen", len(b.Flags.Listen) > 0}, {"--fallback", b.Fallback != ""}, {"--ports", b.Ports != ""}, {"--proto", len(b.Proto) > 0}} {
		if other.given {
			b.contradict("--policy", other.flag, "write it into "+b.Policy)
		}
	}
	if len(b.errs) > 0 {
		return nil, b.errs
	}
	text, err := readText(b.Policy)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	p, err := Parse(b.Policy, text)
	if err != nil || b.UDPPort == 0 {
		return p, err
	}
	if p.ports.same {
		b.contradict("--udp-port", "ports same in "+b.Policy, "")
		return nil, b.errs
	}
	b.policy = p
	b.udpPort()
	if len(b.errs) > 0 {
		return nil, b.errs
	}
	return p, nil
}

// readText reads a file, but not much more of it than Parse takes: it may be a device.
func readText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxText+1))
}

func (b *builder) portFlags() {
	for i, item := range items([]string{b.Ports}) {
		switch {
		case item == "same" && i == 0:
			b.policy.ports.same = true
		case item == "shared" && i == 0:
		case strings.Contains(item, "="):
			b.fail("--ports", b.policy.ports.add(item))
		default:
			b.fail("--ports", &fault{word: item, want: "shared or same, then TCP=UDP pairs such as 8000=9443", hint: closest(item, "shared", "same")})
		}
	}
	if b.UDPPort != 0 && b.policy.ports.same {
		b.contradict("--udp-port", "--ports same", "with same every TCP port has the UDP port of its own number")
	}
	b.udpPort()
}

func (b *builder) udpPort() {
	if b.UDPPort == 0 {
		return
	}
	if b.UDPPort < 0 || b.UDPPort > 65535 {
		b.fail("--udp-port", &fault{word: itoa(b.UDPPort), want: "a port from 1 to 65535"})
		return
	}
	b.policy.ports.shared = uint16(b.UDPPort)
}

func (b *builder) protocolFlags() {
	for _, item := range items(b.Proto) {
		number, how, _ := strings.Cut(item, "=")
		if how != "quic" {
			b.fail("--proto", &fault{word: item, want: "N=quic", hint: "the other sockets go as --to and --listen say"})
			continue
		}
		n, f := parseProtocol(number)
		if f == nil {
			f = b.policy.addProtocol(n)
		}
		b.fail("--proto", f)
	}
}

func (b *builder) fallback() {
	switch b.Fallback {
	case "tcp":
		b.auto = true
	case "", "fail":
	default:
		b.fail("--fallback", &fault{word: b.Fallback, want: "tcp or fail", hint: closest(b.Fallback, "tcp", "fail")})
	}
}

// quicRule is a rule about connections that go over QUIC, as far as --fallback lets them.
func (b *builder) quicRule(from string) connectRule {
	r := connectRule{from: from}
	if b.auto {
		r.via, r.headStart, r.remember = Auto, DefaultHeadStart, DefaultRemember
	}
	return r
}

func (b *builder) destinations() {
	p := b.policy
	b.rules("--to", b.To)
	rest := b.quicRule("")
	switch {
	case len(b.To) > 0:
		rest = connectRule{from: "not in --to", via: TCP}
	case len(b.Proto) > 0:
		rest = connectRule{from: "not of --proto", via: TCP}
	case b.auto:
		rest.from = "--fallback"
	}
	p.connects = append(p.connects, rest)
}

// rules adds a rule for each item of a list.
func (b *builder) rules(flag string, list []string) {
	p := b.policy
	for _, item := range items(list) {
		r := b.quicRule(flag)
		var f *fault
		if r.dest, r.ports, f = parseTo(item); f != nil {
			b.fail(flag, f)
			continue
		}
		if slices.ContainsFunc(p.connects, func(earlier connectRule) bool { return earlier.covers(&r) }) {
			continue // all of the list go the same way
		}
		b.fail(flag, p.addConnect(&r))
	}
}

// parseTo reads HOST, ADDRESS or CIDR, with :PORTS or without.
func parseTo(s string) (dest, ports, *fault) {
	if s == "all" || s == "default" {
		return dest{}, nil, &fault{word: s, want: "destinations, such as 10.0.0.7:8000 or 10.0.0.0/8", hint: "without --to everything goes over QUIC"}
	}
	host, list := s, ""
	if _, err := netip.ParseAddr(s); err != nil {
		if h, p, err := net.SplitHostPort(s); err == nil {
			host, list = h, p
		} else if h, ok := bracketed(s); ok {
			host = h
		}
	}
	d, f := parseDest(host)
	if f != nil {
		f.want = "HOST, ADDRESS or CIDR, with :PORT or without, such as 10.0.0.7:8000"
		return d, nil, f
	}
	if host == s || list == "" && strings.HasSuffix(s, "]") {
		return d, nil, nil
	}
	port, f := parsePorts(list)
	if f != nil {
		f.word = s
	}
	return d, port, f
}

// bracketed returns what is in [ ].
func bracketed(s string) (string, bool) {
	in, ok := strings.CutPrefix(s, "[")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(in, "]")
}

func (b *builder) listeners() {
	p := b.policy
	var chosen ports
	all := false
	for _, item := range items(b.Flags.Listen) {
		if item == "all" {
			all = true
			continue
		}
		list, f := parsePorts(item)
		if f != nil {
			f.want += ", or all"
			f.hint = closest(item, "all")
		}
		b.fail("--listen", f)
		chosen = append(chosen, list...)
		all = all || f == nil && list == nil
	}
	rule := listenRule{from: "--listen", quic: true, tcp: b.auto}
	switch {
	case len(b.errs) > 0:
	case all && len(chosen) > 0:
		b.fail("--listen", &fault{got: "all and port " + chosen.normal().String(), want: "one of the two"})
	case all:
		p.listens = append(p.listens, rule)
	case len(chosen) > 0:
		if rule.ports = chosen.normal(); len(rule.ports) > maxSpans {
			b.fail("--listen", &fault{got: "more than " + itoa(maxSpans) + " ranges", want: "at most " + itoa(maxSpans), hint: "a --policy file takes more, in several lines"})
		}
		p.listens = append(p.listens, rule, listenRule{from: "not in --listen", tcp: true})
	case len(b.Proto) > 0:
		p.listens = append(p.listens, listenRule{from: "not of --proto", tcp: true})
	case b.auto:
		rule.from = "--fallback"
		p.listens = append(p.listens, rule)
	}
}

// items splits lists at commas and leaves out what is empty.
func items(lists []string) (out []string) {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
	}
	return out
}
