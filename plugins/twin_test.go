package plugins_test

import (
	"slices"
	"testing"

	"github.com/seed51309289/quiver/plugin/lab"
)

// The plugins that have a twin in the core carry transfers as their twin does: the same packets leave at the same times, lossy, long and bloated
// as the path may be. CUBIC and BBR compute with floating-point numbers, whose last bit may differ (see
// TestPluginsOfControllersDecideAsTheBuiltInOnes); over these paths it never moved a packet.
func TestPluginsOfControllersCarryTransfersAsTheBuiltInOnes(t *testing.T) {
	scenarios := []string{
		"clean --size=1MB --repeat=3 --sample=10ms",
		"loss-1 --size=500kB --repeat=6 --sample=10ms",
		"loss-5 --size=200kB --repeat=6 --sample=10ms",
		"burst --size=200kB --repeat=6 --sample=10ms",
		"reorder --size=500kB --repeat=3 --sample=10ms", // losses that are taken back
		"bufferbloat --size=1MB --repeat=2 --sample=10ms",
		"satellite --size=1MB --repeat=3 --sample=10ms",
		"shallow --size=1MB --repeat=3 --sample=10ms",
		"lte --size=20kB --times=10 --repeat=3 --sample=10ms", // limited by the application again and again
	}
	for _, name := range []string{"newreno", "cubic", "bbr"} {
		t.Run(name, func(t *testing.T) {
			for _, p := range compare(t, withBuiltin(name), withPlugin(t, "cc-"+name), scenarios...) {
				for i := range p.A.Repetitions {
					sameTransfer(t, &p, i)
				}
			}
		})
	}
}

func sameTransfer(t *testing.T, p *lab.Pair, i int) {
	t.Helper()
	a, b := &p.A.Repetitions[i], &p.B.Repetitions[i]
	if !slices.Equal(a.Flows, b.Flows) {
		t.Errorf("%s, seed %d: flows %+v, want %+v as the built-in", p.Scenario, a.Seed, b.Flows, a.Flows)
	}
	if a.Server.PacketsSent != b.Server.PacketsSent || a.Server.PacketsLost != b.Server.PacketsLost || a.Client.PacketsSent != b.Client.PacketsSent {
		t.Errorf("%s, seed %d: ends counted %+v and %+v, want %+v and %+v as with the built-in", p.Scenario, a.Seed, b.Client, b.Server, a.Client, a.Server)
	}
	for j := range min(len(a.Series), len(b.Series)) {
		if a.Series[j] != b.Series[j] {
			t.Errorf("%s, seed %d: sample %d is %+v, want %+v as with the built-in", p.Scenario, a.Seed, j, b.Series[j], a.Series[j])
			return
		}
	}
	if calls := b.Server.Extensions[0].Calls; calls < 10 {
		t.Errorf("%s, seed %d: the plugin was called %d times", p.Scenario, a.Seed, calls)
	}
}
