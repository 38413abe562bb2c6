package fabric

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Support is what this kernel, and the privileges of this process, allow of a fabric, found by trying.
type Support struct {
	Features []Feature
}

// Feature is one thing that a fabric uses.
type Feature struct {
	Name   string // a word: "nftables"
	What   string // what it gives: half a sentence
	Since  string // the first Linux that has it, "" if all have
	Needed bool   // without it there is no fabric; else a fabric does less
	Err    error  // nil if it is there; ErrUntried if something else is missing that it stands on
}

// ErrUntried says that a feature was not tried, because one before it is missing.
var ErrUntried = errors.New("fabric: not tried")

// Err returns why there can be no fabric, or nil.
func (s Support) Err() error {
	for _, f := range s.Features {
		if f.Needed && f.Err != nil {
			return fmt.Errorf("%s (%s) is missing: %w", f.Name, f.What, f.Err)
		}
	}
	return nil
}

// The names of the features that are tried one by one. The last two are the whole.
const (
	featureNamespace = "namespace"
	featureLoopback  = "loopback"
	featureRules     = "routing-rules"
	featureTable     = "nftables"
	featureCapture   = "packet-socket"
	featureRaw       = "raw-socket"
	featureRepair    = "tcp-repair"
	featureDiag      = "sock-diag"
	featureIPv4      = "hold"
	featureIPv6      = "hold-ipv6"
)

// Supported makes a fabric piece by piece, then a whole one, and lets a connection be held and joined in it. All of it is gone when it
// returns. It takes some milliseconds, and the capabilities that New takes.
func Supported() Support {
	s := Support{[]Feature{
		{Name: featureNamespace, What: "a network of its own, on several threads", Needed: true},
		{Name: featureLoopback, What: "addresses and routes in it", Needed: true},
		{Name: featureRules, What: "connects without a route fail at once"},
		{Name: featureTable, What: "holding what a program connects to, until we let go or end", Since: "5.12", Needed: true},
		{Name: featureCapture, What: "hearing of what is held", Needed: true},
		{Name: featureRaw, What: "refusing it", Needed: true},
		{Name: featureRepair, What: "answering from any address", Since: "4.19", Needed: true},
		{Name: featureDiag, What: "asking which sockets a program has", Since: "4.2", Needed: true},
		{Name: featureIPv4, What: "all of it: a connection is held, and joined", Needed: true},
		{Name: featureIPv6, What: "the same over IPv6"},
	}}
	for i := range s.Features {
		s.Features[i].Err = ErrUntried
	}
	pieces := s.tryPieces()
	if pieces {
		s.tryWhole()
	}
	return s
}

// note keeps what came of trying a feature, and reports whether it is there.
func (s *Support) note(name string, err error) bool {
	for i := range s.Features {
		if s.Features[i].Name == name {
			s.Features[i].Err = err
		}
	}
	return err == nil
}

// tryPieces reports whether all pieces are there.
func (s *Support) tryPieces() bool {
	c, ns, err := newCrew()
	if !s.note(featureNamespace, err) {
		return false
	}
	defer unix.Close(ns)
	defer c.close()
	m, err := newMirror(c, nil, slog.New(slog.DiscardHandler))
	if s.note(featureLoopback, err) {
		s.note(featureRules, m.inseparable)
		defer m.close()
	}
	table, err := onCrew(c, hold)
	if s.note(featureTable, err) {
		defer table.CloseLasting()
	}
	heard, err := onCrew(c, func() (*capture, error) { return newCapture(0) })
	if s.note(featureCapture, err) {
		defer heard.close()
	}
	var raw rawSockets
	s.note(featureRaw, c.do(raw.open))
	defer raw.close()
	s.note(featureRepair, c.do(tryRepair))
	var questions diag
	s.note(featureDiag, c.do(questions.open))
	defer questions.close()
	for _, f := range s.Features {
		if f.Needed && f.Err != nil && f.Err != ErrUntried {
			return false
		}
	}
	return true
}

// tryRepair binds a socket that may be anywhere.
func tryRepair() error {
	fd, err := makeLeg(unix.AF_INET)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, sockaddr(netip.MustParseAddrPort("127.0.0.1:9")))
}

// tryWhole holds connections in a fabric and joins them.
func (s *Support) tryWhole() {
	f, err := New(Config{})
	if err != nil {
		s.note(featureIPv4, err)
		return
	}
	defer f.Close()
	s.note(featureIPv4, f.tryHold(netip.MustParseAddrPort("127.0.0.1:9")))
	s.note(featureIPv6, f.tryHold(netip.MustParseAddrPort("[::1]:9")))
}

const holdPatience = 2 * time.Second // for a SYN to be heard of: it takes microseconds

// tryHold connects to an address where nobody is, and answers from it.
func (f *Fabric) tryHold(to netip.AddrPort) error {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := f.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sockaddr(to)); err != unix.EINPROGRESS {
		return fmt.Errorf("connect to %v, where nobody is: want it to be in progress, got %w", to, err)
	}
	select {
	case h := <-f.held:
		leg, err := h.Connect()
		if err != nil {
			return fmt.Errorf("answer from %v: %w", to, err)
		}
		defer leg.Close()
	case <-time.After(holdPatience):
		return fmt.Errorf("nothing was heard of a connect to %v within %v", to, holdPatience)
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(holdPatience.Milliseconds())); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err != nil {
		return fmt.Errorf("connect to %v: %w", to, err)
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return fmt.Errorf("connect to %v ended without a connection: %w", to, err)
	}
	return nil
}
