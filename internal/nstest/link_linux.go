package nstest

import (
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// End is one end of a link: a network namespace, and an interface in it.
type End struct {
	Name string // of the interface

	t       *testing.T
	calls   chan func() // run on a thread that lives in the namespace
	handle  *netlink.Handle
	link    netlink.Link
	foreign bool // it is not the namespace of the process
}

// Link joins the namespace of this process with a new one, by a pair of veth
// interfaces that are up and have no addresses but their own link-local ones. Both
// loopback interfaces are up. All of it goes when the test ends.
func Link(t *testing.T) (near, far *End) {
	t.Helper()
	near = &End{Name: "near", t: t}
	far = &End{Name: "far", t: t, calls: make(chan func()), foreign: true}
	ready := make(chan error)
	ended := make(chan struct{})
	go far.live(ready, ended)
	if err := <-ready; err != nil {
		need.Missing(t, "netns", "no further network namespace: %v", err)
	}
	var err error
	if near.handle, err = netlink.NewHandle(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.handle.Close()
		far.handle.Close()
		close(far.calls)
		<-ended
	})
	var ns int
	far.Do(func() { ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ns)
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near.Name}, PeerName: far.Name, PeerNamespace: netlink.NsFd(ns)}
	if err := near.handle.LinkAdd(veth); err != nil {
		need.Missing(t, "netns", "no veth links on this kernel: %v", err)
	}
	for _, e := range []*End{near, far} {
		for _, name := range []string{"lo", e.Name} {
			if e.link, err = e.handle.LinkByName(name); err == nil {
				err = e.handle.LinkSetUp(e.link)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return near, far
}

// live is the thread of a foreign namespace, which dies with it.
func (e *End) live(ready chan<- error, ended chan<- struct{}) {
	defer close(ended)
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		e.handle, err = netlink.NewHandle()
	}
	ready <- err
	if err != nil {
		return
	}
	for f := range e.calls {
		f()
	}
}

// Do runs f in the end's namespace: sockets that it opens stay there. f must not
// start goroutines that open sockets, and it must not call Do.
func (e *End) Do(f func()) {
	if !e.foreign {
		f()
		return
	}
	done := make(chan struct{})
	e.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// ListenUDP opens a socket in the end's namespace.
func (e *End) ListenUDP(addr netip.AddrPort) *net.UDPConn {
	e.t.Helper()
	var sock *net.UDPConn
	var err error
	e.Do(func() { sock, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr)) })
	if err != nil {
		e.t.Fatal(err)
	}
	return sock
}

// AddAddr gives the interface an address, which can be used at once.
func (e *End) AddAddr(prefix string) {
	e.t.Helper()
	if err := e.handle.AddrAdd(e.link, e.addr(prefix)); err != nil {
		e.t.Fatal(err)
	}
}

// DelAddr takes an address away. Linux takes the secondary addresses of the same
// network with the primary one.
func (e *End) DelAddr(prefix string) {
	e.t.Helper()
	if err := e.handle.AddrDel(e.link, e.addr(prefix)); err != nil {
		e.t.Fatal(err)
	}
}

func (e *End) addr(prefix string) *netlink.Addr {
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		e.t.Fatal(err)
	}
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

// SetUp turns the interface on or off.
func (e *End) SetUp(up bool) {
	e.t.Helper()
	set := e.handle.LinkSetDown
	if up {
		set = e.handle.LinkSetUp
	}
	if err := set(e.link); err != nil {
		e.t.Fatal(err)
	}
}

// AddRoute sends what goes to a network by way of an address, "" = the interface.
func (e *End) AddRoute(prefix, via string) {
	e.t.Helper()
	_, dst, err := net.ParseCIDR(prefix)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.handle.RouteAdd(&netlink.Route{LinkIndex: e.link.Attrs().Index, Dst: dst, Gw: net.ParseIP(via)}); err != nil {
		e.t.Fatal(err)
	}
}
