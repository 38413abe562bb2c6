package fabric

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// A Fabric is a network namespace for a program. Its methods are safe for concurrent use.
type Fabric struct {
	log      *slog.Logger
	ns       int // descriptor of the namespace
	cookie   uint64
	crew     *crew
	mirror   *mirror
	table    *nftables.Conn
	captures []*capture // bounded by the two marks
	raw      rawSockets
	diag     diag
	held     chan *Held // limit: maxHeld
	pending  pending
	stats    counters
	close    sync.Once
	closed   chan struct{}
	tasks    sync.WaitGroup

	legs4, legs6     stock // sockets of ours
	socket4, socket6 stock // sockets for the program
}

type counters struct {
	held, repeated, dropped, connected, refused, native, delivered atomic.Uint64
}

// New makes a fabric. The caller needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW in its user namespace, and lives in the network
// namespace that the fabric is to look like.
func New(c Config) (*Fabric, error) {
	f := &Fabric{log: c.Log, ns: -1, held: make(chan *Held, maxHeld), closed: make(chan struct{})}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if err := f.build(c); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fabric) build(c Config) (err error) {
	host := readHostSysctls()
	if f.crew, f.ns, err = newCrew(); err != nil {
		return err
	}
	f.legs4 = stock{crew: f.crew, make: func() (int, error) { return makeLeg(unix.AF_INET) }}
	f.legs6 = stock{crew: f.crew, make: func() (int, error) { return makeLeg(unix.AF_INET6) }}
	f.socket4 = stock{crew: f.crew, make: func() (int, error) { return makeSocket(unix.AF_INET) }}
	f.socket6 = stock{crew: f.crew, make: func() (int, error) { return makeSocket(unix.AF_INET6) }}
	err = f.crew.do(func() error {
		f.sysctls(host)
		f.cookie, _ = cookieOfNamespace()
		if f.table, err = hold(); err != nil {
			return err
		}
		if err := f.raw.open(); err != nil {
			return err
		}
		return f.diag.open()
	})
	if err != nil {
		return err
	}
	if f.mirror, err = newMirror(f.crew, c.Anyway, f.log); err != nil {
		return err
	}
	f.tasks.Go(func() { f.hearEnds(c.Ended) })
	f.tasks.Go(func() { f.mirror.follow(c.Moved) })
	return f.crew.do(func() error {
		for _, m := range []uint32{0, MarkProto} {
			c, err := newCapture(m)
			if err != nil {
				return err
			}
			f.captures = append(f.captures, c)
			f.tasks.Go(func() { f.capture(c) })
		}
		return nil
	})
}

// sysctls makes those of the fabric, on a thread that lives there.
func (f *Fabric) sysctls(host map[string]string) {
	for name, err := range writeSysctls(host) {
		f.log.Debug("a setting of the host is not that of the private namespace", "name", name, "error", err)
	}
	for name, err := range writeSysctls(set) {
		f.log.Debug("a setting was not made", "name", name, "error", err)
	}
}

// Close gives the fabric up: what waits for an answer is refused, and so is what connects later. What lives there lives on, and so do the
// connections that Connect and Deliver returned. Each call but the first returns net.ErrClosed.
func (f *Fabric) Close() error {
	err := net.ErrClosed
	f.close.Do(func() {
		err = nil
		close(f.closed)
		if f.table != nil {
			f.table.CloseLasting()
		}
		if f.mirror != nil {
			f.mirror.stop()
		}
		for _, c := range f.captures {
			c.file.Close()
		}
		f.diag.close()
		f.tasks.Wait()
		for _, c := range f.captures {
			c.close()
		}
		for _, h := range f.pending.all() {
			f.raw.send(h.syn.refusal(Refused), h.App.Addr())
		}
		f.raw.close()
		for _, s := range []*stock{&f.legs4, &f.legs6, &f.socket4, &f.socket6} {
			s.close()
		}
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

// Local reports whether the host has an address; all of 127.0.0.0/8 and ::1 are its own. An unspecified address is no address.
func (f *Fabric) Local(a netip.Addr) bool { return f.mirror.has(a) }

// Socket makes a socket of the fabric, as socket(2) does, with a mark. The caller owns the descriptor. Multipath TCP is TCP, to which it
// falls back among strangers: a connect of a socket of its own never ends when it is joined, since crossed SYNs leave it behind.
func (f *Fabric) Socket(domain, typ, proto int, mark uint32) (int, error) {
	if proto == unix.IPPROTO_MPTCP {
		proto = unix.IPPROTO_TCP
	}
	if ready := f.stocked(domain, typ, proto); ready != nil && mark == 0 {
		fd, err := ready.take()
		if err == nil && typ&unix.SOCK_NONBLOCK != 0 {
			err = unix.SetNonblock(fd, true)
		}
		return fd, err
	}
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

// stocked returns where sockets of a kind are ready: those that programs mostly ask for.
func (f *Fabric) stocked(domain, typ, proto int) *stock {
	switch {
	case typ&^unix.SOCK_NONBLOCK != unix.SOCK_STREAM|unix.SOCK_CLOEXEC, proto != 0 && proto != unix.IPPROTO_TCP:
		return nil
	case domain == unix.AF_INET:
		return &f.socket4
	case domain == unix.AF_INET6:
		return &f.socket6
	}
	return nil
}

func makeSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
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
	s := &f.stats
	return Stats{
		Held: s.held.Load(), Repeated: s.repeated.Load(), Dropped: s.dropped.Load(), Connected: s.connected.Load(),
		Refused: s.refused.Load(), Native: s.native.Load(), Delivered: s.delivered.Load(),
	}
}

// Next waits for the next connection that the program wants. After Close the error is net.ErrClosed.
func (f *Fabric) Next() (*Held, error) {
	select {
	case <-f.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case h := <-f.held:
		return h, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// capture hands SYNs on until the fabric is closed.
func (f *Fabric) capture(c *capture) {
	c.run(func(packet []byte) {
		if s, ok := parseSYN(packet); ok {
			f.take(time.Now(), &s, c.mark)
		}
	})
}

// take holds a SYN, unless it is held already.
func (f *Fabric) take(now time.Time, s *syn, mark uint32) {
	h := newHeld(f, s, mark)
	verdict, packet := f.pending.hear(now, h)
	switch verdict {
	case repeated:
		f.stats.repeated.Add(1)
		return
	case told:
		f.stats.repeated.Add(1)
		if packet != nil {
			f.raw.send(packet, s.app.Addr())
		}
		return
	case tooMany:
		f.stats.dropped.Add(1)
		return
	}
	select {
	case f.held <- h:
		f.stats.held.Add(1)
	default:
		f.pending.take(h)
		f.stats.dropped.Add(1)
	}
}
