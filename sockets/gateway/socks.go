package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/seed51309289/quiver/internal/tcpq"
)

// SOCKS5 (RFC 1928): of its three commands CONNECT, with addresses of both families and names; passwords (RFC 1929) if there are users.

const (
	socksVersion = 5

	socksNoAuth   = 0x00
	socksPassword = 0x02
	socksNone     = 0xff // of the methods offered

	socksConnect = 1

	socksIPv4 = 1
	socksName = 3
	socksIPv6 = 4
)

// Replies of RFC 1928 §6.
const (
	socksGranted        = 0
	socksFailed         = 1
	socksDenied         = 2
	socksNetUnreachable = 3
	socksUnreachable    = 4
	socksRefused        = 5
	socksTimedOut       = 6 // "TTL expired"
	socksNoCommand      = 7
	socksNoAddressType  = 8
)

// A target is what somebody asks a proxy for.
type target struct {
	name string     // a host name that is looked up at the far side; or
	addr netip.Addr // an address
	port uint16
}

func (t target) String() string {
	if t.name != "" {
		return fmt.Sprintf("%s:%d", t.name, t.port)
	}
	return netip.AddrPortFrom(t.addr, t.port).String()
}

// newTarget is for a host that may be an address in words.
func newTarget(host string, port uint16) (target, error) {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return target{addr: addr.Unmap(), port: port}, nil
	}
	host = strings.TrimSuffix(host, ".")
	if !tcpq.ValidName(host) {
		return target{}, fmt.Errorf("%.100q is no host name", host)
	}
	return target{name: host, port: port}, nil
}

// errRude says that a client broke its protocol; it was told what is told.
var errRude = errors.New("not understood")

// socks takes a request off rw, of which the first byte, the version, was read. It answers where the request cannot be; else the caller does,
// with socksReply.
func socks(rw io.ReadWriter, users Users) (target, error) {
	if err := socksMethod(rw, users); err != nil {
		return target{}, err
	}
	var head [4]byte // version, command, reserved, address type
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return target{}, ended(err, "SOCKS: the connection ended before the request")
	}
	if head[0] != socksVersion {
		return target{}, fmt.Errorf("SOCKS: request of version %d: %w", head[0], errRude)
	}
	t, err := socksTarget(rw, head[3])
	switch rude := errors.Is(err, errRude); {
	case err != nil && !rude:
	case head[1] != socksConnect:
		rw.Write(socksReply(socksNoCommand))
		err = fmt.Errorf("SOCKS: command %d, want CONNECT: %w", head[1], errRude)
	case errors.Is(err, errAddressType):
		rw.Write(socksReply(socksNoAddressType))
	case rude:
		rw.Write(socksReply(socksFailed))
	}
	return t, err
}

// socksMethod agrees on whether there is a password, and asks for it.
func socksMethod(rw io.ReadWriter, users Users) error {
	methods, err := socksField(rw)
	if err != nil {
		return err
	}
	want := byte(socksNoAuth)
	if users != nil {
		want = socksPassword
	}
	if !strings.Contains(methods, string(want)) {
		rw.Write([]byte{socksVersion, socksNone})
		if users != nil {
			return fmt.Errorf("SOCKS: no password offered: %w", errDenied)
		}
		return fmt.Errorf("SOCKS: methods %x, want 00: %w", methods, errRude)
	}
	if _, err := rw.Write([]byte{socksVersion, want}); err != nil || users == nil {
		return err
	}
	var version [1]byte
	if _, err := io.ReadFull(rw, version[:]); err != nil {
		return ended(err, "SOCKS: the connection ended before the password")
	}
	if version[0] != 1 { // RFC 1929 §2
		return fmt.Errorf("SOCKS: password of version %d: %w", version[0], errRude)
	}
	name, err := socksField(rw)
	if err != nil {
		return err
	}
	password, err := socksField(rw)
	if err != nil {
		return err
	}
	if !users.have(name, password) {
		rw.Write([]byte{1, 1})
		return fmt.Errorf("SOCKS: user %.40q: %w", name, errDenied)
	}
	_, err = rw.Write([]byte{1, 0})
	return err
}

