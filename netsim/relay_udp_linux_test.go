package netsim

import (
	"bytes"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

func TestRunUDPTakesSuperPacketsApartAndCarriesECN(t *testing.T) {
	for host, v6 := range map[string]bool{"127.0.0.1": false, "::1": true} {
		server, client := listenUDP(t, host), listenUDP(t, host)
		wantECN(server)
		at := localAP(server)
		front, stop := startUDP(t, UDPConfig{Listen: loopbackOf(at), Target: at, Scenario: mustScenario(t, s0), Seed: 1})
		raw, err := client.SyscallConn()
		check(t, err)
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000) })
		if err != nil {
			need.Missing(t, "gso", "no UDP segmentation offload here: %v", err)
		}
		data := packet(Left, 5500, 0).Data
		if _, _, err := client.WriteMsgUDPAddrPort(data, appendECN(nil, 1, v6), front); err != nil {
			need.Missing(t, "gso", "the kernel does not send super-packets on loopback: %v", err)
		}
		var got []byte
		buf, oob := make([]byte, 9000), make([]byte, ecnSpace)
		server.SetReadDeadline(time.Now().Add(5 * time.Second))
		for range 6 {
			n, oobn, _, _, err := server.ReadMsgUDPAddrPort(buf, oob)
			check(t, err)
			if ecn := readECN(oob[:oobn]); ecn != 1 || n > 1000 {
				t.Errorf("%s: datagram of %d bytes with ECN bits %d, want at most 1000 and 1", host, n, ecn)
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%s: payload differs after the relay", host)
		}
		if st := stop(); st.ToServer.Packets != 6 {
			t.Errorf("%s: %d packets entered the link, want 6", host, st.ToServer.Packets)
		}
	}
}
