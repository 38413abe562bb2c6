package quic

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/qlog"
)

// maxQLogBacklog bounds the events that wait for the disk, in bytes; beyond it
// they are left out of the log.
const maxQLogBacklog = 16 << 20

// qlogFile writes a connection's log from a goroutine of its own, since the
// core writes under the connection's lock. A nil *qlogFile is no log.
type qlogFile struct {
	l    *qlog.Log
	file io.WriteCloser

	mu     sync.Mutex // guards all below; a leaf
	wake   sync.Cond
	buf    bytes.Buffer
	closed bool

	t    *Transport    // waits for it
	done chan struct{} // closed when everything is written; bounded by its lack of a buffer
}

// openQLog makes the log file of a connection, or returns nil. odcid is nil in
// a client, which has not chosen it yet.
func openQLog(t *Transport, conf *Config, odcid []byte, now time.Time) *qlogFile {
	side := "server"
	if odcid == nil {
		side = "client"
		odcid = make([]byte, 8) // any name will do
		rand.Read(odcid)
	}
	file := qlogTo(conf, side, odcid, now)
	if file == nil {
		return nil
	}
	f := &qlogFile{file: file, t: t, done: make(chan struct{})}
	t.setWriting(f, true)
	f.wake.L = &f.mu
	f.l = qlog.New(f, qlog.Header{Vantage: side, ODCID: odcid, Epoch: now})
	go f.run()
	return f
}

// qlogTo returns where the log of a connection goes, or nil: a connection does not fail for want of a log.
func qlogTo(conf *Config, side string, odcid []byte, now time.Time) io.WriteCloser {
	var list tee
	if conf != nil && conf.QLog != nil {
		if w := conf.QLog(side == "client"); w != nil {
			list = append(list, w)
		}
	}
	dir := os.Getenv("QLOGDIR")
	if conf != nil && conf.QLogDir != "" {
		dir = conf.QLogDir
	}
	if dir != "" && os.MkdirAll(dir, 0o777) == nil {
		name := fmt.Sprintf("%s_%x_%s.sqlog", now.UTC().Format("20060102T150405.000"), odcid, side)
		if file, err := os.Create(filepath.Join(dir, name)); err == nil {
			list = append(list, file)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// tee writes to several. An error of one is no reason to leave out the others: it shows in the end of what it wrote.
type tee []io.WriteCloser // bounded by qlogTo, which adds two at most

func (t tee) Write(p []byte) (int, error) {
	for _, w := range t {
		w.Write(p)
	}
	return len(p), nil
}

func (t tee) Close() error {
	for _, w := range t {
		w.Close()
	}
	return nil
}

func (f *qlogFile) log() *qlog.Log {
	if f == nil {
		return nil
	}
	return f.l
}

// Write takes whole records; it never blocks on the disk.
func (f *qlogFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.buf.Len() < maxQLogBacklog && !f.closed {
		f.buf.Write(p)
		f.wake.Signal()
	}
	return len(p), nil
}

func (f *qlogFile) run() {
	defer close(f.done)
	defer f.t.setWriting(f, false)
	var out []byte
	for {
		f.mu.Lock()
		for f.buf.Len() == 0 && !f.closed {
			f.wake.Wait()
		}
		out = append(out[:0], f.buf.Bytes()...)
		f.buf.Reset()
		closed := f.closed
		f.mu.Unlock()
		f.file.Write(out) // an error shows in the file's end
		if closed {
			f.file.Close()
			return
		}
	}
}

func (f *qlogFile) close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.closed = true
	f.wake.Signal()
	f.mu.Unlock()
}

// setWriting keeps the list of logs that are not whole on disk.
func (t *Transport) setWriting(f *qlogFile, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if yes {
		t.writing[f] = struct{}{}
	} else {
		delete(t.writing, f)
	}
}

// waitLogs returns when the logs of all connections are on disk, which must
// have ended.
func (t *Transport) waitLogs() {
	t.mu.Lock()
	files := slices.Collect(maps.Keys(t.writing))
	t.mu.Unlock()
	for _, f := range files {
		<-f.done
	}
}
