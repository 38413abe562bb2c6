package netsim

import "time"

// Stats counts what happened in a Sim and, for the relays, around it. It is plain data and may be sent
// as JSON.
type Stats struct {
	ToServer, ToClient LinkStats
	Rebinds            int
	Lateness           Lateness

	BadChecksums int // UDP packets that came in with a wrong checksum; they are carried as they are
	Expired      int // packets dropped because their TTL or hop limit was used up
	Unresolved   int // packets dropped because nobody answered for their destination
	Refused      int // UDP relay: packets of clients above the limit
	WriteErrors  int // packets that the interface or socket did not take
	Missed       int // frames that the kernel dropped because the relay was too slow to read them
}

// LinkStats counts one direction. Sizes are of IP packets.
type LinkStats struct {
	Packets, Bytes            uint64 // given to the link
	Delivered, DeliveredBytes uint64 // came out, duplicates included
	QueueDrops                uint64
	TooBig                    uint64 // larger than LinkConfig.MTU
	ErrorDrops                uint64 // loss, drop list, blackhole, NAT
	Corrupted                 uint64
	Duplicated                uint64
	Reordered                 uint64
	CEMarked                  uint64
	MaxQueue                  int // most packets that waited behind the one in transmission
}

// Lateness tells how far behind its own time the simulator ran. In virtual time it is zero.
type Lateness struct {
	Events   uint64
	Max, Sum time.Duration
	Over1ms  uint64 // events that ran more than a millisecond late
}

// The share of late events, and the single delay, from which a run no longer shows the network that was
// asked for.
const (
	lateShare  = 0.05                  // of the events were more than 1 ms late
	lateSingle = 50 * time.Millisecond // one event
)

// Mean returns the mean lateness of an event.
func (l Lateness) Mean() time.Duration {
	if l.Events == 0 {
		return 0
	}
	return l.Sum / time.Duration(l.Events)
}

// Late reports whether the simulator was too late too often for its results to count.
func (l Lateness) Late() bool {
	return l.Max > lateSingle || float64(l.Over1ms) > lateShare*float64(l.Events)
}

func (l *Lateness) note(by time.Duration) {
	l.Events++
	l.Sum += max(by, 0)
	l.Max = max(l.Max, by)
	if by > time.Millisecond {
		l.Over1ms++
	}
}

// of returns the counters of the direction in which from sends.
func (s *Stats) of(from Side) *LinkStats {
	if from == Left {
		return &s.ToServer
	}
	return &s.ToClient
}
