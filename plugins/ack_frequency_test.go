package plugins_test

import (
	"testing"

	"github.com/seed51309289/quiver/plugin/lab"
)

// The way back carries less than a hundredth or a twentieth of the way there: acknowledgments of every second packet fill it.
func TestFewerAcknowledgmentsOnANarrowWayBackCostNoGoodput(t *testing.T) {
	for _, perTrip := range []string{"4", "8"} {
		end := lab.End{Extensions: []lab.Extension{extension(t, "ack-frequency", map[string]string{"per_trip": perTrip})}}
		for _, p := range compare(t, lab.Setup{}, lab.Setup{Name: "ack-frequency", Client: end, Server: end},
			"link --delay=15ms --bandwidth_to_client=20Mbps --bandwidth_to_server=100kbps --queue=100 --size=5MB",
			"link --delay=15ms --bandwidth_to_client=20Mbps --bandwidth_to_server=200kbps --queue=100 --size=5MB",
			"link --delay=15ms --bandwidth_to_client=20Mbps --bandwidth_to_server=1Mbps --queue=100 --size=5MB") {
			a, b := &p.A.Repetitions[0].Client, &p.B.Repetitions[0].Client // receives
			goodput := measure(t, p.B, "goodput") / measure(t, p.A, "goodput")
			packets, bytes := float64(b.PacketsSent)/float64(a.PacketsSent), float64(b.BytesSent)/float64(a.BytesSent)
			t.Logf("%s acknowledgments a round trip, %s: goodput %.2f, packets back %.2f, bytes back %.2f of those without", perTrip, p.Scenario, goodput, packets, bytes)
			if goodput < 0.99 || packets > 0.85 || bytes > 0.98 {
				t.Errorf("%s acknowledgments a round trip, %s: goodput %.2f, packets back %.2f, bytes back %.2f of those without; want 0.99 and more, at most 0.85 and 0.98",
					perTrip, p.Scenario, goodput, packets, bytes)
			}
		}
	}
}
