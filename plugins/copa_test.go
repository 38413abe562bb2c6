package plugins_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/plugin/lab"
)

// queueing returns quantiles of the time that packets waited in queues, of all samples of all repetitions.
func queueing(r *lab.Result) (p50, p95 time.Duration) {
	var list []time.Duration
	for i := range r.Repetitions {
		for _, s := range r.Repetitions[i].Series {
			if s.RTT > 0 {
				list = append(list, s.RTT-r.Scenario.RTT())
			}
		}
	}
	slices.Sort(list)
	return list[len(list)/2], list[len(list)*95/100]
}

func TestCopaKeepsTheQueueOfABloatedPathShort(t *testing.T) {
	for _, p := range compare(t, withBuiltin("cubic"), withPlugin(t, "cc-copa"),
		"bufferbloat --size=5MB --sample=10ms",
		"bufferbloat --bandwidth=20Mbps --size=10MB --sample=10ms",
		"bufferbloat --rtt=100ms --size=5MB --sample=10ms") {
		cubic50, cubic95 := queueing(p.A)
		copa50, copa95 := queueing(p.B)
		goodput := measure(t, p.B, "goodput") / measure(t, p.A, "goodput")
		t.Logf("%s\nqueueing p50 %v, p95 %v with cubic; %v, %v with copa; goodput %.3f of cubic's", p.Scenario, cubic50, cubic95, copa50, copa95, goodput)
		if copa50*8 > cubic50 || copa95*8 > cubic95 {
			t.Errorf("%s: packets wait %v, the 95th percentile %v; want an eighth of cubic's %v and %v at the most", p.Scenario, copa50, copa95, cubic50, cubic95)
		}
		if goodput < 0.9 {
			t.Errorf("%s: goodput %.3f of cubic's, want 0.9", p.Scenario, goodput)
		}
	}
}

// What pacing at twice the window's rate would make of a queue of ten packets is loss without end.
func TestCopaLosesLittleInAShortQueue(t *testing.T) {
	for _, p := range compare(t, withBuiltin("cubic"), withPlugin(t, "cc-copa"), "shallow --size=5MB", "shallow --queue=20 --size=5MB") {
		lost := measure(t, p.B, "lost") / measure(t, p.B, "packets")
		goodput := measure(t, p.B, "goodput") / measure(t, p.A, "goodput")
		t.Logf("%s: %.1f %% lost, goodput %.2f of cubic's", p.Scenario, 100*lost, goodput)
		if lost > 0.02 || goodput < 1 {
			t.Errorf("%s: %.1f %% lost, goodput %.2f of cubic's; want at most 2 %%, and 1", p.Scenario, 100*lost, goodput)
		}
	}
}

// On long paths slow start may end early: half of a round trip of its own packets, sent at twice the window's rate, looks like a queue. What is
// missing then comes over tens of round trips.
func TestCopaFillsCleanPathsWithAFewPackets(t *testing.T) {
	copa := extension(t, "cc-copa", nil)
	for _, rate := range []int64{2e6, 10e6, 50e6} {
		for _, rtt := range []time.Duration{30 * time.Millisecond, 80 * time.Millisecond, 200 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d Mbit/s, %v", rate/1e6, rtt), func(t *testing.T) {
				t.Parallel()
				link := netsim.LinkConfig{Delay: rtt / 2, Bandwidth: rate, QueuePackets: 2000}
				s := &sender{plugin: &copa}
				grown := max(3*time.Second, 75*rtt)
				shareBottleneck(t, 1, link, grown, grown+5*time.Second, s)
				use := float64(s.sent*8) / 5 / float64(rate) * fullPacket / payload
				if queue := s.queue(link, 0.5); use < 0.93 || queue > 6 {
					t.Errorf("%.3f of the link is used, %.1f packets wait; want 0.93 and at most 6", use, queue)
				}
			})
		}
	}
}

func TestTwoSendersWithCopaShareAPathAndKeepItsQueueShort(t *testing.T) {
	copa := extension(t, "cc-copa", nil)
	for _, rtt := range []time.Duration{20 * time.Millisecond, 80 * time.Millisecond} {
		for _, later := range []time.Duration{700 * time.Millisecond, 1900 * time.Millisecond, 3300 * time.Millisecond} {
			t.Run(fmt.Sprintf("%v, the second %v later", rtt, later), func(t *testing.T) {
				t.Parallel()
				link := netsim.LinkConfig{Delay: rtt / 2, Bandwidth: 10e6, QueuePackets: 2000}
				a, b := &sender{plugin: &copa}, &sender{plugin: &copa, from: later}
				shareBottleneck(t, 1, link, 6*time.Second, 16*time.Second, a, b)
				share := float64(a.sent) / float64(a.sent+b.sent)
				if queue := a.queue(link, 0.5); share < 0.45 || share > 0.55 || queue > 10 {
					t.Errorf("the first has %.2f of the bytes, %.1f packets wait; want 0.45 to 0.55 and at most 10", share, queue)
				}
			})
		}
	}
}

// Beside CUBIC the queue never empties: Copa must become as demanding, and must come back when CUBIC has gone.
func TestCopaHoldsItsOwnBesideCubicAndComesBack(t *testing.T) {
	copa := extension(t, "cc-copa", nil)
	for _, queue := range []int{30, 60, 120} { // the path holds 34 packets
		for _, later := range []time.Duration{0, 1900 * time.Millisecond} {
			t.Run(fmt.Sprintf("a queue of %d, CUBIC %v later", queue, later), func(t *testing.T) {
				t.Parallel()
				link := netsim.LinkConfig{Delay: 20 * time.Millisecond, Bandwidth: 10e6, QueuePackets: queue}
				a, b := &sender{plugin: &copa}, &sender{from: later}
				shareBottleneck(t, 1, link, 10*time.Second, 30*time.Second, a, b)
				share := float64(a.sent) / float64(a.sent+b.sent)
				if share < 0.3 || share > 0.7 {
					t.Errorf("Copa has %.2f of the bytes, want 0.3 to 0.7", share)
				}
				a, b = &sender{plugin: &copa}, &sender{from: later, until: 10 * time.Second}
				shareBottleneck(t, 1, link, 20*time.Second, 24*time.Second, a, b)
				if queue := a.queue(link, 0.5); queue > 6 {
					t.Errorf("ten seconds after CUBIC ended %.1f packets wait, want at most 6", queue)
				}
			})
		}
	}
}
