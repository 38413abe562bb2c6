package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
)

// The PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt §2.2): a header before the bytes of a TCP connection which says whose it is.

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = len(proxySignature) + 4 // version and command, family, length
	maxProxyHeader = 4096                    // limit: bytes of a header, of which the sender may use 65551
)

// Commands and families, each with what surrounds it in its byte.
const (
	proxyLocal = 0x20 // the proxy speaks for itself
	proxyProxy = 0x21

	proxyUnspecified = 0x00
	proxyTCP4        = 0x11
	proxyTCP6        = 0x21
	proxyUnix        = 0x31

	proxyCRC32C = 0x03 // type of a TLV
)

// A proxyError says why a header is none.
type proxyError struct{ why string }

func (e *proxyError) Error() string { return "PROXY protocol: " + e.why }

func badProxy(format string, args ...any) error { return &proxyError{fmt.Sprintf(format, args...)} }

// appendProxy appends a header for a TCP connection from src to dst. If one of them is IPv6, the other is written as such, too.
func appendProxy(b []byte, src, dst netip.AddrPort) []byte {
	b = append(b, proxySignature...)
	s, d := src.Addr().Unmap(), dst.Addr().Unmap()
	if s.Is4() && d.Is4() {
		b = append(b, proxyProxy, proxyTCP4, 0, 12)
		b = append(append(b, s.AsSlice()...), d.AsSlice()...)
	} else {
		s, d := s.As16(), d.As16()
		b = append(b, proxyProxy, proxyTCP6, 0, 36)
		b = append(append(b, s[:]...), d[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port())
}

// readProxy takes a header off r and not a byte more. The addresses are zero where the proxy speaks for itself, or knows none.
func readProxy(r io.Reader) (src, dst netip.AddrPort, err error) {
	var fixed [proxyFixed]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return src, dst, ended(err, "PROXY protocol: the connection ended in the header")
	}
	size, err := proxySize(fixed[:])
	if err != nil {
		return src, dst, err
	}
	header := append(fixed[:], make([]byte, size)...)
	if _, err := io.ReadFull(r, header[proxyFixed:]); err != nil {
		return src, dst, ended(err, "PROXY protocol: the connection ended in the header")
	}
	return parseProxy(header)
}

// ended gives the end of the input a sentence, and leaves other errors, such as a time-out, alone.
func ended(err error, text string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New(text)
	}
	return err
}

// proxySize returns how many bytes follow the fixed part.
func proxySize(fixed []byte) (int, error) {
	switch {
	case string(fixed[:6]) == "PROXY ":
		return 0, badProxy("version 1, want version 2 (send-proxy-v2 in haproxy)")
	case string(fixed[:len(proxySignature)]) != proxySignature:
		return 0, badProxy("no header")
	case fixed[12] != proxyLocal && fixed[12] != proxyProxy:
		return 0, badProxy("version and command %#x, want 0x20 or 0x21", fixed[12])
	}
	size := int(binary.BigEndian.Uint16(fixed[14:]))
	if proxyFixed+size > maxProxyHeader {
		return 0, badProxy("header of %d bytes, want at most %d", proxyFixed+size, maxProxyHeader)
	}
	return size, nil
}

// parseProxy reads a whole header.
func parseProxy(header []byte) (src, dst netip.AddrPort, err error) {
	family, rest := header[13], header[proxyFixed:]
	size, known := map[byte]int{proxyUnspecified: 0, proxyTCP4: 12, proxyTCP6: 36, proxyUnix: 216}[family]
	switch {
	case header[12] == proxyLocal:
		return src, dst, nil // and whatever follows is to be skipped
	case !known:
		return src, dst, badProxy("family and protocol %#x, want TCP", family)
	case len(rest) < size:
		return src, dst, badProxy("%d bytes of addresses, want %d", len(rest), size)
	case family == proxyUnspecified:
		return src, dst, nil
	}
	if err := checkTLVs(header, proxyFixed+size); err != nil || family == proxyUnix {
		return src, dst, err
	}
	half := (size - 4) / 2
	port := func(at int) uint16 { return binary.BigEndian.Uint16(rest[at:]) }
	s, _ := netip.AddrFromSlice(rest[:half])
	d, _ := netip.AddrFromSlice(rest[half : 2*half])
	return netip.AddrPortFrom(s.Unmap(), port(2*half)), netip.AddrPortFrom(d.Unmap(), port(2*half+2)), nil
}

// checkTLVs reads what stands behind the addresses, and compares the checksum if there is one.
func checkTLVs(header []byte, at int) error {
	for at < len(header) {
		if len(header)-at < 3 {
			return badProxy("a field without length at byte %d", at)
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += 3
		if size > len(header)-at {
			return badProxy("field %#x of %d bytes, where %d are left", kind, size, len(header)-at)
		}
		if kind == proxyCRC32C {
			if size != 4 {
				return badProxy("checksum of %d bytes, want 4", size)
			}
			want := binary.BigEndian.Uint32(header[at:])
			blank := append([]byte(nil), header...)
			clear(blank[at : at+4])
			if got := crc32.Checksum(blank, crc32.MakeTable(crc32.Castagnoli)); got != want {
				return badProxy("checksum %#x, want %#x", want, got)
			}
		}
		at += size
	}
	return nil
}
