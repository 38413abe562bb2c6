//go:build linux

package netsim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// world is three namespaces: the simulator's, with interfaces left and right, and the endpoints'.
type world struct {
	ns          [2]netns.NsHandle // of client and server
	sim         netns.NsHandle
	left, right string // traces
	thread      int    // of the relay
	stop        func() Stats
	shut        func() // stops and takes all down
}

// newWorld builds namespaces and links and starts the relay. kernel gives the simulator's addresses to the
// interfaces, so that the kernel answers for them.
func newWorld(t *testing.T, scenario string, kernel bool) *world {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Skip("runs in the namespaces that TestRunVethInNamespaces makes")
	}
	runtime.LockOSThread()
	dir := t.TempDir()
	w := &world{left: filepath.Join(dir, "left.pcap"), right: filepath.Join(dir, "right.pcap")}
	w.sim = must(netns.Get())
	for side := range w.ns {
		w.ns[side] = must(netns.New())
	}
	check(t, netns.Set(w.sim))
	for side, name := range []string{"left", "right"} {
		w.connect(t, Side(side), name, kernel)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan error, 1), make(chan Stats, 1)
	thread := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		check(t, netns.Set(w.sim))
		thread <- unix.Gettid()
		st, err := RunVeth(ctx, RelayConfig{Left: "left", Right: "right", Scenario: mustScenario(t, scenario), Seed: 1,
			LeftTrace: w.left, RightTrace: w.right, Ready: func() { ready <- nil }})
		if err != nil {
			ready <- err
		}
		done <- st
	}()
	check(t, <-ready)
	w.thread = <-thread
	var st *Stats
	w.stop = func() Stats {
		cancel()
		if st == nil {
			got := <-done
			st = &got
		}
		return *st
	}
	gone := false
	w.shut = func() {
		w.stop()
		if gone {
			return
		}
		gone = true
		netlink.LinkDel(must(netlink.LinkByName("left")))
		netlink.LinkDel(must(netlink.LinkByName("right")))
		w.ns[0].Close()
		w.ns[1].Close()
		w.sim.Close()
		runtime.UnlockOSThread()
	}
	t.Cleanup(w.shut)
	return w
}

// connect makes the veth pair of one side and configures the endpoint's end of it.
func (w *world) connect(t *testing.T, side Side, name string, kernel bool) {
	t.Helper()
	n := networks[side]
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0",
		PeerNamespace: netlink.NsFd(int(w.ns[side]))}))
	link := must(netlink.LinkByName(name))
	check(t, netlink.LinkSetUp(link))
	if kernel {
		addAddrs(t, nil, link, n.gateways)
	}
	h := must(netlink.NewHandleAt(w.ns[side]))
	defer h.Close()
	eth0 := must(h.LinkByName("eth0"))
	check(t, h.LinkSetUp(eth0))
	addAddrs(t, h, eth0, n.hosts)
	for i, all := range []string{"193.167.0.0/16", "fd00:cafe:cafe::/48"} {
		_, dst, err := net.ParseCIDR(all)
		check(t, err)
		check(t, h.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: dst, Gw: n.gateways[i].AsSlice()}))
	}
}

func addAddrs(t *testing.T, h *netlink.Handle, link netlink.Link, addrs [2]netip.Addr) {
	t.Helper()
	if h == nil {
		h = must(netlink.NewHandle())
		defer h.Close()
	}
	for i, bits := range []int{24, 64} {
		a := must(netlink.ParseAddr(fmt.Sprintf("%s/%d", addrs[i], bits)))
		if i == 1 {
			a.Flags = unix.IFA_F_NODAD
		}
		check(t, h.AddrAdd(link, a))
	}
}

// in runs f on a thread in the namespace of one endpoint. Sockets that it opens stay there.
func (w *world) in(t *testing.T, side Side, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- errors.Join(netns.Set(w.ns[side]), f())
	}()
	check(t, <-done)
}

