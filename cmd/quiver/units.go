package main

import (
	"fmt"
	"time"
)

// sizeText writes a number of bytes as people read it: 1.2MiB.
func sizeText(n int64) string {
	return unitText(float64(n), 1024, "B", "KiB", "MiB", "GiB", "TiB")
}

// rateText writes how fast n bytes came: 940Mbit/s.
func rateText(n int64, took time.Duration) string {
	return unitText(float64(n)*8/max(took.Seconds(), 1e-6), 1000, "bit/s", "kbit/s", "Mbit/s", "Gbit/s")
}

// unitText writes v in the largest unit in which it is at least 1, with three figures.
func unitText(v, step float64, units ...string) string {
	i := 0
	for v >= step*0.9995 && i < len(units)-1 {
		v /= step
		i++
	}
	switch {
	case i == 0 || v >= 99.95:
		return fmt.Sprintf("%.0f%s", v, units[i])
	case v >= 9.995:
		return fmt.Sprintf("%.1f%s", v, units[i])
	}
	return fmt.Sprintf("%.2f%s", v, units[i])
}

// durationText writes a duration with three figures.
func durationText(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.0fµs", float64(d)/1e3)
}
