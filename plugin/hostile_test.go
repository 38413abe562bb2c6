package plugin_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/plugin"
)

// hostile are the guests of testdata/hostile: what becomes of each on a connection that transfers a megabyte.
var hostile = map[string]struct {
	fault error  // what ends it; nil = it may go on
	says  string // part of that
	slow  int    // how many times longer the transfer may take; 0 = a tenth longer
}{
	"loop":          {fault: plugin.ErrFuel},
	"recursion":     {fault: errAny},
	"indirect":      {fault: errAny},
	"memory":        {},
	"clobber":       {fault: plugin.ErrResult},
	"zero":          {},
	"wild-window":   {fault: plugin.ErrResult, says: "window of 4611686018427387904"},
	"no-window":     {slow: 1000},
	"late-ack":      {slow: 4},
	"wrong-stream":  {fault: plugin.ErrResult, says: "stream 2147483647 of 1"},
	"host-calls":    {fault: plugin.ErrFuel, says: "in pq_call"},
	"host-lengths":  {fault: plugin.ErrFuel},
	"lying-lengths": {},
	"timers":        {},
	"talk":          {fault: plugin.ErrFuel, says: "a second"},
	"flood":         {slow: 3},
	"oversized":     {fault: plugin.ErrResult, says: "4000 bytes, there is room for 100"},
	"frames":        {fault: errAny, says: "malformed"},
	"recovered":     {fault: errAny},
	"attach":        {},
	"busy":          {},
	"storm":         {},
}

var errAny = errors.New("any fault")

// TestNoHostilePluginHarmsItsConnection: it ends with what it did, or goes on within its bounds, and the transfer is made.
func TestNoHostilePluginHarmsItsConnection(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.wat")
	if err != nil || len(files) != len(hostile) {
		t.Fatalf("%d guests (%v), %d expectations", len(files), err, len(hostile))
	}
	without, _ := transfer(t, nil, nil)
	for name, want := range hostile {
		t.Run(name, func(t *testing.T) {
			engines(t, func(t *testing.T, r *plugin.Runtime) {
				m := load(t, r, readHostile(t, name), plugin.Policy{})
				took, stats := transfer(t, m, begin(t, m).Config)
				most := without * time.Duration(want.slow)
				if want.slow == 0 {
					most = without + without/10
				}
				if took > most {
					t.Errorf("the transfer took %v, %v without the plugin", took, without)
				}
				checkHostile(t, took, stats, want.fault, want.says)
			})
		})
	}
}

func checkHostile(t *testing.T, took time.Duration, stats []hook.ExtensionStats, fault error, says string) {
	t.Helper()
	if len(stats) != 2 {
		t.Fatalf("%d plugins were attached, want one at each end", len(stats))
	}
	failed := false
	for _, s := range stats {
		if s.MaxFuel > plugin.DefaultFuel {
			t.Errorf("a call took %d units of fuel, at most %d", s.MaxFuel, plugin.DefaultFuel)
		}
		// With a second for the handshake: fuel is what it can take from other connections.
		if most := plugin.DefaultFuelBurst + uint64((took+time.Second).Seconds()*plugin.DefaultFuelRate) + s.Calls*plugin.DefaultFuelPerPacket; s.Fuel > most {
			t.Errorf("%d units of fuel, at most %d", s.Fuel, most)
		}
		if s.Memory > 16<<16 {
			t.Errorf("%d bytes of memory, at most 16 pages", s.Memory)
		}
		if !s.Detached || s.Why != hook.DetachFault {
			continue
		}
		failed = true
		if fault == nil {
			t.Errorf("failed: %v", s.Err)
		} else if fault != errAny && !errors.Is(s.Err, fault) || !strings.Contains(s.Err.Error(), says) || strings.Contains(s.Err.Error(), "\n") {
			t.Errorf("failed with %q, want %v and %q in one line", s.Err, fault, says)
		}
	}
	if fault != nil && !failed {
		t.Error("did not fail")
	}
}

const transferred = 1 << 20

