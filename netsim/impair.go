package netsim

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// hazard returns why a packet that arrives at the receiving end is dropped, "" if it is not. It advances the
// counters that the decisions depend on.
func (s *Sim) hazard(at time.Time, l *link, f *flight) string {
	if l.Blackhole.swallows(at.Sub(s.start)) {
		return "dropped: blackhole"
	}
	if !f.p.UDP {
		if l.LossOfAll && l.loses(luck(s.seed, f.from, forOtherLoss, l.other)) {
			l.other++
			return "dropped: random loss"
		}
		return ""
	}
	if !s.nat.translate(at.Sub(s.start), f.from, &f.p) {
		return "dropped: the NAT has no mapping"
	}
	number := l.udp + 1
	if slices.Contains(l.Drops, int(number)) {
		l.udp++
		return fmt.Sprintf("dropped: packet %d is on the drop list", number)
	}
	if l.loses(luck(s.seed, f.from, forLoss, l.udp)) {
		l.udp++
		return "dropped: random loss"
	}
	return ""
}

// loses decides whether a packet is lost. With LossRun it walks the chain of Gilbert ("Capacity of a burst-noise channel", 1960): in a burst
// every packet is lost, outside none; a burst lasts LossRun packets in the mean, and begins as often as makes Loss the share that is lost.
func (l *link) loses(r uint64) bool {
	if l.LossRun <= 0 {
		return chosen(l.Loss, l.LossBurst, &l.lost, r)
	}
	p := 1 - 1/l.LossRun // of a burst to go on
	if !l.bad {
		p = l.Loss / (1 - l.Loss) / l.LossRun
	}
	l.bad = l.Loss > 0 && chosen(p, l.LossBurst, &l.lost, r)
	return l.bad
}

// chosen draws for one packet with probability p. After burst hits in a row it lets one packet pass without
// drawing; run counts the hits.
func chosen(p float64, burst int, run *int, r uint64) bool {
	if p <= 0 {
		return false
	}
	if (burst > 0 && *run >= burst) || !chance(p, r) {
		*run = 0
		return false
	}
	*run++
	return true
}

// damage corrupts, marks and duplicates a UDP packet as the link wants it and returns a note of what it did.
func (s *Sim) damage(at time.Time, l *link, f *flight) (note string) {
	st := s.stats.of(f.from)
	if s.wantsCorruption(l, f) {
		st.Corrupted++
		note = s.corrupt(l, f)
	}
	ect := f.p.ECN != ecnNotECT && f.p.ECN != ecnCE
	if ect && chance(l.CEMark, luck(s.seed, f.from, forCEMark, l.udp)) {
		st.CEMarked++
		f.p.setECN(ecnCE)
		note = join(note, "marked CE")
	}
	if chance(l.Duplicate, luck(s.seed, f.from, forDuplicate, l.udp)) {
		st.Duplicated++
		twin := flight{from: f.from, copy: true, p: f.p}
		twin.p.Data = bytes.Clone(f.p.Data)
		s.flying.Add(at, twin)
		note = join(note, "duplicated")
	}
	return note
}

// wantsCorruption decides for one packet. Version Negotiation packets are never chosen: nothing protects
// them, so a damaged one would decide the run. As with an undamaged packet, the run of hits ends there.
func (s *Sim) wantsCorruption(l *link, f *flight) bool {
	if len(f.p.UDPPayload()) == 0 || isVersionNegotiation(f.p.UDPPayload()) {
		l.damaged = 0
		return false
	}
	return chosen(l.Corrupt, l.CorruptBurst, &l.damaged, luck(s.seed, f.from, forCorruption, l.udp))
}

// isVersionNegotiation looks at the version only, not at the header form, as the original network does.
func isVersionNegotiation(payload []byte) bool {
	return len(payload) > 5 && payload[1]|payload[2]|payload[3]|payload[4] == 0
}

const corruptible = 51 // bytes at the start of the UDP payload: the QUIC header with any connection IDs

// corrupt gives one of the first bytes of the payload another value.
func (s *Sim) corrupt(l *link, f *flight) string {
	payload := f.p.UDPPayload()
	i := below(min(corruptible, len(payload)), luck(s.seed, f.from, forCorruptPlace, l.udp))
	was := payload[i]
	is := was + 1 + byte(below(255, luck(s.seed, f.from, forCorruptValue, l.udp)))
	f.p.setPayloadByte(i, is)
	return fmt.Sprintf("corrupted: byte %d of the UDP payload, %#02x became %#02x", i, was, is)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
