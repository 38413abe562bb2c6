package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/internal/tcpq"
)

// A Pair is one way through a gateway: where connections come in, and where they go.
type Pair struct {
	in  inlet
	out outlet
}

// scheme is what a side speaks.
type scheme string

const (
	overTCP   scheme = "tcp"
	overQUIC  scheme = "quic"
	overSOCKS scheme = "socks5"
)

// inlet is where connections come in.
type inlet struct {
	text   string
	scheme scheme
	addr   string // HOST:PORT to listen on; of UDP if QUIC
	port   uint16 // of overQUIC: the TCP port that the dialer asks for; 0: whatever the outlet says
}

// outlet is where connections go.
type outlet struct {
	text     string
	scheme   scheme
	host     string // of the next hop: a name or an address; empty: where whoever comes in asks for
	port     uint16 // of the next hop, UDP if QUIC
	dest     target // of overQUIC: the destination beyond; zero: the next hop itself, or what whoever comes in asks for
	identity string // of overQUIC: whom the next hop must prove to be
}

// ParsePair reads the two sides of a pair, as in "tcp://127.0.0.1:8000" and "quic://gw.example/10.0.0.7:8000"; the help of quiver gateway has all
// forms.
func ParsePair(in, out string) (Pair, error) {
	i, err := parseInlet(in)
	if err != nil {
		return Pair{}, err
	}
	o, err := parseOutlet(out)
	if err != nil {
		return Pair{}, err
	}
	p := Pair{i, o}
	return p, p.check()
}

// check refuses what has no use.
func (p *Pair) check() error {
	i, o := &p.in, &p.out
	switch {
	case i.scheme == overQUIC && o.scheme == overQUIC, i.scheme != overQUIC && o.scheme == overTCP:
		return fmt.Errorf("--in %s and --out %s, want QUIC on one of the two sides", i.text, o.text)
	case i.scheme == overTCP && o.host == "":
		return fmt.Errorf("--out %s after --in %s, want a host: plain TCP does not say where it is to go", o.text, i.text)
	case i.scheme == overSOCKS && o.dest != target{}:
		return fmt.Errorf("--out %s after %s, want no destination: whoever uses the proxy names it", o.text, i.text)
	case i.port != 0 && o.host == "":
		return fmt.Errorf("--in %s before --out %s, want no TCP port: the far side names it", i.text, o.text)
	}
	return nil
}

// String returns the pair as arrows.
func (p Pair) String() string { return p.in.text + " > " + p.out.text }

// parseInlet reads tcp://[HOST]:PORT, socks5://[HOST]:PORT or quic://[HOST][:PORT][/PORT].
func parseInlet(text string) (inlet, error) {
	i := inlet{text: text}
	kind, rest, ok := strings.Cut(text, "://")
	i.scheme = scheme(kind)
	rest, query, _ := strings.Cut(rest, "?")
	rest, path, _ := strings.Cut(rest, "/")
	want := kind + "://[HOST]:PORT"
	fallback := uint16(0)
	switch {
	case !ok || i.scheme != overTCP && i.scheme != overSOCKS && i.scheme != overQUIC:
		return i, fmt.Errorf("--in %q, want tcp://…, socks5://… or quic://…", text)
	case i.scheme == overQUIC:
		want, fallback = "quic://[HOST][:PORT][/PORT]", tcpq.DefaultPort
	}
	host, port, err := hostPort(rest, fallback, true)
	if err == nil && path != "" {
		if i.port, err = parsePort(path); err == nil && i.scheme != overQUIC {
			err = fmt.Errorf("nothing may follow the port")
		}
	}
	if err == nil && query != "" {
		err = fmt.Errorf("nothing may follow ?")
	}
	if err != nil {
		return i, fmt.Errorf("--in %q: %w, want %s", text, err, want)
	}
	i.addr = net.JoinHostPort(host, strconv.Itoa(int(port)))
	return i, nil
}

// parseOutlet reads tcp://[HOST:PORT] or quic://[HOST[:PORT]][/DEST:PORT][?identity=ID].
func parseOutlet(text string) (outlet, error) {
	o := outlet{text: text}
	kind, rest, ok := strings.Cut(text, "://")
	o.scheme = scheme(kind)
	rest, query, _ := strings.Cut(rest, "?")
	rest, path, _ := strings.Cut(rest, "/")
	var err error
	switch {
	case !ok || o.scheme != overTCP && o.scheme != overQUIC:
		return o, fmt.Errorf("--out %q, want quic://… or tcp://…", text)
	case o.scheme == overTCP:
		if path != "" || query != "" {
			err = fmt.Errorf("nothing may follow the port")
		} else if rest != "" {
			o.host, o.port, err = hostPort(rest, 0, false)
		}
		if err != nil {
			return o, fmt.Errorf("--out %q: %w, want tcp://HOST:PORT, or tcp:// for where the far side says", text, err)
		}
		return o, nil
	}
	if rest != "" {
		o.host, o.port, err = hostPort(rest, tcpq.DefaultPort, false)
	}
	if err == nil && path != "" {
		o.dest, err = o.destination(path)
	}
	if err == nil && query != "" {
		if o.identity, ok = strings.CutPrefix(query, "identity="); !ok || o.identity == "" {
			err = fmt.Errorf("unknown option %q", query)
		}
	}
	if err != nil {
		return o, fmt.Errorf("--out %q: %w, want quic://[HOST[:PORT]][/DEST:PORT][?identity=ID]", text, err)
	}
	return o, nil
}

// destination reads what follows the next hop.
func (o *outlet) destination(path string) (target, error) {
	if o.host == "" {
		return target{}, fmt.Errorf("a destination without a host before it")
	}
	if port, err := parsePort(path); err == nil {
		return target{port: port}, nil
	}
	return authority(path)
}

// beyond returns where a connection goes that says nothing of it itself, and came in at a port.
func (o *outlet) beyond(port uint16) target {
	t := o.dest
	if t.port == 0 {
		t.port = port
	}
	if t.name == "" && !t.addr.IsValid() {
		next, _ := newTarget(o.host, t.port) // a host, since it was read as such
		return next
	}
	return t
}

// hostPort reads HOST:PORT. A port of 0 is for tests, and for nobody else to find.
func hostPort(s string, fallback uint16, listen bool) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil && fallback != 0 {
		host, p, err = net.SplitHostPort(s + ":" + strconv.Itoa(int(fallback)))
	}
	if err != nil {
		return "", 0, fmt.Errorf("no port")
	}
	if port, err = parsePort(p); err != nil && (!listen || p != "0") {
		return "", 0, err
	}
	if host == "" && listen {
		return "", port, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String(), port, nil
	}
	if !tcpq.ValidName(host) {
		return "", 0, fmt.Errorf("%q is no host", host)
	}
	return host, port, nil
}

func parsePort(s string) (uint16, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 || s[0] == '+' {
		return 0, fmt.Errorf("%q is no port", s)
	}
	return uint16(port), nil
}
