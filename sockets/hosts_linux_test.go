package sockets

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The addresses of two worlds that are joined.
const (
	hereAddr  = "10.77.0.1"
	thereAddr = "10.77.0.2"
	hereDev   = "here0"
	thereDev  = "there0"
)

// within calls f on a thread of the world. A process that is started there stays there.
func (w *world) within(f func() error) error {
	if w.ns == 0 {
		return f()
	}
	end := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setns(w.ns, unix.CLONE_NEWNET); err != nil {
			end <- err
			return
		}
		end <- f()
	}()
	return <-end
}

// joined makes another host, with keys and a runtime directory of its own, and a link from w to it.
func (w *world) joined() *world {
	w.t.Helper()
	other := &world{t: w.t, dir: w.t.TempDir()}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			other.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		made <- err
	}()
	if err := <-made; err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Close(other.ns) })
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: hereDev}, PeerName: thereDev, PeerNamespace: netlink.NsFd(other.ns)}
	err := errors.Join(netlink.LinkAdd(veth), address(hereDev, hereAddr), other.within(func() error { return errors.Join(address("lo", ""), address(thereDev, thereAddr)) }))
	if err != nil {
		w.t.Fatal(err)
	}
	return other
}

// address brings a link up, with an address of a network of 24 bits.
func address(dev, addr string) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	if addr != "" {
		a := netip.MustParseAddr(addr)
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(24, 32)}}); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// setLink brings the link between two worlds up or down.
func setLink(t *testing.T, up bool) {
	t.Helper()
	link, err := netlink.LinkByName(hereDev)
	if err == nil && up {
		err = netlink.LinkSetUp(link)
	} else if err == nil {
		err = netlink.LinkSetDown(link)
	}
	if err != nil {
		t.Fatal(err)
	}
}
