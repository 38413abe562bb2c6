package main

import (
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
