package netsim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func pair(t *testing.T, scenario string) (n *Network, client, server *Conn) {
	t.Helper()
	n = NewNetwork(mustScenario(t, scenario), 1)
	client, err := n.Listen(Left, netip.AddrPort{})
	check(t, err)
	server, err = n.Listen(Right, serverAP)
	check(t, err)
	t.Cleanup(func() { n.Close() })
	return n, client, server
}

func TestConnRoundTripTakesTheTimeOfTheModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, server := pair(t, s0)
		go func() {
			buf := make([]byte, 2000)
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				t.Errorf("server: %v", err)
				return
			}
			server.WriteTo(buf[:n], from)
		}()
		start := time.Now()
		client.WriteTo(make([]byte, 1200), server.LocalAddr())
		n, from, err := client.ReadFrom(make([]byte, 2000))
		if n != 1200 || err != nil || from.String() != serverAP.String() {
			t.Fatalf("echo = %d bytes from %v, %v; want 1200 from %v", n, from, err, serverAP)
		}
		want := 2 * (15*time.Millisecond + serialisation(1228, 10_000_000))
		if took := time.Since(start); took != want {
			t.Errorf("round trip takes %v, want %v", took, want)
		}
	})
}

func TestConnDeadlineEndsAWaitingReadOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, _ := pair(t, s0)
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Second))
		_, _, err := client.ReadFrom(make([]byte, 10))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read after its deadline = %v, want a timeout", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("read ends after %v, want 1s", took)
		}
		client.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			client.SetReadDeadline(time.Now().Add(-time.Second))
		}()
		if _, _, err := client.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read while a past deadline is set = %v, want a timeout", err)
		}
	})
}

func TestConnCloseEndsReadsAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, server := pair(t, s0)
		time.AfterFunc(time.Second, func() { client.Close() })
		if _, _, err := client.ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read of a closed socket = %v, want net.ErrClosed", err)
		}
		if _, err := client.WriteTo([]byte("x"), server.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write to a closed socket = %v, want net.ErrClosed", err)
		}
	})
}

func TestConnKeepsOrderAndLosesWhatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, server := pair(t, "link --delay=1ms")
		for i := range maxInbox + 10 {
			client.WritePacket(fmt.Appendf(nil, "%d", i), serverAP, uint8(i%4))
		}
		time.Sleep(2 * time.Millisecond)
		if got := server.Overflow(); got != 10 {
			t.Errorf("%d datagrams lost, want 10", got)
		}
		buf := make([]byte, 10)
		for i := range maxInbox {
			n, _, ecn, err := server.ReadPacket(buf)
			if err != nil || string(buf[:n]) != fmt.Sprint(i) || ecn != uint8(i%4) {
				t.Fatalf("datagram %d reads %q, ECN %d, %v", i, buf[:n], ecn, err)
			}
		}
		server.SetReadDeadline(time.Now().Add(time.Second))
		if n, _, _, err := server.ReadPacket(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after a full inbox another datagram reads %q, %v", buf[:n], err)
		}
	})
}

func TestConnWithoutDelayArrivesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, server := pair(t, "link")
		client.WriteTo([]byte("now"), server.LocalAddr())
		server.SetReadDeadline(time.Now().Add(time.Nanosecond))
		if n, _, err := server.ReadFrom(make([]byte, 10)); n != 3 || err != nil {
			t.Errorf("read = %d, %v; want the datagram", n, err)
		}
	})
}

func TestNetworkRefusesAnAddressInUse(t *testing.T) {
	n, client, _ := pair(t, s0)
	if _, err := n.Listen(Left, client.local); err == nil {
		t.Errorf("second socket on %v opens", client.local)
	}
	other, err := n.Listen(Left, netip.AddrPort{})
	check(t, err)
	if other.local == client.local {
		t.Errorf("two sockets have %v", other.local)
	}
}
