package packetlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

const (
	maxNames  = 256 // limit: types of frames whose names are kept
	maxFrames = 12  // limit: frames of a packet that are named in its line
)

// A Kind says what an Event is about.
type Kind uint8

// What a Reader reads; it passes over the rest.
const (
	Sent     Kind = iota // a packet left
	Received             // a packet came
	Lost                 // a packet was declared lost
	Attached             // a plugin came
	Detached             // a plugin went
)

// Event is a record of the log in words.
type Event struct {
	Kind         Kind
	Milliseconds float64 // since the log's epoch
	Type         string  // of a packet: "initial", "1RTT" …
	Number       uint64  // of a packet
	Numbered     bool    // it has a number
	Bytes        int     // of a packet
	Frames       []string
	Own          bool   // there are frames of plugins among them
	Plugins      bool   // … or of their exchange
	Text         string // about a plugin
}

// Packet returns the type and number of a packet.
func (e *Event) Packet() string {
	if !e.Numbered {
		return e.Type
	}
	return fmt.Sprintf("%s %d", e.Type, e.Number)
}

// Content returns the frames in one line.
func (e *Event) Content() string { return strings.Join(e.Frames, " · ") }

// A Reader makes words of the records of one connection's log. It learns the names of the frames of plugins from the log.
type Reader struct {
	names map[uint64]string // of the frames of plugins, by type; limit: maxNames
}

// NewReader returns a reader that knows no plugin yet.
func NewReader() *Reader { return &Reader{names: map[uint64]string{}} }

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

// Read reads a record, and reports whether it is of a Kind. e.Frames is valid until the next call.
func (r *Reader) Read(record []byte, e *Event) bool {
	var in event
	if json.Unmarshal(bytes.TrimLeft(record, "\x1e"), &in) != nil {
		return false
	}
	*e = Event{Milliseconds: in.Time, Type: in.Data.Header.Type, Bytes: in.Data.Raw.Length, Frames: e.Frames[:0]}
	if n := in.Data.Header.Number; n != nil {
		e.Number, e.Numbered = *n, true
	}
	switch in.Name {
	case "quic:packet_sent":
		e.Kind = Sent
		return r.packet(&in, e)
	case "quic:packet_received":
		e.Kind = Received
		return r.packet(&in, e)
	case "quic:packet_lost":
		e.Kind = Lost
	case "plugin:attached":
		e.Kind, e.Text = Attached, r.attached(&in)
	case "plugin:detached":
		why := in.Data.Reason
		if in.Data.Error != "" {
			why += ": " + in.Data.Error
		}
		e.Kind, e.Text = Detached, short(in.Data.Plugin)+" detached: "+why
	default:
		return false
	}
	return true
}

// attached learns the names of a plugin's frames.
func (r *Reader) attached(e *event) string {
	var names []string
	json.Unmarshal(e.Data.Frames, &names)
	for i, name := range names {
		if len(r.names) < maxNames {
			r.names[e.Data.First+uint64(i)] = short(e.Data.Plugin) + " " + name
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

// packet reads the frames of a packet.
func (r *Reader) packet(in *event, e *Event) bool {
	var frames []frame
	if json.Unmarshal(in.Data.Frames, &frames) != nil {
		return false
	}
	padding := 0
	for i := range frames {
		f := &frames[i]
		if f.Type == "padding" {
			padding += max(f.Raw.Payload, f.Raw.Length)
			continue
		}
		e.Own = e.Own || f.Type == "plugin"
		e.Plugins = e.Plugins || strings.Contains(f.Type, "plugin")
		e.Frames = append(e.Frames, r.frame(f))
	}
	if len(e.Frames) > maxFrames {
		e.Frames = append(e.Frames[:maxFrames], fmt.Sprintf("and %d more", len(e.Frames)-maxFrames))
	}
	if padding > 0 {
		e.Frames = append(e.Frames, fmt.Sprintf("padding %d", padding))
	}
	return true
}

// frame names a frame with what tells most about it.
func (r *Reader) frame(f *frame) string {
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
		name, known := r.names[f.Bytes]
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
