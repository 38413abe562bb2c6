package lab

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Unit says what a number counts.
type Unit uint8

// The units of measures.
const (
	Number Unit = iota
	Time        // seconds
	Bytes       // bytes
	Rate        // bit/s
)

var unitNames = [...]string{"a number", "a time", "a size", "a rate"}

// String returns "a time" and the like.
func (u Unit) String() string { return unitNames[u] }

// example is a literal of the unit, for error messages.
func (u Unit) example() string { return [...]string{"3", "400ms", "10KiB", "2Mbit/s"}[u] }

// scale is a unit as one writes it.
type scale struct {
	name   string
	unit   Unit
	factor float64
}

// scales lists what may follow a number.
var scales = []scale{
	{"ns", Time, 1e-9}, {"us", Time, 1e-6}, {"µs", Time, 1e-6}, {"ms", Time, 1e-3}, {"s", Time, 1}, {"m", Time, 60}, {"min", Time, 60}, {"h", Time, 3600},
	{"B", Bytes, 1}, {"kB", Bytes, 1e3}, {"MB", Bytes, 1e6}, {"GB", Bytes, 1e9},
	{"KiB", Bytes, 1 << 10}, {"MiB", Bytes, 1 << 20}, {"GiB", Bytes, 1 << 30},
	{"bit/s", Rate, 1}, {"kbit/s", Rate, 1e3}, {"Mbit/s", Rate, 1e6}, {"Gbit/s", Rate, 1e9},
	{"bps", Rate, 1}, {"kbps", Rate, 1e3}, {"Mbps", Rate, 1e6}, {"Gbps", Rate, 1e9},
	{"%", Number, 0.01},
}

func findScale(name string) (scale, bool) {
	for _, s := range scales {
		if s.name == name {
			return s, true
		}
	}
	return scale{}, false
}

// printed are the units in which numbers are shown, from small to large; the first of a unit's is that of 0.
var printed = [...][]scale{
	Number: {{"", Number, 1}},
	Time:   {{"s", Time, 1}, {"ns", Time, 1e-9}, {"µs", Time, 1e-6}, {"ms", Time, 1e-3}, {"s", Time, 1}},
	Bytes:  {{"B", Bytes, 1}, {"KiB", Bytes, 1 << 10}, {"MiB", Bytes, 1 << 20}, {"GiB", Bytes, 1 << 30}},
	Rate:   {{"bit/s", Rate, 1}, {"kbit/s", Rate, 1e3}, {"Mbit/s", Rate, 1e6}, {"Gbit/s", Rate, 1e9}},
}

// Format writes a value for people: three or four digits and a unit.
func (u Unit) Format(x float64) string {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return "none"
	}
	s := u.scaleFor(x)
	return digits(x/s.factor) + s.name
}

// scaleFor returns the largest unit of which x has at least one.
func (u Unit) scaleFor(x float64) scale {
	best := printed[u][0]
	if x == 0 {
		return best
	}
	for i, s := range printed[u] {
		if i == 0 || i == 1 && s.factor < best.factor || math.Abs(x) >= s.factor*0.9995 {
			best = s
		}
	}
	return best
}

// digits writes x with three or four digits that count, and no zeros at the end.
func digits(x float64) string {
	if x == 0 {
		return "0" // also for -0
	}
	decimals := 0
	switch a := math.Abs(x); {
	case a == math.Trunc(a) && a < 1e15:
	case a >= 1000:
	case a >= 100:
		decimals = 1
	case a >= 10:
		decimals = 2
	case a >= 1:
		decimals = 3
	default:
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// parseDuration reads "15ms", "2" (seconds).
func parseDuration(v string, least time.Duration, d *time.Duration) error {
	x, s, err := parseQuantity(v)
	if err != nil || s.unit != Time && s.name != "" || x*1e9 > float64(maxTime) {
		return errors.New("a time such as 15ms, 1.5s, 200us")
	}
	t := time.Duration(math.Round(x * 1e9))
	if t < least {
		return fmt.Errorf("a time of at least %v", least)
	}
	*d = t
	return nil
}

// parseSizes reads "10kB,1MiB".
func parseSizes(v string, sizes *[]int64) error {
	*sizes = nil
	for word := range strings.SplitSeq(v, ",") {
		x, s, err := parseQuantity(word)
		if err != nil || s.unit != Bytes && s.name != "" || x > maxSize || len(*sizes) == maxFlows {
			return errors.New("a comma list of sizes such as 10kB, 1MiB, at most 4GiB each")
		}
		*sizes = append(*sizes, int64(math.Round(x)))
	}
	return nil
}

// parseQuantity reads a plain decimal number and its unit, if it has one, and returns the value in the unit's base.
func parseQuantity(v string) (x float64, s scale, err error) {
	n := numeral(v)
	x, err = strconv.ParseFloat(v[:n], 64)
	if err != nil {
		return 0, s, fmt.Errorf("%q is no number", v)
	}
	if name := v[n:]; name != "" {
		var ok bool
		if s, ok = findScale(name); !ok {
			return 0, s, fmt.Errorf("unknown unit %q", name)
		}
		x *= s.factor
	}
	return x, s, nil
}

// numeral returns how much of v is digits and points.
func numeral(v string) int {
	for i := range len(v) {
		if (v[i] < '0' || v[i] > '9') && v[i] != '.' {
			return i
		}
	}
	return len(v)
}

func parseWhole(v string, lo, hi int, n *int) error {
	x, err := strconv.Atoi(v)
	if err != nil || x < lo || x > hi {
		return fmt.Errorf("a whole number from %d to %d", lo, hi)
	}
	*n = x
	return nil
}

func parseSeed(v string, seed *uint64) error {
	x, err := strconv.ParseUint(v, 0, 64)
	if err != nil {
		return errors.New("a whole number below 2^64")
	}
	*seed = x
	return nil
}

func parseFlag(v string, b *bool) error {
	switch v {
	case "", "true", "1":
		*b = true
	case "false", "0":
		*b = false
	default:
		return errors.New("no value, true or false")
	}
	return nil
}

// SizeName writes a size as scenarios are given it: 50 kB, 1 MB.
func SizeName(bytes int64) string {
	switch {
	case bytes >= 1_000_000:
		return digits(float64(bytes)/1e6) + " MB"
	case bytes >= 1000:
		return digits(float64(bytes)/1e3) + " kB"
	}
	return digits(float64(bytes)) + " B"
}
