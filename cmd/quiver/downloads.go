package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/quic"
	"golang.org/x/term"
)

const (
	redrawEvery = 100 * time.Millisecond
	maxBars     = 8  // files with a line of their own on a terminal, while they come
	barWidth    = 16 // characters
)

// A download is one file on its way.
type download struct {
	path  string
	size  int64 // -1 = unknown
	start time.Time
	bytes atomic.Int64
}

func (d *download) Write(p []byte) (int, error) {
	d.bytes.Add(int64(len(p)))
	return len(p), nil
}

// downloads shows files on their way: on a terminal a bar for each, elsewhere a line for each that is done.
type downloads struct {
	w    io.Writer
	tty  *os.File      // nil = plain lines
	stop chan struct{} // closed by end; nil = no terminal
	wait sync.WaitGroup

	mu          sync.Mutex // guards all below
	conns       []*quic.Conn
	active      []*download
	byURL       map[*url.URL]*download
	drawn       int // lines below which the cursor is
	frame       int
	done        int // files
	bytes       int64
	first, last time.Time
}

func newDownloads(w io.Writer, live bool) *downloads {
	d := &downloads{w: w, byURL: map[*url.URL]*download{}}
	f, ok := terminal(w)
	if !ok || !live {
		return d
	}
	d.tty, d.stop = f, make(chan struct{})
	d.wait.Go(d.redraw)
	return d
}

func (d *downloads) connected(c *quic.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, c)
}

func (d *downloads) started(u *url.URL, size int64) io.Writer {
	now := time.Now()
	f := &download{path: u.Path, size: size, start: now}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first.IsZero() {
		d.first = now
	}
	d.byURL[u] = f
	d.active = append(d.active, f)
	return f
}

// finished prints the line of a file; one that failed is in the error of the whole.
func (d *downloads) finished(u *url.URL, err error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.byURL[u]
	delete(d.byURL, u)
	for i, a := range d.active {
		if a == f {
			d.active = append(d.active[:i], d.active[i+1:]...)
			break
		}
	}
	if err != nil {
		return
	}
	n := f.bytes.Load()
	d.done++
	d.bytes += n
	d.last = now
	d.erase()
	fmt.Fprintf(d.w, "%s  %s in %s, %s\n", f.path, sizeText(n), durationText(now.Sub(f.start)), rateText(n, now.Sub(f.start)))
	if d.tty != nil {
		d.draw(now)
	}
}

// end takes the bars away and prints the sum.
func (d *downloads) end() {
	if d.stop != nil {
		close(d.stop)
		d.wait.Wait()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	if d.done == 0 {
		return
	}
	files := "1 file"
	if d.done != 1 {
		files = fmt.Sprintf("%d files", d.done)
	}
	took := d.last.Sub(d.first)
	fmt.Fprintf(d.w, "%s, %s in %s, %s%s\n", files, sizeText(d.bytes), durationText(took), rateText(d.bytes, took), d.rtt())
}

// rtt tells the round-trip time of the last connection.
func (d *downloads) rtt() string {
	if len(d.conns) == 0 {
		return ""
	}
	s := d.conns[len(d.conns)-1].ConnectionStats()
	return fmt.Sprintf(", RTT %s (least %s)", durationText(s.SmoothedRTT), durationText(s.MinRTT))
}

// redraw draws the bars again and again until end.
func (d *downloads) redraw() {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case now := <-tick.C:
			d.mu.Lock()
			d.frame++
			d.erase()
			d.draw(now)
			d.mu.Unlock()
		}
	}
}

// erase takes away the lines that draw drew.
func (d *downloads) erase() {
	if d.drawn > 0 {
		fmt.Fprintf(d.w, "\x1b[%dA\x1b[J", d.drawn)
		d.drawn = 0
	}
}

func (d *downloads) draw(now time.Time) {
	width, _, err := term.GetSize(int(d.tty.Fd()))
	if err != nil || width < 1 {
		width = 80
	}
	var b strings.Builder
	for i, f := range d.active {
		if i == maxBars {
			fmt.Fprintf(&b, "and %d more\n", len(d.active)-i)
			d.drawn++
			break
		}
		b.WriteString(barLine(f, now, d.frame, width) + "\n")
		d.drawn++
	}
	io.WriteString(d.w, b.String())
}

// barLine is one line of at most width-1 characters.
func barLine(f *download, now time.Time, frame, width int) string {
	n := f.bytes.Load()
	tail := fmt.Sprintf("  [%s]  %8s  %s", bar(n, f.size, frame), sizeText(n), rateText(n, now.Sub(f.start)))
	if f.size > 0 {
		tail = fmt.Sprintf("  [%s]  %3d%%  %8s  %s", bar(n, f.size, frame), 100*n/f.size, sizeText(n), rateText(n, now.Sub(f.start)))
	}
	name := []rune(f.path)
	if room := max(width-1-len(tail), 8); len(name) > room {
		name = append([]rune("…"), name[len(name)-room+1:]...)
	}
	line := []rune(string(name) + tail)
	return string(line[:min(len(line), max(width-1, 1))])
}

// bar is how much of a file is there, or where its size is unknown, that
// something happens.
func bar(n, size int64, frame int) string {
	if size <= 0 {
		return bouncing(frame)
	}
	full := int(min(n, size) * barWidth / size)
	return strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full)
}

// bouncing is a block that goes to and fro.
func bouncing(frame int) string {
	const block = "==="
	span := barWidth - len(block)
	at := frame % (2 * span)
	if at > span {
		at = 2*span - at
	}
	return strings.Repeat(" ", at) + block + strings.Repeat(" ", span-at)
}
