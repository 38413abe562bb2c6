package control

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// only is a supervisor's answer: tcp is at udp, nothing else is.
func only(tcp, udp uint16) func(uint16) (uint16, bool) {
	return func(port uint16) (uint16, bool) { return udp, port == tcp }
}

func TestOtherSupervisorsAreAskedForAPort(t *testing.T) {
	runtimeDir(t)
	shared := publish(t, Program{}, only(9000, 8277)) // knows 9000 itself, and is not asked
	publish(t, Program{}, only(8000, 40001))
	publish(t, Program{}, nil)
	for _, tc := range []struct {
		name string
		ask  *Publication
		tcp  uint16
		udp  uint16
		ok   bool
	}{
		{"of another", shared, 8000, 40001, true},
		{"of nobody", shared, 8001, 0, false},
		{"its own", shared, 9000, 0, false},
		{"by one who is not published", nil, 9000, 8277, true},
	} {
		for range 2 { // the second from memory
			udp, pid, ok := tc.ask.Elsewhere(t.Context(), tc.tcp)
			if udp != tc.udp || ok != tc.ok || ok && pid != os.Getpid() {
				t.Errorf("port %s: %d of process %d, %t, want %d, %t", tc.name, udp, pid, ok, tc.udp, tc.ok)
			}
		}
	}
}

func TestSupervisorsOfOtherNetworksAreNotElsewhere(t *testing.T) {
	runtimeDir(t)
	asker := publish(t, Program{}, nil)
	asker.network = "net:[1]"
	publish(t, Program{}, only(8000, 40001))
	if udp, _, ok := asker.Elsewhere(t.Context(), 8000); ok {
		t.Errorf("got port %d of another network namespace", udp)
	}
}

func TestQuestionsForPortsAreChecked(t *testing.T) {
	runtimeDir(t)
	p := publish(t, Program{}, only(8000, 40001))
	dir, err := openDirectory(p.dir.path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	s := &socket{dir, p.name}
	for question, want := range map[string]int{
		"/v1/port": 400, "/v1/port?tcp=0": 400, "/v1/port?tcp=65536": 400, "/v1/port?tcp=x": 400, "/v1/port?tcp=8000&network=moon": 404, "/v2/port": 404,
	} {
		_, err := s.get(t.Context(), question)
		if e, ok := err.(*statusError); !ok || e.code != want {
			t.Errorf("%s: %v, want status %d %s", question, err, want, http.StatusText(want))
		}
	}
}

func TestAnswersForPortsHoldForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		searched := 0
		search := func() (portAnswer, bool) { searched++; return portAnswer{UDP: uint16(searched)}, true }
		for i, want := range []uint16{1, 1, 2} {
			if a, ok, err := m.ask(t.Context(), 80, search); a.UDP != want || !ok || err != nil {
				t.Errorf("answer %d = %d, %t, %v, want %d", i, a.UDP, ok, err, want)
			}
			time.Sleep(rememberPort/2 + 1)
		}
	})
}

func TestAListenerIsFoundAsSoonAsItListens(t *testing.T) {
	var m memory
	for _, listens := range []bool{false, true} {
		if _, ok, err := m.ask(t.Context(), 80, func() (portAnswer, bool) { return portAnswer{UDP: 1}, listens }); ok != listens || err != nil {
			t.Errorf("found %t, %v, want %t", ok, err, listens)
		}
	}
}

func TestMemoryForPortsIsBounded(t *testing.T) {
	var m memory
	now := time.Now()
	for i := range 3 * maxRemembered {
		m.learn(uint16(i), remembered{until: now.Add(time.Second)}, now)
		if len(m.answers) > maxRemembered {
			t.Fatalf("%d answers, want at most %d", len(m.answers), maxRemembered)
		}
	}
	// What is over goes first.
	m = memory{}
	for i := range maxRemembered {
		m.learn(uint16(i), remembered{until: now.Add(time.Duration(i%2) * time.Second)}, now)
	}
	m.learn(60000, remembered{until: now.Add(time.Second)}, now)
	if len(m.answers) != maxRemembered/2+1 {
		t.Errorf("%d answers, want the half that holds and the new one", len(m.answers))
	}
}

func TestSearchesForPortsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		var now, most atomic.Int32
		go func() {
			for i := range 5 * maxSearches {
				go m.ask(t.Context(), uint16(i+1), func() (portAnswer, bool) {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Second)
					now.Add(-1)
					return portAnswer{}, false
				})
			}
		}()
		synctest.Wait()
		// One that cannot wait does not.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := m.ask(ctx, 9, nil); err == nil {
			t.Error("asked although there is no room")
		}
		time.Sleep(time.Minute)
		if most.Load() != maxSearches {
			t.Errorf("%d searches at once, want %d", most.Load(), maxSearches)
		}
	})
}
