package udp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// shared opens sockets at one address.
func shared(t *testing.T, addr string, n int) []*net.UDPConn {
	t.Helper()
	lc := net.ListenConfig{Control: ReusePort}
	var socks []*net.UDPConn
	for range n {
		c, err := lc.ListenPacket(context.Background(), "udp", addr)
		if err != nil {
			t.Skipf("listen %s: %v", addr, err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		socks = append(socks, c.(*net.UDPConn))
		addr = c.LocalAddr().String()
	}
	return socks
}

// collect tells from every socket what arrives.
func collect(socks []*net.UDPConn) <-chan arrival {
	arrivals := make(chan arrival, 64)
	for i, c := range socks {
		go func() {
			buf := make([]byte, 2000)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				arrivals <- arrival{i, string(buf[:n])}
			}
		}()
	}
	return arrivals
}

type arrival struct {
	socket int
	data   string
}

// want returns where a datagram arrived.
func want(t *testing.T, arrivals <-chan arrival, data []byte) int {
	t.Helper()
	select {
	case a := <-arrivals:
		if a.data != string(data) {
			t.Fatalf("got %x, sent %x", a.data, data)
		}
		return a.socket
	case <-time.After(10 * time.Second):
		t.Fatalf("%x did not arrive", data)
	}
	return -1
}

func TestKernelSteersShortHeadersByConnectionID(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		for _, n := range []int{2, 3, 5} {
			t.Run(fmt.Sprint(host, " ", n), func(t *testing.T) { testSteering(t, host, n) })
		}
	}
}

func testSteering(t *testing.T, host string, n int) {
	socks := shared(t, host+":0", n)
	luck := rand.New(rand.NewPCG(5, uint64(n)))
	s := NewSteering([8]byte(randomID(luck)), n)
	if err := s.Attach(socks[n-1]); err != nil {
		t.Fatal(err)
	}
	arrivals := collect(socks)
	byAddress := map[int]bool{}
	for range 24 {
		client, err := net.Dial("udp", socks[0].LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for socket := range n {
			id := randomID(luck)
			s.Shape(id[:], socket)
			short := append([]byte{0x40 | byte(luck.Uint32())&0x3f}, id[:]...)
			if socket%2 == 0 {
				short = append(short, "more"...)
			}
			client.Write(short)
			if got := want(t, arrivals, short); got != socket {
				t.Fatalf("%x arrived at socket %d, want %d", short, got, socket)
			}
		}
		// All else goes by the addresses: always to the same socket.
		at := -1
		for _, data := range [][]byte{append([]byte{0xc0}, make([]byte, 40)...), {0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0x40, 1, 2, 3, 4, 5, 6, 7}, {0x40}, {}} {
			client.Write(data)
			got := want(t, arrivals, data)
			if at >= 0 && got != at {
				t.Errorf("%x arrived at socket %d, what was sent before at %d", data, got, at)
			}
			at = got
			byAddress[at] = true
		}
	}
	if len(byAddress) < 2 {
		t.Errorf("24 clients' long headers all went to one socket of %d", n)
	}
}

func TestSteeringNeedsASharedAddress(t *testing.T) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if NewSteering([8]byte{}, 2).Attach(c) == nil {
		t.Error("a closed socket: no error")
	}
}
