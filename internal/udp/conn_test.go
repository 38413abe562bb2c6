package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
)

// testConns runs body with every implementation of Conn and each way a Socket can be set up.
func testConns(t *testing.T, body func(t *testing.T, open func(network, addr string) Conn)) {
	configs := []struct {
		name string
		cfg  Config
	}{
		{"offloads", Config{}},
		{"no GSO", Config{DisableGSO: true}},
		{"no GRO", Config{DisableGRO: true}},
		{"neither", Config{DisableGSO: true, DisableGRO: true}},
	}
	for _, c := range configs {
		t.Run("socket with "+c.name, func(t *testing.T) {
			body(t, func(network, addr string) Conn { return listen(t, network, addr, c.cfg) })
		})
	}
	t.Run("wrapped", func(t *testing.T) {
		body(t, func(network, addr string) Conn {
			pc, err := net.ListenPacket(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { pc.Close() })
			if err := pc.(*net.UDPConn).SetReadBuffer(1 << 20); err != nil {
				t.Fatal(err)
			}
			return Wrap(pc)
		})
	})
}

// families are the ways two sockets on one host can be paired: where each listens, where the first sends to.
var families = []struct{ name, network, listen, dst string }{
	{"v4", "udp4", "127.0.0.1:0", "127.0.0.1"},
	{"v6", "udp6", "[::1]:0", "::1"},
	{"dual stack to v4", "udp", ":0", "127.0.0.1"},
	{"dual stack to mapped v4", "udp", ":0", "::ffff:127.0.0.1"},
	{"dual stack to v6", "udp", ":0", "::1"},
}

func testFamilies(t *testing.T, body func(t *testing.T, network, listen string, dst netip.Addr)) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if strings.Contains(f.name, "v6") {
				needIPv6(t)
			}
			body(t, f.network, f.listen, netip.MustParseAddr(f.dst))
		})
	}
}

func needIPv6(t *testing.T) {
	t.Helper()
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		need.Missing(t, "ipv6", "no IPv6 loopback address on this host: %v", err)
	}
	c.Close()
}

func TestTrainBoundariesSurviveTheKernel(t *testing.T) {
	tests := []struct{ size, segment int }{
		{0, 0}, {0, 1200}, {1, 0}, {1200, 1200}, {1200, 5000}, {3600, 1200}, {3601, 1200}, {64 * 1000, 1000},
		{150*100 + 1, 100}, {65507, 1200}, {100_000, 1200}, {65000, 0}, {2 * 40_000, 40_000}, {5, 1},
	}
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		testFamilies(t, func(t *testing.T, network, addr string, dst netip.Addr) {
			from, to := open(network, addr), open(network, addr)
			for _, tc := range tests {
				want := cut(numbered(tc.size), tc.segment)
				mustWrite(t, from, numbered(tc.size), tc.segment, netip.AddrPortFrom(dst, to.LocalAddr().Port()))
				remote := netip.AddrPortFrom(dst.Unmap(), from.LocalAddr().Port())
				if got := readDatagrams(t, to, len(want), remote); !slices.EqualFunc(got, want, bytes.Equal) {
					t.Errorf("%d bytes by %d arrived as %v, want %v", tc.size, tc.segment, lengths(got), lengths(want))
				}
			}
		})
	})
}

func TestReadReturnsSeveralDatagramsAtOnceInOrder(t *testing.T) {
	from, to := listen(t, "udp4", "127.0.0.1:0", Config{}), listen(t, "udp4", "127.0.0.1:0", Config{})
	for i := range 5 {
		mustWrite(t, from, []byte{byte(i)}, 0, to.LocalAddr())
	}
	var got []byte
	for _, d := range readDatagrams(t, to, 5, from.LocalAddr()) {
		got = append(got, d...)
	}
	if want := []byte{0, 1, 2, 3, 4}; !bytes.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestReadIntoNothingReadsNothing(t *testing.T) {
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		if n, err := open("udp4", "127.0.0.1:0").Read(nil); n != 0 || err != nil {
			t.Errorf("Read(nil) = %d, %v, want 0, nil", n, err)
		}
	})
}

