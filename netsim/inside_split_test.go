//go:build linux

package netsim

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

// setChecksumOffload switches the checksum offload of eth0 in the calling thread's namespace, and with it
// all segmentation offloads: without them the kernel cuts super-packets itself.
func setChecksumOffload(on uint32) error {
	value := struct{ cmd, data uint32 }{unix.ETHTOOL_STXCSUM, on}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{name: [unix.IFNAMSIZ]byte{'e', 't', 'h', '0'}, data: unsafe.Pointer(&value)}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// TestInsideSplitEqualsWhatTheKernelSends sends the same super-packet twice: once the relay splits it, once the kernel.
func TestInsideSplitEqualsWhatTheKernelSends(t *testing.T) {
	for family, name := range []string{"IPv4", "IPv6"} {
		t.Run(name, func(t *testing.T) {
			ours := superPackets(t, family, 1)
			kernels := superPackets(t, family, 0)
			if len(ours) != 8 || len(kernels) != 8 {
				t.Fatalf("%d packets split by the relay, %d by the kernel; want 8", len(ours), len(kernels))
			}
			for i := range ours {
				if !bytes.Equal(ours[i], kernels[i]) {
					t.Errorf("packet %d differs:\n relay %x\nkernel %x", i, ours[i][:80], kernels[i][:80])
				}
			}
		})
	}
}

// superPackets sends 7 segments and a half in one call and returns the IP packets of the left trace.
func superPackets(t *testing.T, family int, offload uint32) (list [][]byte) {
	w := newWorld(t, s0, false)
	w.in(t, Left, func() error { return setChecksumOffload(offload) })
	server := netip.AddrPortFrom(networks[Right].hosts[family], ServerPort)
	s := w.udp(t, Right, server)
	c := w.udp(t, Left, netip.AddrPortFrom(networks[Left].hosts[family], 50000))
	raw, err := c.SyscallConn()
	check(t, err)
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000) })
	if err == nil {
		_, err = c.WriteToUDPAddrPort(packet(Left, 7500, 0).Data, server)
	}
	if err != nil {
		need.Missing(t, "gso", "the kernel does not send super-packets with checksum offload %d: %v", offload, err)
	}
	for range 8 {
		_, err := s.Read(make([]byte, 2000))
		check(t, err)
	}
	w.shut()
	for _, p := range readTrace(t, w.left) {
		if ip, err := ParseIP(p.frame[etherHeaderLen:]); err == nil && ip.UDP && ip.Dst == server {
			list = append(list, ip.Data)
		}
	}
	countFromZero(list)
	return list
}

// countFromZero takes away the identification that the kernel chose for the first packet: it differs from
// call to call, but counts up within one.
func countFromZero(list [][]byte) {
	if len(list) == 0 || list[0][0]>>4 != 4 {
		return
	}
	base := binary.BigEndian.Uint16(list[0][4:])
	for _, ip := range list {
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])-base)
		setIPv4Checksum(ip)
	}
}