// transfer has the server send a megabyte over 20 Mbit/s and 40 ms, with a plugin at each end. It returns how long that took on the clock of
// the network, and what the plugins did.
func transfer(t *testing.T, m *plugin.Module, config []byte) (took time.Duration, stats []hook.ExtensionStats) {
	t.Helper()
	link := netsim.LinkConfig{Delay: 20 * time.Millisecond, Bandwidth: 20_000_000, QueuePackets: 100}
	p := virtual.NewPair(7, virtual.Options{ToServer: link, ToClient: link})
	defer p.Close()
	body := bytes.Repeat([]byte("0123456789abcdef"), transferred/16)
	p.Client.OnConn = func(c *virtual.Peer) { extend(t, c, m, config) }
	p.Server.OnConn = func(c *virtual.Peer) {
		extend(t, c, m, config)
		c.Serve(func([]byte) []byte { return body })
	}
	c, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if !p.Run(10*time.Second, func() bool { return c.Confirmed }) {
		t.Fatalf("no handshake: %v", p.Err())
	}
	began := p.Clock.Since()
	f := c.Get([]byte("all"))
	if !p.Run(time.Hour, func() bool { return f.Done }) || !bytes.Equal(f.Body.Bytes(), body) {
		t.Fatalf("the transfer was not made: %d bytes, %v, %v", f.Body.Len(), f.Err, p.Err())
	}
	took = p.Clock.Since() - began
	stats = c.ExtensionStats(stats)
	return took, p.Server.Conns[0].ExtensionStats(stats)
}

// extend attaches m, if there is one, to a connection.
func extend(t *testing.T, c *virtual.Peer, m *plugin.Module, config []byte) {
	t.Helper()
	if m == nil {
		return
	}
	x, err := m.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Extend(x, config); err != nil {
		t.Fatal(err)
	}
}

// TestAnAttachThatLoopsIsAnError: its author kept that from those who tried it.
func TestAnAttachThatLoopsIsAnError(t *testing.T) {
	m := load(t, runtime(t), readHostile(t, "attach"), plugin.Policy{})
	x, err := m.New()
	if err != nil {
		t.Fatal(err)
	}
	p := virtual.NewPair(7, virtual.Options{})
	defer p.Close()
	c, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Extend(x, []byte{1, 0, 0, 0, 0, 0, 0, 0}); !errors.Is(err, plugin.ErrFuel) {
		t.Errorf("attach = %v, want ErrFuel", err)
	}
	if !p.Run(10*time.Second, func() bool { return c.Confirmed }) {
		t.Errorf("no handshake: %v", p.Err())
	}
}

// TestNoCallCanRunForAMillisecond: a unit of fuel takes half a nanosecond where divisions are slow, and twice that is kept in hand. Collections of
// garbage wait for a call to end.
func TestNoCallCanRunForAMillisecond(t *testing.T) {
	const most = 1_000_000 // units
	if plugin.LongestCall > most {
		t.Errorf("a call may run %d units, want at most %d", plugin.LongestCall, most)
	}
	for name, text := range map[string]string{
		"attach":  strings.Replace(nop, "(return (call $attach))", "(loop (br 0))", 1),
		"pq_init": strings.Replace(nop, "PRELUDE", `PRELUDE (func (export "pq_init") (loop (br 0)))`, 1),
		"pq_abi":  strings.Replace(nop, "PRELUDE", strings.Replace(prelude, "i32.const 0x10000", "(loop (br 0)) i32.const 0x10000", 1), 1),
	} {
		_, err := runtime(t).Load(t.Context(), "long.wasm", build(t, name, text), plugin.Policy{})
		if !errors.Is(err, plugin.ErrFuel) && (err == nil || !strings.Contains(err.Error(), plugin.ErrFuel.Error())) {
			t.Errorf("%s that never ends: %v", name, err)
		}
	}
}

func readHostile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "hostile", name+".wat"))
	if err != nil {
		t.Fatal(err)
	}
	return build(t, name, string(text))
}
