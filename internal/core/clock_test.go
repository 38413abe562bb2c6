package core

import (
	"testing"
	"time"
)

func TestTimeNeverRunsBackwards(t *testing.T) {
	epoch := time.Unix(1000, 0)
	c := &Conn{epoch: epoch}
	later := c.at(epoch.Add(time.Second))
	if got := c.at(epoch.Add(time.Millisecond)); got != later {
		t.Errorf("at(1ms) after at(1s) = %v, want %v: a reading of the clock that is older than the last call", got, later)
	}
	if got := c.at(epoch.Add(2 * time.Second)); got.Sub(later) != time.Second {
		t.Errorf("at(2s) is %v after at(1s), want 1s", got.Sub(later))
	}
}