// socksField reads a byte with a length, and that many bytes.
func socksField(r io.Reader) (string, error) {
	var buf [256]byte
	_, err := io.ReadFull(r, buf[:1])
	if err == nil {
		_, err = io.ReadFull(r, buf[1:1+int(buf[0])])
	}
	if err != nil {
		return "", ended(err, "SOCKS: the connection ended within the handshake")
	}
	return string(buf[1 : 1+int(buf[0])]), nil
}

var errAddressType = fmt.Errorf("SOCKS: unknown type of address: %w", errRude)

// socksTarget reads the address and the port of a request.
func socksTarget(r io.Reader, kind byte) (target, error) {
	var host string
	switch kind {
	case socksIPv4, socksIPv6:
		b := make([]byte, map[byte]int{socksIPv4: 4, socksIPv6: 16}[kind])
		if _, err := io.ReadFull(r, b); err != nil {
			return target{}, ended(err, "SOCKS: the connection ended within the request")
		}
		addr, _ := netip.AddrFromSlice(b)
		host = addr.Unmap().String()
	case socksName:
		var err error
		if host, err = socksField(r); err != nil {
			return target{}, err
		}
	default:
		return target{}, errAddressType
	}
	var port [2]byte
	if _, err := io.ReadFull(r, port[:]); err != nil {
		return target{}, ended(err, "SOCKS: the connection ended within the request")
	}
	t, err := newTarget(host, uint16(port[0])<<8|uint16(port[1]))
	if err == nil && t.port == 0 {
		err = errors.New("port 0")
	}
	if err != nil {
		return target{}, fmt.Errorf("SOCKS: %w: %w", err, errRude)
	}
	return t, nil
}

// socksReply is the answer to a request. The address from which the connection leaves is somebody else's, so it is not told.
func socksReply(code byte) []byte {
	return []byte{socksVersion, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0}
}

// socksCode is what SOCKS says of a status.
func socksCode(s tcpq.Status) byte {
	switch s {
	case tcpq.Accepted:
		return socksGranted
	case tcpq.Refused, tcpq.NoListener:
		return socksRefused
	case tcpq.HostUnreachable:
		return socksUnreachable
	case tcpq.NetUnreachable:
		return socksNetUnreachable
	case tcpq.TimedOut:
		return socksTimedOut
	case tcpq.Denied:
		return socksDenied
	}
	return socksFailed
}

// errDenied says that somebody has no right to the proxy.
var errDenied = errors.New("not allowed")

// Users are who may use a proxy: SHA-256 of passwords by name. nil means that nobody is asked.
type Users map[string][sha256.Size]byte // limit: maxUsers

const (
	maxUsers    = 1024 // limit: users of a proxy
	maxPassword = 255  // bytes of a name and of a password, RFC 1929 §2
)

// ParseUsers reads lines of USER:PASSWORD. Empty lines, and such that begin with #, mean nothing. name is that of errors.
func ParseUsers(name, text string) (Users, error) {
	users := Users{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		user, password, ok := strings.Cut(line, ":")
		switch {
		case !ok || user == "" || len(user) > maxPassword || len(password) > maxPassword:
			return nil, fmt.Errorf("%s:%d: want USER:PASSWORD, of at most %d bytes each", name, i+1, maxPassword)
		case len(users) == maxUsers:
			return nil, fmt.Errorf("%s:%d: more than %d users", name, i+1, maxUsers)
		}
		if _, twice := users[user]; twice {
			return nil, fmt.Errorf("%s:%d: user %q is there twice", name, i+1, user)
		}
		users[user] = sha256.Sum256([]byte(password))
	}
	if len(users) == 0 {
		return nil, fmt.Errorf("%s: no user in it, want lines of USER:PASSWORD", name)
	}
	return users, nil
}

// have compares in a time that tells nothing of the password.
func (u Users) have(name, password string) bool {
	want, ok := u[name]
	got := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && ok
}
