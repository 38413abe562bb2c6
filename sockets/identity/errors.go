package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"
)

// Hint returns how to go on after an error of this package, also one that TLS
// and QUIC carried; "" if nothing is to be said.
func Hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// PinMismatchError says that a peer has another key than expected.
type PinMismatchError struct {
	Peer  netip.AddrPort
	Seen  Pin       // of the key that it showed
	Known []Pin     // what was expected, at least one; bounded by maxHostsFile and Options.Pins
	Since time.Time // the day on which the first of Known was learned; zero = unknown
	File  string    // where the first of Known is; "" = in an option or a rule
	Line  int
}

func (e *PinMismatchError) Error() string {
	var known []string
	for _, p := range e.Known {
		known = append(known, p.Tagged())
	}
	if e.File == "" && e.Since.IsZero() {
		return fmt.Sprintf("%v has a key that is not the pinned one: got %s, want %s", e.Peer, e.Seen.Tagged(), strings.Join(known, " or "))
	}
	since, where := "", "this process"
	if !e.Since.IsZero() {
		since = " since " + e.Since.Format(time.DateOnly)
	}
	if e.File != "" {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("%v has another key than before: got %s, want %s, known%s (%s)",
		e.Peer, e.Seen.Tagged(), strings.Join(known, " or "), since, where)
}

// Hint says what to do.
func (e *PinMismatchError) Hint() string {
	if e.File == "" {
		return "somebody else may be answering: ask that machine's owner for its pin"
	}
	return fmt.Sprintf("somebody else may be answering; only if that machine is known to have a new key, remove line %d of %s", e.Line, e.File)
}

// UnknownHostError says that a peer's key was never seen, and that none is
// trusted at first sight.
type UnknownHostError struct {
	Peer netip.AddrPort
	Seen Pin
	File string // of known hosts; "" = there is none
}

func (e *UnknownHostError) Error() string {
	file := e.File
	if file == "" {
		file = "no file of known hosts"
	}
	return fmt.Sprintf("%v is unknown: %s has no line for it; its key is %s", e.Peer, file, e.Seen.Tagged())
}

// Hint says what to do.
func (e *UnknownHostError) Hint() string {
	if e.File == "" {
		return "name its key with --pin, once its owner has confirmed it"
	}
	return fmt.Sprintf("once its owner has confirmed the key, add the line '%v %s' to %s", e.Peer, e.Seen.Tagged(), e.File)
}

// UntrustedError says that no authority vouches for a peer's certificate. It
// wraps the error of crypto/x509.
type UntrustedError struct {
	Peer netip.AddrPort
	CA   string // file of authorities, or System
	Err  error
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("nobody vouches for the certificate of %v: %v (authorities: %s)", e.Peer, e.Err, e.CA)
}

// Unwrap returns the error of crypto/x509.
func (e *UntrustedError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *UntrustedError) Hint() string {
	return "trust its authority with --ca FILE, or its key with 'identity=sha256:…' in the rule"
}

// WrongPeerError says that an authority vouches for a peer, which is not the one
// that was expected.
type WrongPeerError struct {
	Peer netip.AddrPort
	Want string
	Got  Peer
}

func (e *WrongPeerError) Error() string {
	return fmt.Sprintf("%v is not who was expected: its certificate is for %s, want %s", e.Peer, e.Got.claims(), e.Want)
}

// Hint says what to do.
func (e *WrongPeerError) Hint() string {
	return "who is expected is 'identity=' in the rule, and without it the address"
}

// NotAllowedError says that a client is none of those that may connect.
type NotAllowedError struct {
	Got  Peer
	Want []string // patterns
}

func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("client %s is not allowed, want %s", e.Got, strings.Join(e.Want, " or "))
}

// Hint says what to do.
func (e *NotAllowedError) Hint() string {
	return "to let it in, add it to 'allow=': its name if an authority vouches for it, else its key as sha256:…"
}

// FileError says what is wrong with a file, or with a line of it.
type FileError struct {
	Path string
	Line int // 0 = all of it
	Err  error
	hint string
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *FileError) Hint() string { return e.hint }

// reason returns an error of package os without its path, which is said before.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
