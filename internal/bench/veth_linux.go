package bench

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// veth is a link of MTU 1500 between two network namespaces, server and client
// at its ends. Both go with their last descriptor.
type veth struct{ server, client *os.File }

const (
	vethMTU    = 1500
	vethName   = "eth0"
	vethServer = "192.0.2.1"
	vethClient = "192.0.2.2"
)

// openVeth makes the link.
func openVeth() (place, error) {
	v := &veth{}
	done := make(chan error)
	go func() {
		// The thread that changed its network namespace ends with this goroutine:
		// it is not unlocked.
		runtime.LockOSThread()
		done <- v.make()
	}()
	if err := <-done; err != nil {
		v.close()
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w; hint: run it as root, or in `unshare -Urn` once the other stacks are built", err)
		}
		return nil, fmt.Errorf("veth: skipped, a link between network namespaces cannot be made here: %w", err)
	}
	return v, nil
}

func (v *veth) make() error {
	var err error
	if v.server, err = newNamespace(); err != nil {
		return err
	}
	if v.client, err = newNamespace(); err != nil {
		return err
	}
	link := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: vethName, MTU: vethMTU}, PeerName: vethName, PeerMTU: vethMTU,
		PeerNamespace: netlink.NsFd(v.server.Fd()),
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("add a veth link: %w", err)
	}
	if err := raise(vethClient); err != nil {
		return err
	}
	if err := unix.Setns(int(v.server.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	return raise(vethServer)
}

// newNamespace moves this thread into a network namespace of its own.
func newNamespace() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("unshare: %w", err)
	}
	return os.Open("/proc/thread-self/ns/net")
}

// raise configures this thread's end of the link.
func raise(addr string) error {
	link, err := netlink.LinkByName(vethName)
	if err != nil {
		return err
	}
	if err := plain(vethName); err != nil {
		return fmt.Errorf("offloads of %s: %w", vethName, err)
	}
	ip := &net.IPNet{IP: net.ParseIP(addr), Mask: net.CIDRMask(24, 32)}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ip}); err != nil {
		return fmt.Errorf("address %s: %w", addr, err)
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func (v *veth) listen() string { return vethServer + ":0" }

func (v *veth) start(c *exec.Cmd, server bool, cpu int) error {
	ns := v.client
	if server {
		ns = v.server
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // as in openVeth
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = startOn(c, cpu)
		}
		started <- err
	}()
	return <-started
}

func (v *veth) close() {
	for _, f := range []*os.File{v.server, v.client} {
		if f != nil {
			f.Close()
		}
	}
}
