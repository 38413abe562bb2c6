package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/seed51309289/quiver/netsim"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A host is a network namespace with one interface, and processes in it.
type host struct {
	name, wire string // wire: the other end of its interface, where the path is
	addr       netip.Addr
	gateway    netip.Addr
	stage      *stage
	state      string // the directory with the host's key, and the keys that it knows
	calls      chan func()
	ended      chan struct{}
	handle     *netlink.Handle
	link       netlink.Link
	running    []*process
}

// newHost makes a host on one side of the path.
func (s *stage) newHost(name string, side netsim.Side) (h *host, err error) {
	h = &host{name: name, wire: "to-" + name, stage: s, state: s.file(name), calls: make(chan func()), ended: make(chan struct{})}
	v4, v6 := netsim.ClientV4, netsim.ClientV6
	h.gateway = netsim.LeftGatewayV4
	if side == netsim.Right {
		v4, v6, h.gateway = netsim.ServerV4, netsim.ServerV6, netsim.RightGatewayV4
	}
	started := make(chan error)
	go h.live(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	var ns int
	h.do(func() { ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(ns)
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: h.wire}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}); err != nil {
		return nil, fmt.Errorf("make a link: %w", err)
	}
	outer, err := netlink.LinkByName(h.wire)
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(outer); err != nil {
		return nil, err
	}
	for _, name := range []string{"lo", "eth0"} {
		if h.link, err = h.handle.LinkByName(name); err == nil {
			err = h.handle.LinkSetUp(h.link)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := h.handle.AddrAdd(h.link, addressOf(v6, 64)); err != nil {
		return nil, err
	}
	return h, h.move(v4)
}

// live is the thread of the host's namespace, which ends with it.
func (h *host) live(started chan<- error) {
	defer close(h.ended)
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		h.handle, err = netlink.NewHandle()
	}
	started <- err
	if err != nil {
		return
	}
	defer h.handle.Close()
	for f := range h.calls {
		f()
	}
}

// do runs f in the host's namespace.
func (h *host) do(f func()) {
	done := make(chan struct{})
	h.calls <- func() { defer close(done); f() }
	<-done
}

func addressOf(a netip.Addr, bits int) *netlink.Addr {
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}}
	if a.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

// move takes the host's IPv4 address away, if it has one, and gives it another, as
// when a machine leaves one network for the next.
func (h *host) move(to netip.Addr) error {
	if h.addr.IsValid() {
		if err := h.handle.AddrDel(h.link, addressOf(h.addr, 24)); err != nil {
			return err
		}
	}
	if err := h.handle.AddrAdd(h.link, addressOf(to, 24)); err != nil {
		return err
	}
	h.addr = to
	return h.handle.RouteReplace(&netlink.Route{LinkIndex: h.link.Attrs().Index, Gw: h.gateway.AsSlice()})
}

// control chooses the congestion controller of the host's TCP.
func (h *host) control(name string) (err error) {
	h.do(func() { err = os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(name), 0) })
	return err
}

// at returns a port of the host.
func (h *host) at(port int) string { return netip.AddrPortFrom(h.addr, uint16(port)).String() }

// self is the command line of one of the programs of this example.
func (s *stage) program(name string, args ...string) []string {
	return append([]string{s.self, asProgram, name}, args...)
}

// under puts a command line under quiver run.
func (s *stage) under(flags string, argv []string) []string {
	run := append([]string{s.quiver, "run"}, strings.Fields(flags)...)
	return append(append(run, "--"), argv...)
}

// start starts a process on the host.
func (h *host) start(argv []string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), out: newOutput(), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "QUIVER_STATE_DIR="+h.state, "QUIVER_RUNTIME_DIR="+h.state+"-run")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var err error
	h.do(func() { err = p.cmd.Start() })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.name, err)
	}
	h.running = append(h.running, p)
	go p.collect()
	return p, nil
}

// serve starts a process and waits until it says that it listens.
func (h *host) serve(argv []string, ready string) (*process, error) {
	p, err := h.start(argv)
	if err != nil {
		return nil, err
	}
	return p, p.says(h.stage.ctx, ready)
}

// ask runs a process to its end and returns what it said.
func (h *host) ask(argv []string) (string, error) {
	p, err := h.start(argv)
	if err != nil {
		return "", err
	}
	return p.wait(h.stage.ctx)
}

// stop ends what runs on the host.
func (h *host) stop() error {
	var errs []error
	for _, p := range h.running {
		errs = append(errs, p.stop())
	}
	h.running = nil
	return errors.Join(errs...)
}

// close ends the host. Its link goes now, not when the kernel comes to it: the next
// stage has links of the same names.
func (h *host) close() (err error) {
	if h.link != nil {
		err = h.handle.LinkDel(h.link)
	}
	close(h.calls)
	<-h.ended
	return err
}
