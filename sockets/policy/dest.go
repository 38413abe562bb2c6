package policy

import (
	"net"
	"net/netip"
	"strings"
)

// dest is what a rule is about.
type dest struct {
	kind   destKind
	prefix netip.Prefix // of destPrefix, masked
	name   string       // of destName, in lower case
}

type destKind uint8

const (
	destAny destKind = iota
	destPrefix
	destName
)

// String returns d as files have it; an address is written without its length.
func (d dest) String() string {
	switch {
	case d.kind == destAny:
		return "default"
	case d.kind == destName:
		return d.name
	case d.prefix.IsSingleIP():
		return d.prefix.Addr().String()
	}
	return d.prefix.String()
}

// covers reports whether every address of e is one of d, as far as that is known without resolving names.
func (d dest) covers(e dest) bool {
	switch d.kind {
	case destAny:
		return true
	case destPrefix:
		return e.kind == destPrefix && d.prefix.Bits() <= e.prefix.Bits() && d.prefix.Contains(e.prefix.Addr())
	}
	return d == e
}

const wantDest = "a network such as 10.0.0.0/8, an address, a host name or default"

// parseDest reads the destination of a rule.
func parseDest(s string) (dest, *fault) {
	switch {
	case s == "default":
		return dest{}, nil
	case s == "port":
		return dest{}, &fault{word: s, want: wantDest, hint: "for every address write: connect default port …"}
	case strings.Contains(s, "/"):
		return parsePrefix(s)
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return dest{}, &fault{word: s, want: "an address without a zone", hint: "write " + addr.WithZone("").String()}
		}
		addr = addr.Unmap()
		return dest{kind: destPrefix, prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	if hint := splitHint(s); hint != "" {
		return dest{}, &fault{word: s, want: wantDest, hint: hint}
	}
	name, f := parseName(s)
	if f != nil {
		f.want = wantDest
		if f.hint == "" {
			f.hint = closest(s, "default")
		}
	}
	return dest{kind: destName, name: name}, f
}

// splitHint says how DEST:PORTS is written in a file.
func splitHint(s string) string {
	host, list, err := net.SplitHostPort(s)
	if err != nil {
		return ""
	}
	d, bad := parseDest(host)
	port, badPort := parsePorts(list)
	if bad != nil || badPort != nil {
		return ""
	}
	return "write: " + d.String() + port.suffix()
}

func parsePrefix(s string) (dest, *fault) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return dest{}, &fault{word: s, want: "a network such as 10.0.0.0/8 or fd00::/8"}
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		hint := "write the IPv4 network"
		if prefix.Bits() >= 96 {
			hint = "write " + netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96).String()
		}
		return dest{}, &fault{word: s, want: "IPv4 networks as such", hint: hint}
	}
	if masked := prefix.Masked(); masked != prefix {
		return dest{}, &fault{word: s, want: "a network, whose address ends where its length does", hint: "write " + masked.String() + ", or the address alone"}
	}
	return dest{kind: destPrefix, prefix: prefix}, nil
}

// parseName reads a host name: labels of letters, digits, hyphens and underscores (RFC 1123 §2.1), the last not a number, so that no mistyped
// address is one.
func parseName(s string) (string, *fault) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	bad := &fault{word: s, want: "a host name"}
	if name == "default" || name == "port" || name == "pin" {
		bad.hint = "the word " + name + " is no host name; write it in lower case where it is meant"
		return "", bad
	}
	if strings.HasPrefix(name, "*.") {
		bad.hint = "a name is looked up, so it has no *; write the networks instead"
		return "", bad
	}
	if name == "" || len(name) > 253 {
		return "", bad
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", bad
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				if c >= 0x80 {
					bad.hint = "write names outside of ASCII as the DNS has them, xn--…"
				}
				return "", bad
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", bad
	}
	return name, nil
}

// hostPort is a UDP port of a host: a name or an address.
type hostPort struct {
	host string
	port uint16
}

func (h hostPort) String() string {
	if h.host == "" {
		return ""
	}
	return net.JoinHostPort(h.host, itoa(int(h.port)))
}

// addr returns the address, if the host is one.
func (h hostPort) addr() netip.Addr {
	addr, _ := netip.ParseAddr(h.host)
	return addr
}

// parseHostPort reads HOST:PORT.
func parseHostPort(s string) (hostPort, *fault) {
	bad := &fault{word: s, want: "HOST:PORT, the UDP port of a gateway, such as gw.example:" + itoa(DefaultUDPPort)}
	host, p, err := net.SplitHostPort(s)
	port, ok := parsePort(p)
	if err != nil || !ok {
		if _, f := parseDest(s); f == nil {
			bad.hint = "write " + net.JoinHostPort(s, itoa(DefaultUDPPort))
		}
		return hostPort{}, bad
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return hostPort{addr.Unmap().String(), port}, nil
	}
	name, f := parseName(host)
	if f != nil {
		bad.hint = f.hint
		return hostPort{}, bad
	}
	return hostPort{name, port}, nil
}