func TestArrivalTimeIsTheTimeOfReading(t *testing.T) {
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		c := open("udp4", "127.0.0.1:0")
		before := time.Now()
		mustWrite(t, c, []byte("x"), 0, c.LocalAddr())
		trains := make([]Train, 1)
		if _, err := c.Read(trains); err != nil {
			t.Fatal(err)
		}
		if at := trains[0].At; at.Before(before) || at.After(time.Now()) {
			t.Errorf("At = %v, want between %v and now", at, before)
		}
	})
}

func TestOversizedDatagramIsTooBigAndHarmless(t *testing.T) {
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		c := open("udp4", "127.0.0.1:0")
		segments := c.MaxSegments()
		for _, segment := range []int{0, 65508} {
			err := c.Write(make([]byte, 65508+segment), segment, c.LocalAddr(), netip.Addr{}, 0)
			if !errors.Is(err, ErrTooBig) || errors.Is(err, ErrTransient) {
				t.Errorf("writing 65508 bytes (segment %d): %v, want ErrTooBig", segment, err)
			}
		}
		if c.MaxSegments() != segments {
			t.Errorf("MaxSegments() = %d after that, was %d", c.MaxSegments(), segments)
		}
		mustWrite(t, c, []byte("still there"), 0, c.LocalAddr())
		if got := readDatagrams(t, c, 1, c.LocalAddr()); string(got[0]) != "still there" {
			t.Errorf("read %q after that", got[0])
		}
	})
}

func TestCloseUnblocksReadAndEndsWrite(t *testing.T) {
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		c := open("udp4", "127.0.0.1:0")
		started, done := make(chan struct{}), make(chan error)
		go func() {
			close(started)
			_, err := c.Read(make([]Train, 1))
			done <- err
		}()
		<-started
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read during Close: %v, want net.ErrClosed", err)
		}
		if _, err := c.Read(make([]Train, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: %v, want net.ErrClosed", err)
		}
		if err := c.Write([]byte("x"), 0, c.LocalAddr(), netip.Addr{}, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v, want net.ErrClosed", err)
		}
	})
}

func TestReadStopsAtItsDeadline(t *testing.T) {
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		c := open("udp4", "127.0.0.1:0")
		if err := c.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]Train, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v, want os.ErrDeadlineExceeded", err)
		}
	})
}

