// Package packetlog turns the qlog of a connection into lines that people read as packets pass.
package packetlog

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
)

// limit: bytes of a record that is kept until it is whole; a longer one is left out
const maxRecord = 1 << 20

// A Printer is an io.WriteCloser for the qlog of one connection (JSON-SEQ), and writes a line for each packet, and for each plugin that comes or goes.
type Printer struct {
	out    io.Writer
	lock   sync.Locker // guards out, which several connections share
	prefix string
	only   bool // packets with frames of plugins, or of their exchange, only

	part   []byte // of a record; limit: maxRecord
	reader *Reader
	event  Event
}

// New returns a printer whose lines begin with prefix. lock is held while a line is written to out. With only, packets without anything of a plugin are left out.
func New(out io.Writer, lock sync.Locker, prefix string, only bool) *Printer {
	return &Printer{out: out, lock: lock, prefix: prefix, only: only, reader: NewReader()}
}

// Write takes the next bytes of the log. It fails only if out does.
func (p *Printer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		record, rest, whole := bytes.Cut(b, []byte{'\n'})
		b = rest
		if len(p.part)+len(record) <= maxRecord {
			p.part = append(p.part, record...)
		}
		if !whole {
			break
		}
		line := p.line(p.part)
		p.part = p.part[:0]
		if line == "" {
			continue
		}
		p.lock.Lock()
		_, err := io.WriteString(p.out, p.prefix+Plain(line)+"\n")
		p.lock.Unlock()
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Plain returns s with what cannot be shown replaced: words of a peer must not move the cursor, or begin lines of their own.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Close does nothing: out belongs to whoever made it.
func (p *Printer) Close() error { return nil }

// line returns what to print for a record; "" = nothing.
func (p *Printer) line(record []byte) string {
	e := &p.event
	if !p.reader.Read(record, e) {
		return ""
	}
	at := fmt.Sprintf("%9.3fms ", e.Milliseconds)
	switch e.Kind {
	case Attached:
		return at + "+ " + e.Text
	case Detached:
		return at + "- " + e.Text
	case Lost:
		if p.only {
			return ""
		}
		return at + "✗ " + e.Packet() + " lost"
	}
	if p.only && !e.Plugins {
		return ""
	}
	mark := "→"
	if e.Kind == Received {
		mark = "←"
	}
	return fmt.Sprintf("%s%s %-14s %5dB  %s", at, mark, e.Packet(), e.Bytes, e.Content())
}
