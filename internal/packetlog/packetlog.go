// Package packetlog turns the qlog of a connection into lines that people read as packets pass.
package packetlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

const (
	maxRecord = 1 << 20 // limit: bytes of a record that is kept until it is whole; a longer one is left out
	maxNames  = 256     // limit: types of frames whose names are kept
	maxFrames = 12      // limit: frames of a packet that are named in its line
)

// A Printer is an io.WriteCloser for the qlog of one connection (JSON-SEQ), and writes a line for each packet, and for each plugin that comes or goes.
type Printer struct {
	out    io.Writer
	lock   sync.Locker // guards out, which several connections share
	prefix string
	only   bool // packets with frames of plugins, or of their exchange, only

	part  []byte            // of a record; limit: maxRecord
	names map[uint64]string // of the frames of plugins, by type; limit: maxNames
}

// New returns a printer whose lines begin with prefix. lock is held while a line is written to out. With only, packets without anything of a plugin are left out.
func New(out io.Writer, lock sync.Locker, prefix string, only bool) *Printer {
	return &Printer{out: out, lock: lock, prefix: prefix, only: only, names: map[uint64]string{}}
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
		_, err := io.WriteString(p.out, p.prefix+line+"\n")
		p.lock.Unlock()
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close does nothing: out belongs to whoever made it.
func (p *Printer) Close() error { return nil }

// event is what we read of a record.
type event struct {
	Time float64 // milliseconds
	Name string
	Data struct {
		Header struct {
			Type   string  `json:"packet_type"`
			Number *uint64 `json:"packet_number"`
		}
		Raw     struct{ Length int }
		Frames  json.RawMessage
		Trigger string

		// plugin:attached, plugin:detached
		Plugin, Version, Digest, Reason, Error string
		First                                  uint64 `json:"first_frame_type"`
	}
}

// frame is what we read of a frame.
type frame struct {
	Type   string `json:"frame_type"`
	Bytes  uint64 `json:"frame_type_bytes"`
	Stream uint64 `json:"stream_id"`
	Offset uint64
	Fin    bool
	Acked  [][]uint64 `json:"acked_ranges"`
	Raw    struct {
		Length  int
		Payload int `json:"payload_length"`
	}
	ID, Version, Status, Reason string
	Local                       uint64
	Maximum                     uint64
}

// line returns what to print for a record; "" = nothing.
func (p *Printer) line(record []byte) string {
	var e event
	if json.Unmarshal(bytes.TrimLeft(record, "\x1e"), &e) != nil {
		return ""
	}
	at := fmt.Sprintf("%9.3fms ", e.Time)
	switch e.Name {
	case "quic:packet_sent":
		return p.packet(at+"→", &e)
	case "quic:packet_received":
		return p.packet(at+"←", &e)
	case "quic:packet_lost":
		if p.only {
			return ""
		}
		return fmt.Sprintf("%s✗ %s lost", at, packetName(&e))
	case "plugin:attached":
		return at + "+ " + p.attached(&e)
	case "plugin:detached":
		why := e.Data.Reason
		if e.Data.Error != "" {
			why += ": " + e.Data.Error
		}
		return fmt.Sprintf("%s- %s detached: %s", at, short(e.Data.Plugin), why)
	}
	return ""
}

func packetName(e *event) string {
	h := &e.Data.Header
	if h.Number == nil {
		return h.Type
	}
	return fmt.Sprintf("%s %d", h.Type, *h.Number)
}

// attached learns the names of a plugin's frames.
func (p *Printer) attached(e *event) string {
	var names []string
	json.Unmarshal(e.Data.Frames, &names)
	for i, name := range names {
		if len(p.names) < maxNames {
			p.names[e.Data.First+uint64(i)] = short(e.Data.Plugin) + " " + name
		}
	}
	s := short(e.Data.Plugin) + " " + e.Data.Version + " attached"
	if e.Data.Digest != "" {
		s += fmt.Sprintf(", %.16s", e.Data.Digest)
	}
	if len(names) > 0 {
		s += fmt.Sprintf(", frames %#x %s", e.Data.First, strings.Join(names, " "))
	}
	return s
}

// short is the last part of an ID.
func short(id string) string { return id[strings.LastIndexByte(id, '.')+1:] }

func (p *Printer) packet(head string, e *event) string {
	var frames []frame
	if json.Unmarshal(e.Data.Frames, &frames) != nil {
		return ""
	}
	var text []string
	padding, plugins := 0, false
	for i := range frames {
		f := &frames[i]
		if f.Type == "padding" {
			padding += max(f.Raw.Payload, f.Raw.Length)
			continue
		}
		plugins = plugins || strings.Contains(f.Type, "plugin")
		text = append(text, p.frame(f))
	}
	if p.only && !plugins {
		return ""
	}
	if len(text) > maxFrames {
		text = append(text[:maxFrames], fmt.Sprintf("and %d more", len(text)-maxFrames))
	}
	if padding > 0 {
		text = append(text, fmt.Sprintf("padding %d", padding))
	}
	return fmt.Sprintf("%s %-14s %5dB  %s", head, packetName(e), e.Data.Raw.Length, strings.Join(text, " · "))
}

// frame names a frame with what tells most about it.
func (p *Printer) frame(f *frame) string {
	switch f.Type {
	case "stream":
		s := fmt.Sprintf("stream %d @%d+%d", f.Stream, f.Offset, f.Raw.Length)
		if f.Fin {
			s += " fin"
		}
		return s
	case "ack":
		return "ack " + ranges(f.Acked)
	case "crypto":
		return fmt.Sprintf("crypto @%d+%d", f.Offset, f.Raw.Length)
	case "plugin":
		name, known := p.names[f.Bytes]
		if !known {
			name = fmt.Sprintf("plugin %#x", f.Bytes)
		}
		return fmt.Sprintf("%s %dB", name, f.Raw.Length)
	case "plugin_offer":
		return fmt.Sprintf("plugin_offer %d %s %s", f.Local, short(f.ID), f.Version)
	case "plugin_answer":
		s := fmt.Sprintf("plugin_answer %d %s", f.Local, f.Status)
		if f.Reason != "" {
			s += ": " + f.Reason
		}
		return s
	case "plugin_data":
		s := fmt.Sprintf("plugin_data %d @%d+%d", f.Local, f.Offset, f.Raw.Length)
		if f.Fin {
			s += " fin"
		}
		return s
	case "plugin_ready", "plugin_detach", "plugin_event":
		return fmt.Sprintf("%s %d", f.Type, f.Local)
	}
	return f.Type
}

// ranges writes the newest of the acknowledged numbers, and how many more ranges there are.
func ranges(list [][]uint64) string {
	if len(list) == 0 {
		return ""
	}
	newest := list[0]
	for _, r := range list {
		if len(r) > 0 && (len(newest) == 0 || r[len(r)-1] > newest[len(newest)-1]) {
			newest = r
		}
	}
	if len(newest) == 0 {
		return ""
	}
	s := fmt.Sprint(newest[0])
	if len(newest) > 1 {
		s = fmt.Sprintf("%d-%d", newest[0], newest[1])
	}
	if len(list) > 1 {
		s += fmt.Sprintf(" and %d more", len(list)-1)
	}
	return s
}
