package qlog

import (
	"io"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// Log writes the events of one connection. A nil *Log is a log that is off:
// all its methods do nothing. Not safe for concurrent use; it belongs to the
// connection and is called under the connection's lock, so its writer should
// be a buffer rather than a file.
//
// Every event is one record and one Write. The first error of the writer ends
// the log: later events are dropped, and Err returns it.
type Log struct {
	w   io.Writer
	err error
	e   enc // reused for every event

	frame   wire.Frame // reused for every frame
	ranges  [maxAckRanges]wire.AckRange
	metrics Metrics
	// exponents of the ack_delay fields, by who sends the ACK
	localExponent, remoteExponent uint8
}

// Header is what the first record says about the trace.
type Header struct {
	Vantage string    // "client" or "server": the side whose events these are
	ODCID   []byte    // the client's first destination connection ID, which names the connection
	Epoch   time.Time // the wall clock at instant 0 of the events
	Title   string    // free text; empty = none
}

// New starts a log on w with a header record.
func New(w io.Writer, h Header) *Log {
	l := &Log{w: w, localExponent: defaultExponent, remoteExponent: defaultExponent}
	l.e.b = make([]byte, 0, maxEvent+maxFrame)
	e := &l.e
	e.raw("\x1e{")
	e.str("file_schema", "urn:ietf:params:qlog:file:sequential")
	e.str("serialization_format", "application/qlog+json-seq")
	// qvis knows a file by these two members of qlog 0.3.
	e.str("qlog_version", "0.3")
	e.str("qlog_format", "JSON-SEQ")
	if h.Title != "" {
		e.str("title", h.Title)
	}
	e.object("trace")
	e.array("event_schemas")
	e.raw(`"urn:ietf:params:qlog:events:quic-13"`)
	e.endArray()
	e.object("vantage_point")
	e.str("type", h.Vantage)
	e.end()
	l.commonFields(h)
	e.end()
	l.finish()
	return l
}

func (l *Log) commonFields(h Header) {
	e := &l.e
	e.object("common_fields")
	e.hex("group_id", h.ODCID)
	e.str("time_format", "relative_to_epoch")
	e.object("reference_time")
	e.str("clock_type", "monotonic")
	e.str("epoch", "unknown")
	e.str("wall_clock_time", h.Epoch.UTC().Format("2006-01-02T15:04:05.000000Z"))
	e.end()
	e.end()
}

// Err returns the error of the writer that ended the log, or nil.
func (l *Log) Err() error {
	if l == nil {
		return nil
	}
	return l.err
}

// off reports whether there is nothing to write to.
func (l *Log) off() bool { return l == nil || l.err != nil }

// begin opens the record of an event and its data object.
func (l *Log) begin(now hook.Instant, name string) *enc { return l.beginIn(now, "quic", name) }

// beginIn is begin for a name space of events.
func (l *Log) beginIn(now hook.Instant, space, name string) *enc {
	e := &l.e
	e.b = append(e.b[:0], "\x1e{\"time\":"...)
	e.b = appendMillis(e.b, time.Duration(now))
	e.raw(`,"name":"`)
	e.raw(space)
	e.raw(":")
	e.raw(name)
	e.raw(`","data":{`)
	return e
}

// finish closes the record that begin, or New, opened and writes it.
func (l *Log) finish() {
	l.e.raw("}\n")
	n, err := l.w.Write(l.e.b)
	if err == nil && n < len(l.e.b) {
		err = io.ErrShortWrite
	}
	l.err = err
}

// commit closes the data object and the record.
func (l *Log) commit() {
	l.e.end()
	l.finish()
}
