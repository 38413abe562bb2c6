package lab

import (
	"math"
	"strings"
	"testing"
)

func TestTheRoundTripTimeIsThatOfTheSamples(t *testing.T) {
	for _, c := range []struct {
		text  string
		least float64
		most  float64
	}{{"loss-1 --sample=10ms", 0.1, 0.15}, {"bufferbloat --size=2MB --sample=10ms", 0.15, 1}} {
		r := mustRun(t, c.text, Setup{})
		if got := measure(t, r, "rtt"); got < c.least || got > c.most {
			t.Errorf("%s: rtt %v s, want %v to %v", c.text, got, c.least, c.most)
		}
	}
	if got := measure(t, mustRun(t, "loss-1", Setup{}), "rtt"); !math.IsNaN(got) {
		t.Errorf("rtt %v without samples, want none", got)
	}
}

func TestTheFirstFaultIsTold(t *testing.T) {
	if err := mustRun(t, "clean", beacons(0)).FirstFault(); err != nil {
		t.Errorf("first fault of none: %v", err)
	}
	err := mustRun(t, "loss-1 --size=500kB", beacons(5)).FirstFault()
	if err == nil || !strings.Contains(err.Error(), "test.beacon 1.0.0: plugin failed: heard enough") {
		t.Errorf("first fault %v", err)
	}
}
