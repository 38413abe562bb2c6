package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// zone is a name service for tests.
type zone map[string][]string

var errNoName = errors.New("no such name")

func (z zone) lookup(_ context.Context, host string) (out []netip.Addr, err error) {
	list, ok := z[host]
	if !ok {
		return nil, errNoName
	}
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func TestNamesMatchTheAddressesThatTheyHad(t *testing.T) {
	p := wantPolicy(t, "connect db.example port 5432 quic identity=db.example", "connect default tcp")
	if got := fmt.Sprint(p.Names()); got != "[db.example]" {
		t.Fatalf("Names = %s", got)
	}
	wantConnect(t, p, "10.0.0.1:5432", "refuse - - p:2")
	z := zone{"db.example": {"10.0.0.1", "::ffff:10.0.0.2", "2001:db8::1"}}
	if err := p.Resolve(t.Context(), z.lookup); err != nil {
		t.Fatal(err)
	}
	for dest, want := range map[string]string{
		"10.0.0.1:5432":      "quic 10.0.0.1:8277 db.example p:1",
		"10.0.0.2:5432":      "quic 10.0.0.2:8277 db.example p:1",
		"[2001:db8::1]:5432": "quic [2001:db8::1]:8277 db.example p:1",
		"10.0.0.1:80":        "tcp - - p:2",
		"10.0.0.3:5432":      "tcp - - p:2",
	} {
		wantConnect(t, p, dest, want)
	}
	if d := p.Connect(at("10.0.0.1:5432")); d.Name != "db.example" {
		t.Errorf("Name is %q, want db.example", d.Name)
	}

	// A program may hold an address that the last answer did not have.
	z["db.example"] = []string{"10.0.0.9"}
	if err := p.Resolve(t.Context(), z.lookup); err != nil {
		t.Fatal(err)
	}
	wantConnect(t, p, "10.0.0.9:5432", "quic 10.0.0.9:8277 db.example p:1")
	wantConnect(t, p, "10.0.0.1:5432", "quic 10.0.0.1:8277 db.example p:1")
}

func TestPeersAreKnownByTheNameThatIsCalled(t *testing.T) {
	p := wantPolicy(t, "connect a.example port 1 quic", "connect a.example port 2 quic via=gw.example:1", "connect a.example port 3 quic via=192.0.2.1:1", "connect 10.0.0.1 port 4 quic via=gw.example:1")
	if err := p.Resolve(t.Context(), zone{"a.example": {"10.0.0.1"}, "gw.example": {"192.0.2.1"}}.lookup); err != nil {
		t.Fatal(err)
	}
	for dest, want := range map[string][2]string{
		"10.0.0.1:1": {"a.example", "a.example"}, "10.0.0.1:2": {"a.example", "gw.example"}, "10.0.0.1:3": {"a.example", ""}, "10.0.0.1:4": {"", "gw.example"}, "10.0.0.1:5": {},
	} {
		if d := p.Connect(at(dest)); d.Name != want[0] || d.PeerName != want[1] {
			t.Errorf("Connect(%s) has the names %q and %q, want %q", dest, d.Name, d.PeerName, want)
		}
	}
}

func TestNothingLeavesInTheClearThatMayBeOfANameWithoutAddress(t *testing.T) {
	p := wantPolicy(t, "connect 192.0.2.1 tcp", "connect c.example auto", "connect 192.0.2.2 tcp", "connect a.example quic", "connect b.example tcp", "connect 192.0.2.3 auto", "connect 192.0.2.4 quic", "connect default tcp")
	for dest, want := range map[string]string{
		"192.0.2.1:1": "tcp - - p:1", "192.0.2.2:1": "tcp - - p:3", "192.0.2.3:1": "refuse - - p:6", "192.0.2.4:1": "quic 192.0.2.4:8277 - p:7", "192.0.2.5:1": "refuse - - p:8",
	} {
		wantConnect(t, p, dest, want)
	}
	if d := p.Connect(at("192.0.2.5:1")); d.Unresolved != "a.example" {
		t.Errorf("Unresolved is %q, want a.example", d.Unresolved)
	}
	if err := p.Resolve(t.Context(), zone{"a.example": {"10.0.0.1"}}.lookup); err == nil {
		t.Error("no error for the other names")
	}
	for dest, want := range map[string]string{"192.0.2.3:1": "auto 192.0.2.3:8277 - p:6", "192.0.2.5:1": "tcp - - p:8", "10.0.0.1:1": "quic 10.0.0.1:8277 - p:4"} {
		wantConnect(t, p, dest, want)
	}
}

func TestNamesThatFailAreNamedAndKeepWhatIsKnown(t *testing.T) {
	p := wantPolicy(t, "connect a.example quic", "connect b.example quic", "connect default tcp")
	z := zone{"a.example": {"10.0.0.1"}, "b.example": {}}
	err := p.Resolve(t.Context(), z.lookup)
	var one *NameError
	if !errors.As(err, &one) || one.Host != "b.example" || err.Error() != "policy: host name b.example: no address" {
		t.Errorf("error %v, want that b.example has no address", err)
	}
	delete(z, "a.example")
	z["b.example"] = []string{"10.0.0.2"}
	err = p.Resolve(t.Context(), z.lookup)
	if !errors.Is(err, errNoName) || err.Error() != "policy: host name a.example: no such name; its 1 known addresses still count" {
		t.Errorf("error %v, want that a.example is lost", err)
	}
	wantConnect(t, p, "10.0.0.1:1", "quic 10.0.0.1:8277 - p:1")
	wantConnect(t, p, "10.0.0.2:1", "quic 10.0.0.2:8277 - p:2")
}

func TestGatewaysWithoutAddressFailInsteadOfLeavingInTheClear(t *testing.T) {
	p := wantPolicy(t, "connect 10.0.0.1 quic via=gw.example:443", "connect 10.0.0.2 auto via=gw.example:443")
	wantConnect(t, p, "10.0.0.1:80", "refuse - - p:1")
	if d := p.Connect(at("10.0.0.1:80")); d.Unresolved != "gw.example" {
		t.Errorf("Unresolved is %q, want gw.example", d.Unresolved)
	}
	wantConnect(t, p, "10.0.0.2:80", "tcp - - p:2")
	if d := p.Asked(at("10.0.0.2:80")); d.Via != Refuse || d.Unresolved != "gw.example" {
		t.Errorf("Asked = %+v, want refuse: it asked for QUIC", d)
	}
	z := zone{"gw.example": {"192.0.2.1", "192.0.2.2"}}
	for _, answer := range [][]string{{"192.0.2.1", "192.0.2.2"}, {"192.0.2.2", "192.0.2.1"}} { // in turns, as name servers do
		z["gw.example"] = answer
		if err := p.Resolve(t.Context(), z.lookup); err != nil {
			t.Fatal(err)
		}
		wantConnect(t, p, "10.0.0.1:80", "quic 192.0.2.1:443 - p:1")
		wantConnect(t, p, "10.0.0.2:80", "auto 192.0.2.1:443 - p:2")
	}
	z["gw.example"] = []string{"192.0.2.2"}
	if err := p.Resolve(t.Context(), z.lookup); err != nil {
		t.Fatal(err)
	}
	wantConnect(t, p, "10.0.0.1:80", "quic 192.0.2.2:443 - p:1")
}

func TestAddressesOfANameAreBounded(t *testing.T) {
	p := wantPolicy(t, "connect a.example quic", "connect default tcp")
	for round := range 3 {
		z := zone{}
		for i := range maxNameAddrs {
			z["a.example"] = append(z["a.example"], fmt.Sprintf("10.0.%d.%d", round, i))
		}
		if err := p.Resolve(t.Context(), z.lookup); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.table.Load().v4); n != maxNameAddrs+1 {
		t.Errorf("%d rows, want one for each of %d addresses and one for the rest", n, maxNameAddrs)
	}
	wantConnect(t, p, "10.0.2.63:1", "quic 10.0.2.63:8277 - p:1")
	wantConnect(t, p, "10.0.0.0:1", "tcp - - p:2")
}

func TestLookupsAreFewAtATimeAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		for i := range 3 * maxLookups {
			lines = append(lines, fmt.Sprintf("connect h%d.example quic", i))
		}
		p := wantPolicy(t, strings.Join(lines, "\n"))
		var now, most atomic.Int32
		started := time.Now()
		err := p.Resolve(t.Context(), func(ctx context.Context, host string) ([]netip.Addr, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that the time was over", err)
		}
		if most.Load() != maxLookups {
			t.Errorf("%d lookups at a time, want %d", most.Load(), maxLookups)
		}
		if took := time.Since(started); took != 3*lookupTimeout {
			t.Errorf("it took %v, want 3 times %v", took, lookupTimeout)
		}
	})
}

func TestResolveBesideDecisions(t *testing.T) {
	p := wantPolicy(t, "connect a.example quic via=b.example:1", "connect default tcp")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			z := zone{"a.example": {"10.0.0.1"}, "b.example": {fmt.Sprintf("10.1.0.%d", i)}}
			if err := p.Resolve(context.Background(), z.lookup); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 2000 {
		if d := p.Connect(at("10.0.0.1:1")); d.Via == QUIC && !d.Peer.IsValid() {
			t.Fatal("QUIC without a peer")
		}
	}
	<-done
}
