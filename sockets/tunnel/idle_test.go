//go:build unix

package tunnel

import (
	"io"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
)

// maxIdle is what an idle pump may take, in bytes of heap and stacks, with its
// stream, its leg and its part of the QUIC connection.
const maxIdle = 20 << 10

// TestIdlePumpsAreSmall measures pumps that carried something each way and now
// wait. $IDLE_PUMPS asks for another number of them, and $IDLE_PROFILE for a
// heap profile.
func TestIdlePumpsAreSmall(t *testing.T) {
	n := 200
	if s := os.Getenv("IDLE_PUMPS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	w := onLoopback(t, Options{})
	programs := make([][2]*net.TCPConn, 2*n) // made before, so that they do not count
	for i := range programs {
		a, b := tcpPair(t)
		programs[i] = [2]*net.TCPConn{a, b}
	}
	warm := w.pumped()
	roundTrip(t, warm.near, warm.far)
	before := memory()
	done := make(chan Result, 2*n)
	for i := range n {
		ns, fs := w.pair()
		near, far := programs[2*i], programs[2*i+1]
		go func() { done <- Pump(near[0], ns) }()
		go func() { done <- Pump(far[0], fs) }()
		roundTrip(t, near[1], far[1])
	}
	each := int(memory()-before) / (2 * n)
	t.Logf("an idle pump takes %d bytes", each)
	if each > maxIdle {
		t.Errorf("an idle pump takes %d bytes, want at most %d", each, maxIdle)
	}
	if name := os.Getenv("IDLE_PROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		pprof.Lookup("heap").WriteTo(f, 0)
		f.Close()
	}
	for _, p := range programs {
		p[1].Close()
	}
	for range 2 * n {
		<-done
	}
}

func roundTrip(t *testing.T, near, far *net.TCPConn) {
	t.Helper()
	buf := make([]byte, 10_000)
	for _, way := range [][2]*net.TCPConn{{near, far}, {far, near}} {
		way[0].Write(buf)
		if _, err := io.ReadFull(way[1], buf); err != nil {
			t.Fatal(err)
		}
	}
}

func memory() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools kept over the first
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
