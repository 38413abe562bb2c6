package backend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestLinesStayWholeWhateverTheWrites(t *testing.T) {
	for _, size := range []int{1, 3, 1000} {
		var log bytes.Buffer
		w := (&lineLog{w: &log}).writer("x")
		for in := []byte("one\n\ntwo\r\nthree"); len(in) > 0; in = in[min(size, len(in)):] {
			w.Write(in[:min(size, len(in))])
		}
		w.flush()
		w.flush()
		got := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} `).ReplaceAllString(log.String(), "")
		if want := "x | one\nx | \nx | two\nx | three\n"; got != want {
			t.Errorf("writes of %d bytes: %q, want %q", size, got, want)
		}
	}
}

func TestLinesAndOutputAreBounded(t *testing.T) {
	var log bytes.Buffer
	w := (&lineLog{w: &log}).writer("")
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 3 * maxOutput / len(chunk) {
		if n, err := w.Write(chunk); n != len(chunk) || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(w.pending) > maxLine || cap(w.pending) > 2*maxLine {
		t.Errorf("holds %d bytes of a line, want at most %d", len(w.pending), maxLine)
	}
	if log.Len() > maxOutput+maxOutput/maxLine+200 {
		t.Errorf("kept %d bytes, want about %d", log.Len(), maxOutput)
	}
	if !strings.HasSuffix(log.String(), "[more than 32 MiB of output, the rest is not kept]\n") {
		t.Errorf("ends with %q", log.String()[log.Len()-80:])
	}
	for line := range strings.Lines(log.String()) {
		if len(line) > maxLine+1 {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
}

func TestLinesOfSeveralWritersDoNotMix(t *testing.T) {
	var log bytes.Buffer
	l := &lineLog{w: &log}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			w := l.writer(fmt.Sprint("w", i))
			for range 200 {
				fmt.Fprintf(w, "half%d", i)
				fmt.Fprintf(w, "half%d\n", i)
			}
		})
	}
	all.Wait()
	for line := range strings.Lines(log.String()) {
		if _, text, _ := strings.Cut(line, " w"); len(text) < 2 || text != fmt.Sprintf("%c | half%c"+"half%c\n", text[0], text[0], text[0]) {
			t.Fatalf("line %q", line)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestBrokenLogDoesNotBreakThePipe(t *testing.T) {
	w := (&lineLog{w: brokenWriter{}}).writer("x")
	if n, err := io.WriteString(w, "text\n"); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
