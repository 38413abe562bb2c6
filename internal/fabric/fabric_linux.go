package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// MarkProto is the mark (SO_MARK) of sockets whose program asked for QUIC itself.
const MarkProto uint32 = 0x52

// A Config tunes a Fabric. The zero value is ready to use.
type Config struct {
	// Log is told what goes wrong on the side. nil = nobody.
	Log *slog.Logger
}

// A Fabric is a network namespace for a program. Its methods are safe for concurrent use.
type Fabric struct {
	log      *slog.Logger
	ns       int // descriptor of the namespace
	cookie   uint64
	crew     *crew
	mirror   *mirror
	table    *nftables.Conn
	captures []*capture
	raw      rawSockets
	held     chan *Held
	pending  pending
	stats    struct{ held, dropped atomic.Uint64 }
	close    sync.Once
	closed   chan struct{}
	tasks    sync.WaitGroup
}

// maxHeld is how many SYNs wait for Next. limit: connections that a program makes faster than they are taken; those beyond are dropped,
// and come again after a second.
const maxHeld = 4096

// Stats are sums since the beginning.
type Stats struct {
	Held    uint64 // SYNs held
	Dropped uint64 // SYNs that were lost because we were too slow; the kernel sends them again after a second
}

// New makes a fabric. The caller needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW in its user namespace.
func New(c Config) (*Fabric, error) {
	f := &Fabric{log: c.Log, ns: -1, held: make(chan *Held, maxHeld), closed: make(chan struct{})}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if err := f.build(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fabric) build() (err error) {
	if f.crew, f.ns, err = newCrew(); err != nil {
		return err
	}
	if f.mirror, err = newMirror(f.crew); err != nil {
		return err
	}
	if err := f.mirror.update(); err != nil {
		f.log.Debug("the host's network is not wholly known", "error", err)
	}
	if f.table, err = onCrew(f.crew, hold); err != nil {
		return err
	}
	host := readHostSysctls()
	return f.crew.do(func() error {
		writeSysctls(host)
		writeSysctls(set)
		for _, m := range []uint32{0, MarkProto} {
			c, err := newCapture(m)
			if err != nil {
				return err
			}
			f.captures = append(f.captures, c)
			f.tasks.Go(func() { f.capture(c) })
		}
		f.cookie, _ = cookieOfNamespace()
		return f.raw.open()
	})
}

// Close gives the fabric up. What lives there lives on, without anybody who answers.
func (f *Fabric) Close() error {
	err := net.ErrClosed
	f.close.Do(func() {
		err = nil
		close(f.closed)
		for _, c := range f.captures {
			c.file.Close()
		}
		if f.table != nil {
			f.table.CloseLasting()
		}
		if f.mirror != nil {
			f.mirror.close()
		}
		f.raw.close()
		f.tasks.Wait()
		if f.crew != nil {
			f.crew.close()
		}
		if f.ns >= 0 {
			unix.Close(f.ns)
		}
	})
	return err
}

// NS returns a descriptor of the namespace, for setns(2). It is the fabric's.
func (f *Fabric) NS() int { return f.ns }

// Local reports whether the host has an address; all of 127.0.0.0/8 and ::1 are its own.
func (f *Fabric) Local(a netip.Addr) bool { return f.mirror.has(a) }

// Socket makes a socket of the fabric, as socket(2) does, with a mark. The caller owns the descriptor.
func (f *Fabric) Socket(domain, typ, proto int, mark uint32) (int, error) {
	return onCrew(f.crew, func() (int, error) {
		fd, err := unix.Socket(domain, typ, proto)
		if err != nil || mark == 0 {
			return fd, err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
			unix.Close(fd)
			return -1, err
		}
		return fd, nil
	})
}

// Owns reports whether a socket is of this fabric.
func (f *Fabric) Owns(fd int) bool {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return err == nil && cookie == f.cookie
}

func cookieOfNamespace() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

// Stats returns the present sums.
func (f *Fabric) Stats() Stats {
	for _, c := range f.captures {
		f.stats.dropped.Add(c.drops())
	}
	return Stats{f.stats.held.Load(), f.stats.dropped.Load()}
}

// Next waits for the next connection that the program wants. After Close the error is net.ErrClosed.
func (f *Fabric) Next() (*Held, error) {
	select {
	case h := <-f.held:
		return h, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// capture hands SYNs on until the fabric is closed.
func (f *Fabric) capture(c *capture) {
	buf := make([]byte, maxSYN)
	for {
		packet, err := c.next(buf)
		switch {
		case errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return
		}
		if s, ok := parseSYN(append([]byte(nil), packet...)); ok {
			f.take(s, c.mark)
		}
	}
}

// take holds a SYN, unless it is held already.
func (f *Fabric) take(s syn, mark uint32) {
	if !f.pending.add(s.key()) {
		return
	}
	select {
	case f.held <- &Held{App: s.app, Dest: s.dest, Mark: mark, fabric: f, syn: s}:
		f.stats.held.Add(1)
	default:
		f.pending.remove(s.key())
		f.stats.dropped.Add(1)
	}
}

// Deliver connects from the address of a peer to the program's listener at to. The error is unix.ECONNREFUSED if nobody listens. If the
// program talks with that very port already, the leg has another.
func (f *Fabric) Deliver(ctx context.Context, from, to netip.AddrPort) (*net.TCPConn, error) {
	for try := range portTries {
		at := from
		if try > 0 {
			at = netip.AddrPortFrom(from.Addr(), 0)
		}
		c, err := f.connect(ctx, at, to)
		if !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EADDRINUSE) {
			return c, err
		}
	}
	return nil, fmt.Errorf("no free port of %v: %w", from.Addr(), unix.EADDRNOTAVAIL)
}
