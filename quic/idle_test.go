package quic_test

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/quic"
)

// maxIdle is what an idle connection of a server may keep of the heap, in bytes.
const maxIdle = 5<<10 + 768

// TestIdleConnectionsAreSmall measures connections of a server that served a
// request each and rest. $IDLE_CONNS asks for another number of them, and
// $IDLE_PROFILE for a heap profile.
func TestIdleConnectionsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	n := 200
	if s := os.Getenv("IDLE_CONNS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	inWorld(t, calm, func(w *world) {
		forever := &quic.Config{MaxIdleTimeout: -1}
		l := w.listen(forever)
		var servers []*quic.Conn
		// serve makes connections of which the client's ends are forgotten.
		serve := func(n int) {
			tr := w.transport(netsim.Left, 0)
			clients := make([]*quic.Conn, n)
			for i := range clients {
				c, err := tr.Dial(background, l.Addr(), w.clientTLS, forever)
				if err != nil {
					t.Fatal(err)
				}
				s := w.accept(l)
				cs, ss := w.streams(c, s)
				ss.Write(make([]byte, 10_000))
				ss.Close()
				cs.Close()
				clients[i], servers = c, append(servers, s)
			}
			time.Sleep(5 * time.Second)
			for _, c := range clients {
				c.Abandon()
			}
			tr.Close()
			time.Sleep(time.Minute)
		}
		serve(n) // the network and the transports take their memory
		before, goroutines := heap(), runtime.NumGoroutine()
		serve(n)
		each := int(heap()-before) / n
		t.Logf("an idle connection takes %d bytes", each)
		if each > maxIdle {
			t.Errorf("an idle connection takes %d bytes of the heap, want at most %d", each, maxIdle)
		}
		if more := runtime.NumGoroutine() - goroutines; more > 0 {
			t.Errorf("%d idle connections have %d goroutines, want none", n, more)
		}
		if name := os.Getenv("IDLE_PROFILE"); name != "" {
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			pprof.Lookup("heap").WriteTo(f, 0)
			f.Close()
		}
		for _, s := range servers { // rested connections go on
			if _, err := s.OpenUniStream(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools kept over the first
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
