package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// writeTable writes rows below a title; the first row is the head.
func writeTable(w io.Writer, title string, rows [][]string) {
	fmt.Fprintf(w, "\n%s\n\n", title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for _, cell := range row {
			fmt.Fprintf(tw, "  %s\t", cell)
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
	fmt.Fprintln(w)
}

// short writes a time with as many digits as one reads.
func short(t time.Duration) string {
	switch {
	case t >= time.Second:
		return fmt.Sprintf("%.2fs", t.Seconds())
	case t >= 10*time.Millisecond:
		return fmt.Sprintf("%dms", t.Milliseconds())
	}
	return fmt.Sprintf("%.1fms", float64(t.Microseconds())/1000)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
