package netsim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds of scenario parameters; they keep arithmetic and memory in range.
const (
	maxQueue   = 1_000_000
	maxBurst   = math.MaxInt32
	maxRepeat  = math.MaxInt32
	maxDrops   = 10_000
	minMTU     = 68 // bytes, RFC 791 §3.2
	maxMTU     = 65535
	maxTime    = 24 * time.Hour
	minRate    = 1_000             // bit/s
	maxRate    = 1_000_000_000_000 // bit/s
	maxNumeral = 32                // characters of a number with its unit
)

var errTime = errors.New("a time such as 15ms, 1.5s, 200us")

var timeUnits = []struct {
	name string
	unit time.Duration
}{ // the longer of two names with a common end comes first
	{"min", time.Minute}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"µs", time.Microsecond},
	{"ns", time.Nanosecond}, {"h", time.Hour}, {"s", time.Second},
}

// parseTime reads "15ms", "1.5s", "2" (seconds) into d and refuses less than atLeast.
func parseTime(v string, atLeast time.Duration, d *time.Duration) error {
	number, unit := v, time.Second
	for _, u := range timeUnits {
		if n, ok := strings.CutSuffix(v, u.name); ok {
			number, unit = n, u.unit
			break
		}
	}
	x, ok := parseNumber(number)
	if !ok || x*float64(unit) > float64(maxTime) {
		return errTime
	}
	t := time.Duration(math.Round(x * float64(unit)))
	if t < atLeast {
		return fmt.Errorf("%w, at least %v", errTime, atLeast)
	}
	*d = t
	return nil
}

var errRate = errors.New("a rate such as 10Mbps, 500kbps, 1Gbps")

var rateUnits = []struct {
	name  string
	scale float64
}{{"bps", 1}, {"b/s", 1}, {"Bps", 8}, {"B/s", 8}}

// parseRate reads "10Mbps", "500kbps", "1GB/s", "64000" into bit/s.
func parseRate(v string, rate *int64) error {
	scale := 1.0
	for _, u := range rateUnits {
		if n, ok := strings.CutSuffix(v, u.name); ok {
			v, scale = n, u.scale
			break
		}
	}
	for prefix, factor := range map[string]float64{"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30} {
		if n, ok := strings.CutSuffix(v, prefix); ok {
			v, scale = n, scale*factor
			break
		}
	}
	x, ok := parseNumber(v)
	if !ok || x*scale < minRate || x*scale > maxRate {
		return errRate
	}
	*rate = int64(math.Round(x * scale))
	return nil
}

// parseNumber reads a plain non-negative decimal number.
func parseNumber(v string) (float64, bool) {
	if v == "" || len(v) > maxNumeral || strings.Trim(v, "0123456789.") != "" {
		return 0, false
	}
	x, err := strconv.ParseFloat(v, 64)
	return x, err == nil
}

// parsePercent reads 0..100 into a probability.
func parsePercent(v string, p *float64) error {
	x, ok := parseNumber(v)
	if !ok || x > 100 {
		return errors.New("a percentage from 0 to 100")
	}
	*p = x / 100
	return nil
}

// parseCount reads a whole number from lo to hi.
func parseCount(v string, lo, hi int, n *int) error {
	x, err := strconv.Atoi(v)
	if err != nil || x < lo || x > hi {
		return fmt.Errorf("a whole number from %d to %d", lo, hi)
	}
	*n = x
	return nil
}

// parseRun reads the mean length of a run.
func parseRun(v string, mean *float64) error {
	x, ok := parseNumber(v)
	if !ok || x < 1 || x > maxBurst {
		return errors.New("a number of packets, at least 1")
	}
	*mean = x
	return nil
}
