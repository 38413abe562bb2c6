package identity

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

// Host is what a line of a file of known hosts says.
type Host struct {
	Peer  netip.AddrPort // address and UDP port
	Key   Pin
	Since time.Time // the day on which it was learned; zero = not said
	Line  int       // from 1; 0 = it could not be written
}

// hostsHead begins a new file.
const hostsHead = "# Keys of peers, one a line: address and UDP port, key, since when. See quiver-run(1).\n"

// ParseHosts reads a file of known hosts; name is its name for errors, which are
// FileErrors. Each line is "ADDR:PORT sha256:HEX [YYYY-MM-DD]"; empty lines and
// what follows a # are not read. A peer may have several lines, and then any of
// these keys.
func ParseHosts(name string, text []byte) (list []Host, err error) {
	line := 0
	for part := range bytes.Lines(text) {
		line++
		h, ok, err := parseHost(string(part))
		if err != nil {
			return nil, &FileError{Path: name, Line: line, Err: err, hint: fmt.Sprintf("mend or remove line %d", line)}
		}
		if h.Line = line; ok {
			list = append(list, h)
		}
	}
	return list, nil
}

// parseHost reads a line. ok is false if it says nothing.
func parseHost(line string) (h Host, ok bool, err error) {
	said, _, _ := strings.Cut(line, "#")
	words := strings.Fields(said)
	if len(words) == 0 {
		return h, false, nil
	}
	if len(words) < 2 || len(words) > 3 {
		return h, false, fmt.Errorf("got %d words, want ADDR:PORT sha256:HEX [YYYY-MM-DD]", len(words))
	}
	peer, err := netip.ParseAddrPort(words[0])
	if err != nil || peer.Port() == 0 {
		return h, false, fmt.Errorf("peer %q: want an address and a UDP port, such as 192.0.2.1:8277 or [2001:db8::1]:8277", words[0])
	}
	h.Peer = canonical(peer)
	if h.Key, err = known.ParsePin(words[1]); err != nil {
		return h, false, err
	}
	if len(words) == 3 {
		if h.Since, err = time.Parse(time.DateOnly, words[2]); err != nil {
			return h, false, fmt.Errorf("day %q: want one such as 2026-05-01", words[2])
		}
	}
	return h, true, nil
}

// String returns the line without its end.
func (h Host) String() string {
	line := h.Peer.String() + " " + h.Key.Tagged()
	if !h.Since.IsZero() {
		line += " " + h.Since.UTC().Format(time.DateOnly)
	}
	return line
}

// canonical is the form in which peers are compared.
func canonical(peer netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
}
