package core

import "testing"

func TestSkippedNumbersKeepUpWithTheWindow(t *testing.T) {
	for _, window := range []int{2, 10, 100, 512, 1000, 10_000, 60_000} {
		least, most := 1<<30, 0
		for luck := range uint32(100_000) {
			n := skipInterval(window, luck*2654435761)
			least, most = min(least, n), max(most, n)
		}
		if least < firstSkip {
			t.Errorf("window of %d packets: a number is skipped after %d, want %d at least: gaps cost acknowledgments", window, least, firstSkip)
		}
		if window >= 512 && most > window/2 {
			t.Errorf("window of %d packets: up to %d without a skip, want two in every window", window, most)
		}
		const remembered = 8 // what recovery checks acknowledgments against
		if remembered*least < window {
			t.Errorf("window of %d packets: %d skips span %d of them, want the window", window, remembered, remembered*least)
		}
		if most < 2*least {
			t.Errorf("window of %d packets: %d to %d packets apart: too easy to guess", window, least, most)
		}
	}
}
