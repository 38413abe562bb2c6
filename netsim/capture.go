package netsim

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Capture writes the trace of one side: a pcapng file of Ethernet frames with nanosecond timestamps, in the
// order in which they were given. A frame may be held back until its fate is known, so that a comment can
// say what the simulator did to it. A nil Capture takes everything and writes nothing. After a write error it
// is silent, too; Close returns the error. Not safe for concurrent use.
type Capture struct {
	file    *os.File
	buf     *bufio.Writer
	ng      *pcapgo.NgWriter
	pending []record // in order; only the first may be written, and only when it is done
	head    int      // pending[:head] is written already
	first   uint64   // ticket of pending[0]
	spare   [][]byte // frames to reuse
	flushed time.Time
	err     error
}

type record struct {
	at    time.Time
	frame []byte
	note  string
	done  bool
}

const (
	maxPending   = 1 << 16 // frames that wait for their fate
	maxUndecided = 5 * time.Second
	flushEvery   = time.Second
	traceBuffer  = 64 << 10 // bytes
	maxSpare     = 256      // frames
)

// NewCapture creates the trace file at path, which it truncates. comment goes into the section header: it
// should tell scenario and seed.
func NewCapture(path, ifname, comment string) (*Capture, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("netsim: create trace: %w", err)
	}
	c := &Capture{file: f, buf: bufio.NewWriterSize(f, traceBuffer)}
	intf := pcapgo.DefaultNgInterface
	intf.Name, intf.LinkType = ifname, layers.LinkTypeEthernet
	options := pcapgo.DefaultNgWriterOptions
	options.SectionInfo.Application, options.SectionInfo.Comment = "quiver netsim", comment
	// NgWriter puts a bufio.Writer around what it gets, which here is already one: Flush covers both.
	if c.ng, err = pcapgo.NewNgWriterInterface(c.buf, intf, options); err == nil {
		err = c.ng.Flush()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netsim: write trace: %w", err), f.Close())
	}
	return c, nil
}

// Write adds a frame: an Ethernet header, and what follows it. Both are copied.
func (c *Capture) Write(at time.Time, header, body []byte) {
	c.add(at, header, body, true)
}

// Hold adds a frame like Write, but keeps it, and all after it, until Decide is called with the ticket.
func (c *Capture) Hold(at time.Time, header, body []byte) (ticket uint64) {
	return c.add(at, header, body, false)
}

// Decide ends the wait of a held frame; a note that is not empty becomes its comment.
func (c *Capture) Decide(ticket uint64, note string) {
	if c == nil || ticket < c.first+uint64(c.head) || ticket-c.first >= uint64(len(c.pending)) {
		return // written already
	}
	r := &c.pending[ticket-c.first]
	r.note, r.done = note, true
	c.drain()
}

// Tick writes the file up to now, if a second has passed since it last did, and gives up waiting for the
// fate of very old frames.
func (c *Capture) Tick(now time.Time) {
	if c == nil || now.Sub(c.flushed) < flushEvery {
		return
	}
	c.flushed = now
	for i := range c.pending {
		c.pending[i].done = c.pending[i].done || now.Sub(c.pending[i].at) > maxUndecided
	}
	c.drain()
	c.keep(c.ng.Flush())
}

// Close writes what is held, and closes the file.
func (c *Capture) Close() error {
	if c == nil {
		return nil
	}
	for i := range c.pending {
		c.pending[i].done = true
	}
	c.drain()
	c.keep(c.ng.Flush())
	c.keep(c.file.Close())
	return c.err
}

func (c *Capture) add(at time.Time, header, body []byte, done bool) (ticket uint64) {
	if c == nil {
		return 0
	}
	if len(c.pending)-c.head == maxPending {
		c.pending[c.head].done = true
		c.drain()
	}
	var frame []byte
	if n := len(c.spare); n > 0 {
		frame, c.spare = c.spare[n-1][:0], c.spare[:n-1]
	}
	frame = append(append(frame, header...), body...)
	ticket = c.first + uint64(len(c.pending))
	c.pending = append(c.pending, record{at: at, frame: frame, done: done})
	c.drain()
	return ticket
}

// drain writes the frames at the front whose fate is known.
func (c *Capture) drain() {
	for ; c.head < len(c.pending) && c.pending[c.head].done; c.head++ {
		r := &c.pending[c.head]
		c.write(r)
		if len(c.spare) < maxSpare {
			c.spare = append(c.spare, r.frame)
		}
		r.frame = nil
	}
	if c.head*2 < len(c.pending) {
		return
	}
	rest := copy(c.pending, c.pending[c.head:])
	clear(c.pending[rest:])
	c.pending, c.first, c.head = c.pending[:rest], c.first+uint64(c.head), 0
}

func (c *Capture) write(r *record) {
	if c.err != nil {
		return
	}
	var options pcapgo.NgPacketOptions
	if r.note != "" {
		options.Comments = []string{r.note}
	}
	info := gopacket.CaptureInfo{Timestamp: r.at, CaptureLength: len(r.frame), Length: len(r.frame)}
	c.keep(c.ng.WritePacketWithOptions(info, r.frame, options))
}

// keep remembers the first error.
func (c *Capture) keep(err error) {
	if c.err == nil && err != nil {
		c.err = fmt.Errorf("netsim: write trace: %w", err)
	}
}
