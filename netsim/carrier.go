package netsim

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// carrier is what the two real-time relays share: the Sim, the traces of both sides and the buffers of the
// packets under way. Not safe for concurrent use.
type carrier struct {
	sim    *Sim
	traces [2]*Capture
	spare  [][]byte
	extra  Stats // what the Sim does not count
	log    io.Writer
}

const (
	packetBuffer = 2048 // bytes, room for a packet of the usual MTU
	maxSpareBufs = 1024
)

// newCarrier makes the Sim and opens the traces whose path is not empty.
func newCarrier(sc *Scenario, seed uint64, log io.Writer, paths [2]string) (*carrier, error) {
	if sc == nil {
		return nil, errors.New("netsim: relay has no scenario")
	}
	if log == nil {
		log = io.Discard
	}
	c := &carrier{sim: NewSim(sc, seed), log: log}
	c.sim.Observe = c.settle
	comment := fmt.Sprintf("scenario: %s; seed: %d", sc, seed)
	for side, path := range paths {
		if path == "" {
			continue
		}
		var err error
		if c.traces[side], err = NewCapture(path, Side(side).String(), comment); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	c.logf("scenario %s, seed %d", sc, seed)
	return c, nil
}

func (c *carrier) close() error {
	return errors.Join(c.traces[Left].Close(), c.traces[Right].Close())
}

func (c *carrier) logf(format string, args ...any) {
	fmt.Fprintf(c.log, "netsim: "+format+"\n", args...)
}

// enter records the packet in the trace of side from and puts it on the link. p.Data comes from buffer and
// is given away; header is the Ethernet header for the trace.
func (c *carrier) enter(now time.Time, from Side, header []byte, p Packet) {
	if !p.checksumOK() {
		c.extra.BadChecksums++
	}
	p.Tag = c.traces[from].Hold(now, header, p.Data)
	if !age(p.Data, hops) {
		c.extra.Expired++
		c.traces[from].Decide(p.Tag, "dropped: TTL used up")
		c.recycle(p.Data)
		return
	}
	c.sim.Send(now, from, p)
}

// settle hears from the Sim what became of a packet.
func (c *carrier) settle(e Event) {
	c.traces[e.From].Decide(e.Packet.Tag, e.Note)
	if e.Dropped {
		c.recycle(e.Packet.Data)
	}
}

// tick is to be called about once a second.
func (c *carrier) tick(now time.Time) {
	c.traces[Left].Tick(now)
	c.traces[Right].Tick(now)
}

// buffer returns an empty slice with room for at least n bytes.
func (c *carrier) buffer(n int) []byte {
	if last := len(c.spare) - 1; last >= 0 && n <= packetBuffer {
		b := c.spare[last]
		c.spare = c.spare[:last]
		return b
	}
	return make([]byte, 0, max(n, packetBuffer))
}

// recycle takes back a slice from buffer that nobody refers to any more.
func (c *carrier) recycle(b []byte) {
	if cap(b) >= packetBuffer && len(c.spare) < maxSpareBufs {
		c.spare = append(c.spare, b[:0])
	}
}

func (c *carrier) stats() Stats {
	st := c.sim.Stats()
	st.BadChecksums, st.Expired, st.Unresolved = c.extra.BadChecksums, c.extra.Expired, c.extra.Unresolved
	st.Refused, st.WriteErrors, st.Missed = c.extra.Refused, c.extra.WriteErrors, c.extra.Missed
	return st
}
