package main

import (
	"fmt"
	"io"
	"os"

	"github.com/seed51309289/quiver/interop"
	"golang.org/x/term"
)

// terminal returns the file behind w when it is a terminal.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil, false
	}
	return f, true
}

// terminalWidth returns how wide the terminal behind w is, 0 if there is none.
func terminalWidth(w io.Writer) int {
	f, ok := terminal(w)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80
	}
	return width
}

// colourful reports whether w takes colours: a terminal whose user has not said NO_COLOR.
func colourful(w io.Writer) bool {
	_, ok := terminal(w)
	return ok && os.Getenv("NO_COLOR") == ""
}

// newProgress returns a live status for a terminal and plain lines for anything else, and what to call at the end.
func newProgress(w io.Writer, debug bool) (watch interop.Watcher, end func()) {
	f, ok := terminal(w)
	if !ok || debug {
		return &interop.PlainProgress{W: w, Debug: debug}, func() {}
	}
	live := &interop.LiveProgress{W: w, Colour: colourful(w), Width: func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 80
		}
		return width
	}}
	return live, live.End
}

// newCounter tells how much of a long work is done: on one line of a terminal that changes, and to anything else a line every tenth. end clears the line.
// Calls of tell must not overlap.
func newCounter(w io.Writer, what string) (tell func(done, total int), end func()) {
	if _, ok := terminal(w); ok {
		return func(done, total int) { fmt.Fprintf(w, "\r%d of %d %s", done, total, what) },
			func() { fmt.Fprint(w, "\r\x1b[K") }
	}
	tenths := 0
	return func(done, total int) {
		if now := 10 * done / total; now > tenths && total >= 10 {
			tenths = now
			fmt.Fprintf(w, "%d of %d %s\n", done, total, what)
		}
	}, func() {}
}