func (w *world) udp(t *testing.T, side Side, at netip.AddrPort) (c *net.UDPConn) {
	t.Helper()
	w.in(t, side, func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestInsideRoundTripTakesDelayAndSerialisation(t *testing.T) {
	t.Run("the relay answers ARP", func(t *testing.T) { testRoundTrip(t, false) })
	t.Run("the kernel answers ARP", func(t *testing.T) { testRoundTrip(t, true) })
}

func testRoundTrip(t *testing.T, kernel bool) {
	w := newWorld(t, s0, kernel)
	for family, server := range networks[Right].hosts {
		to := netip.AddrPortFrom(server, ServerPort)
		s, c := w.udp(t, Right, to), w.udp(t, Left, netip.AddrPortFrom(networks[Left].hosts[family], 50000))
		sources := echo(s)
		headers := []int{28, 48}[family]
		want := 2 * (15*time.Millisecond + serialisation(1200+headers, 10_000_000))
		best := time.Hour
		for n := 0; n < 3 || (n < 40 && best > want+4*time.Millisecond); n++ { // longer on a busy machine
			start := time.Now()
			c.WriteToUDPAddrPort(make([]byte, 1200), to)
			buf := make([]byte, 2000)
			n, err := c.Read(buf)
			check(t, err)
			if n != 1200 {
				t.Fatalf("echo has %d bytes, want 1200", n)
			}
			best = min(best, time.Since(start))
		}
		if from := <-sources; from.Addr() != networks[Left].hosts[family] || from.Port() != 50000 {
			t.Errorf("server sees %v, want the client's own address", from)
		}
		if best < want || best > want+4*time.Millisecond {
			t.Errorf("best round trip %v, want %v and little more", best, want)
		}
		t.Logf("%v: best round trip %v, model %v", server, best, want)
	}
	st := w.stop()
	t.Logf("lateness mean %v max %v of %d", st.Lateness.Mean(), st.Lateness.Max, st.Lateness.Events)
	if st.BadChecksums+st.Unresolved+st.WriteErrors+st.Missed != 0 {
		t.Errorf("counters of trouble are not zero: %+v", st)
	}
}

func TestInsideSuperPacketsCrossAsSinglePackets(t *testing.T) {
	w := newWorld(t, s0, false)
	server := netip.AddrPortFrom(ServerV4, ServerPort)
	s, c := w.udp(t, Right, server), w.udp(t, Left, clientAP)
	raw, err := s.SyscallConn()
	check(t, err)
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTTL, 1)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
	})
	raw, err = c.SyscallConn()
	check(t, err)
	raw.Control(func(fd uintptr) {
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1200),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 2))
	})
	if err != nil {
		need.Missing(t, "gso", "no UDP segmentation offload here: %v", err)
	}
	const full = 20
	data := make([]byte, full*1200+300)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	if _, err := c.WriteToUDPAddrPort(data, server); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf, oob := make([]byte, 2000), make([]byte, 200)
	for i := range full + 1 {
		n, oobn, _, _, err := s.ReadMsgUDPAddrPort(buf, oob)
		check(t, err)
		if ttl := controlInt(t, oob[:oobn], unix.IP_TTL); ttl != 62 {
			t.Errorf("datagram %d has TTL %d, want 62: two routers", i, ttl)
		}
		if ecn := readECN(oob[:oobn]); ecn != 2 {
			t.Errorf("datagram %d has ECN bits %d, want 2", i, ecn)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, data) {
		t.Error("payload differs after the segmentation")
	}
	st := w.stop()
	if st.BadChecksums != 0 || st.ToServer.MaxQueue != full {
		t.Errorf("stats %+v: want no bad checksums and %d packets in the queue", st, full)
	}
	for _, path := range []string{w.left, w.right} {
		n := 0
		var first, last time.Time
		for _, p := range readTrace(t, path) {
			ip, err := ParseIP(p.frame[etherHeaderLen:])
			if err != nil || !ip.UDP {
				continue // ARP and so on
			}
			if n++; n == 1 {
				first = p.at
			}
			last = p.at
			if len(ip.UDPPayload()) > 1200 || !ip.checksumOK() {
				t.Errorf("%s: packet of %d bytes, checksum right: %v", filepath.Base(path), len(ip.UDPPayload()), ip.checksumOK())
			}
		}
		if n != full+1 {
			t.Errorf("%s has %d UDP packets, want %d", filepath.Base(path), n, full+1)
		}
		want := time.Duration(0) // they came in one frame
		if path == w.right {
			want = (full-1)*serialisation(1228, 10_000_000) + serialisation(328, 10_000_000)
		}
		if spread := last.Sub(first); (spread - want).Abs() > st.Lateness.Max+time.Millisecond {
			t.Errorf("%s: segments are spread over %v, want %v", filepath.Base(path), spread, want)
		}
		wantNoTsharkComplaint(t, path)
	}
}

// controlInt finds an int in the ancillary data of level IP.
func controlInt(t *testing.T, oob []byte, kind int32) int {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(oob)
	check(t, err)
	for _, m := range messages {
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == kind {
			return int(m.Data[0])
		}
	}
	return -1
}

// wantNoTsharkComplaint lets tshark verify all checksums, if it is there.
func wantNoTsharkComplaint(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Log("tshark is not installed: the trace has no second opinion")
		return
	}
	out, err := exec.Command("tshark", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		"-Y", "ip.checksum.status==0 || udp.checksum.status==0 || tcp.checksum.status==0 || icmpv6.checksum.status==0 || _ws.malformed").Output()
	if err != nil || len(out) > 0 {
		t.Errorf("tshark on %s: %v\n%s", filepath.Base(path), err, out)
	}
}

func TestInsideTCPCrossesWhole(t *testing.T) {
	for family, name := range []string{"IPv4", "IPv6"} {
		t.Run(name, func(t *testing.T) { testTCP(t, networks[Right].hosts[family]) })
	}
}