func TestConcurrentWritersDoNotMixTheirTrains(t *testing.T) {
	const rounds, writers, writes, segment, segments = 5, 8, 6, 100, 7 // a round fits the smallest receive buffer
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		from, to := open("udp4", "127.0.0.1:0"), open("udp4", "127.0.0.1:0")
		type kind struct{ writer, size int }
		got, want := map[kind]int{}, map[kind]int{}
		for range rounds {
			var wg sync.WaitGroup
			for id := range writers {
				buf := bytes.Repeat([]byte{byte(id)}, segment*segments-id)
				want[kind{id, segment}] += writes * (segments - 1)
				want[kind{id, segment - id}] += writes
				wg.Go(func() {
					for range writes {
						if err := from.Write(buf, segment, to.LocalAddr(), netip.Addr{}, 0); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for _, d := range readDatagrams(t, to, writers*writes*segments, from.LocalAddr()) {
				if n := bytes.Count(d, d[:1]); n != len(d) {
					t.Fatalf("datagram %v mixes two writers", d)
				}
				got[kind{int(d[0]), len(d)}]++
			}
			wg.Wait()
		}
		if !maps.Equal(got, want) {
			t.Errorf("datagrams by writer and size: %v, want %v", got, want)
		}
	})
}

func TestListenRefusesOtherNetworks(t *testing.T) {
	_, err := Listen(context.Background(), "tcp", "127.0.0.1:0", Config{})
	if want := `udp: listen on network "tcp", want udp, udp4 or udp6`; fmt.Sprint(err) != want {
		t.Errorf("Listen(tcp): %v, want %s", err, want)
	}
}

func TestListenReportsAnAddressInUse(t *testing.T) {
	first := listen(t, "udp4", "127.0.0.1:0", Config{})
	if s, err := Listen(context.Background(), "udp4", first.LocalAddr().String(), Config{}); err == nil {
		s.Close()
		t.Error("listening twice on one address worked, want an error")
	}
}

func TestEnvironmentOverridesConfig(t *testing.T) {
	for value, want := range map[string]bool{"": false, "0": false, "False": false, "no": false, "1": true, "true": true, "on": true} {
		t.Run("value "+value, func(t *testing.T) {
			for _, name := range []string{"QUIVER_DISABLE_GSO", "QUIVER_DISABLE_GRO", "QUIVER_DISABLE_ECN"} {
				t.Setenv(name, value)
			}
			if got := (Config{}).withEnv(); got.DisableGSO != want || got.DisableGRO != want || got.DisableECN != want {
				t.Errorf("with %q: %+v, want all %t", value, got, want)
			}
			if want := (Config{DisableGSO: true, DisableGRO: true, DisableECN: true}); !reflect.DeepEqual(want.withEnv(), want) {
				t.Errorf("with %q: the environment turned something on that Config disables", value)
			}
		})
	}
}

// mustWrite writes and fails the test on an error.
func mustWrite(t testing.TB, c Conn, buf []byte, segment int, to netip.AddrPort) {
	t.Helper()
	if err := c.Write(buf, segment, to, netip.Addr{}, 0); err != nil {
		t.Fatal(err)
	}
}

// readDatagrams reads want datagrams, all of which must come from remote, and copies them.
func readDatagrams(t testing.TB, c Conn, want int, remote netip.AddrPort) [][]byte {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	trains := make([]Train, 4)
	for len(got) < want {
		n, err := c.Read(trains)
		if err != nil {
			t.Fatalf("read %d datagrams of %d: %v", len(got), want, err)
		}
		for i := range n {
			if trains[i].Remote != remote {
				t.Fatalf("datagram from %v, want %v", trains[i].Remote, remote)
			}
			for d := range trains[i].Datagrams() {
				got = append(got, bytes.Clone(d))
			}
		}
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	return got
}

// cut is the plain model of what Write sends.
func cut(buf []byte, segment int) [][]byte {
	if len(buf) == 0 || segment <= 0 {
		return [][]byte{buf}
	}
	return slices.Collect(slices.Chunk(buf, segment))
}

func lengths(datagrams [][]byte) []int {
	var l []int
	for _, d := range datagrams {
		l = append(l, len(d))
	}
	return l
}

// TestFloodDoesNotKeepASocketOpen sends three datagrams for every one that arrives, some of them empty.
func TestFloodDoesNotKeepASocketOpen(t *testing.T) {
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		from, to := open("udp4", "127.0.0.1:0"), open("udp4", "127.0.0.1:0")
		flooded, done := make(chan bool), make(chan error, 1)
		calls := 0
		flood := func() {
			for _, p := range [][]byte{nil, {1}, make([]byte, 1000)} {
				from.Write(p, 0, to.LocalAddr(), netip.Addr{}, 0) // what the buffer has no room for is lost
			}
		}
		go func() {
			done <- Serve(to, make([]Train, 3), func(trains []Train) {
				for range trains {
					flood()
				}
				if calls++; calls == 100 {
					close(flooded)
				}
			})
		}()
		for range 10 {
			flood()
		}
		<-flooded
		to.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v, want net.ErrClosed", err)
		}
	})
}

func TestServeHandsOverAllThatArrivesUntilClose(t *testing.T) {
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		from, to := open("udp4", "127.0.0.1:0"), open("udp4", "127.0.0.1:0")
		arrived := make(chan byte, 100)
		done := make(chan error, 1)
		go func() {
			done <- Serve(to, make([]Train, 3), func(trains []Train) {
				for i := range trains {
					for d := range trains[i].Datagrams() {
						arrived <- d[0]
					}
				}
			})
		}()
		next := byte(0)
		for _, together := range []int{1, 1, 20, 1, 7} { // single ones, and more than one call takes
			for range together {
				mustWrite(t, from, []byte{next}, 0, to.LocalAddr())
				next++
			}
			for i := range together {
				if got, want := <-arrived, next-byte(together-i); got != want {
					t.Fatalf("datagram %d arrived, want %d", got, want)
				}
			}
		}
		to.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v, want net.ErrClosed", err)
		}
	})
}