func testTCP(t *testing.T, server netip.Addr) {
	w := newWorld(t, "simple-p2p --delay=2ms --bandwidth=100Mbps --queue=100", false)
	to := netip.AddrPortFrom(server, 9)
	var l net.Listener
	w.in(t, Right, func() (err error) {
		l, err = net.Listen("tcp", to.String())
		return err
	})
	t.Cleanup(func() { l.Close() })
	data := make([]byte, 2<<20)
	for i := range data {
		data[i] = byte(luck(1, Left, forLoss, uint64(i)))
	}
	received := make(chan [32]byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		h := sha256.New()
		io.Copy(h, c)
		received <- [32]byte(h.Sum(nil))
	}()
	var c net.Conn
	w.in(t, Left, func() (err error) {
		c, err = net.DialTimeout("tcp", to.String(), 5*time.Second)
		return err
	})
	before, start := cpuTime(), time.Now()
	_, err := c.Write(data)
	check(t, errors.Join(err, c.Close()))
	select {
	case sum := <-received:
		if sum != sha256.Sum256(data) {
			t.Error("TCP stream arrives changed")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("TCP stream does not arrive")
	}
	t.Logf("2 MiB in %v, %v of processor time for all", time.Since(start), cpuTime()-before)
	if st := w.stop(); st.BadChecksums != 0 || st.Missed != 0 {
		t.Errorf("stats %+v: want no trouble", st)
	}
	wantNoTsharkComplaint(t, w.left)
	wantNoTsharkComplaint(t, w.right)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestInsideRebindingChangesThePortThatTheServerSees(t *testing.T) {
	w := newWorld(t, "rebind --delay=2ms --bandwidth=10Mbps --queue=25 --first-rebind=400ms --rebind-addr", false)
	server := netip.AddrPortFrom(ServerV4, ServerPort)
	s, c := w.udp(t, Right, server), w.udp(t, Left, clientAP)
	sources := echo(s)
	var seen []netip.AddrPort
	for start := time.Now(); len(seen) < 2 && time.Since(start) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		c.WriteToUDPAddrPort([]byte(strings.Repeat("x", 100)), server)
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, from, err := c.ReadFromUDPAddrPort(make([]byte, 200)); err != nil || from != server {
			continue // lost in the moment of the rebinding
		}
		for len(sources) > 0 {
			if from := <-sources; !slices.Contains(seen, from) {
				seen = append(seen, from)
			}
		}
	}
	if len(seen) != 2 || seen[0] != clientAP || !LeftNetV4.Contains(seen[1].Addr()) {
		t.Errorf("server saw %v, want %v and one more of its network", seen, clientAP)
	}
	if st := w.stop(); st.Rebinds != 1 || st.BadChecksums != 0 {
		t.Errorf("stats %+v, want 1 rebinding and no bad checksums", st)
	}
	wantNoTsharkComplaint(t, w.right)
}

// relayTime returns the processor time that the relay's thread has used.
func (w *world) relayTime(t *testing.T) (used time.Duration) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", w.thread))
	if err != nil {
		t.Skipf("the kernel does not tell the processor time of a thread: %v", err)
	}
	fmt.Sscan(string(text), (*int64)(&used))
	return used
}

func TestInsideRelayNeedsLittleProcessorTime(t *testing.T) {
	w := newWorld(t, s0, false)
	server := netip.AddrPortFrom(ServerV4, ServerPort)
	s, c := w.udp(t, Right, server), w.udp(t, Left, clientAP)
	const packets, every = 850, 1200 * time.Microsecond // 9.7 Mbit/s of IP packets for a second
	received := make(chan int, 1)
	go func() {
		buf, n := make([]byte, 2000), 0
		for ; n < packets; n++ {
			if _, from, err := s.ReadFromUDPAddrPort(buf); err == nil && n%2 == 0 {
				s.WriteToUDPAddrPort(buf[:40], from) // as acknowledgements do
			} else if err != nil {
				break
			}
		}
		received <- n
	}()
	before, start := w.relayTime(t), time.Now()
	for i := range packets {
		if _, err := c.WriteToUDPAddrPort(make([]byte, 1424), server); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(start.Add(time.Duration(i) * every)))
	}
	s.SetReadDeadline(time.Now().Add(time.Second))
	n, took := <-received, time.Since(start)
	share := 100 * float64(w.relayTime(t)-before) / float64(took)
	st := w.stop()
	t.Logf("%d of %d packets arrive; the relay uses %.1f %% of a processor; lateness mean %v, max %v, %d of %d over 1 ms",
		n, packets, share, st.Lateness.Mean(), st.Lateness.Max, st.Lateness.Over1ms, st.Lateness.Events)
	if share > 15 && !raceDetector {
		t.Errorf("at 10 Mbit/s the relay uses %.1f %% of a processor, want a few", share)
	}
	// What the receiver's socket had no room for is not the relay's fault.
	if n == 0 || st.ToServer.Delivered+st.ToServer.QueueDrops != packets {
		t.Errorf("%d packets arrive, %d are dropped from the queue, of %d: %+v", n, st.ToServer.QueueDrops, packets, st)
	}
}
