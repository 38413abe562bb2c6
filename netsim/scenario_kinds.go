package netsim

import (
	"errors"
	"strings"
	"time"
)

// kind is one scenario of the catalogue.
type kind struct {
	text   string
	params []param
	finish func(*Scenario) // runs after the last parameter; may be nil
}

// param is one parameter of a scenario. set stores a value and returns what would have been right.
type param struct {
	name, unit string
	must       bool
	text       string
	set        func(s *Scenario, value string) error
}

var (
	delayParam     = param{"delay", "TIME", true, "one-way delay", onBoth(setDelay)}
	bandwidthParam = param{"bandwidth", "RATE", true, "rate of the link, each direction", onBoth(setBandwidth)}
	queueParam     = param{"queue", "PACKETS", true, "length of the queue in front of the link", onBoth(setQueue)}
)

var kinds = map[string]*kind{
	"simple-p2p": {
		text:   "a plain link: delay, bandwidth and a tail-drop queue",
		params: []param{delayParam, bandwidthParam, queueParam},
	},
	"drop-rate": {
		text: "drops a percentage of the UDP packets, at most BURST in a row",
		params: []param{delayParam, bandwidthParam, queueParam,
			{"rate_to_client", "PERCENT", true, "UDP packets to the client that are lost", on(Right, setLoss)},
			{"rate_to_server", "PERCENT", true, "UDP packets to the server that are lost", on(Left, setLoss)},
			{"burst_to_client", "BURST", false, "most losses in a row", on(Right, setLossBurst)},
			{"burst_to_server", "BURST", false, "most losses in a row", on(Left, setLossBurst)},
		},
	},
	"corrupt-rate": {
		text: "changes one byte near the start of a percentage of the UDP packets, at most BURST in a row",
		params: []param{delayParam, bandwidthParam, queueParam,
			{"rate_to_client", "PERCENT", true, "UDP packets to the client that are damaged", on(Right, setCorrupt)},
			{"rate_to_server", "PERCENT", true, "UDP packets to the server that are damaged", on(Left, setCorrupt)},
			{"burst_to_client", "BURST", false, "most damaged packets in a row", on(Right, setCorruptBurst)},
			{"burst_to_server", "BURST", false, "most damaged packets in a row", on(Left, setCorruptBurst)},
		},
	},
	"blackhole": {
		text: "lets everything pass for ON, then nothing for OFF, REPEAT times",
		params: []param{delayParam, bandwidthParam, queueParam,
			{"on", "TIME", true, "how long traffic flows", onBoth(setOn)},
			{"off", "TIME", true, "how long nothing passes", onBoth(setOff)},
			{"repeat", "COUNT", false, "how often (1)", onBoth(setRepeat)},
			{"direction", "both|toclient|toserver", false, "which way is cut (both)", setDirection},
		},
		finish: finishBlackhole,
	},
	"droplist": {
		text: "drops the UDP packets with the given numbers, counted from 1 in each direction",
		params: []param{delayParam, bandwidthParam, queueParam,
			{"drops_to_client", "N,N,…", false, "numbers of packets to the client", on(Right, setDrops)},
			{"drops_to_server", "N,N,…", false, "numbers of packets to the server", on(Left, setDrops)},
		},
	},
	"rebind": {
		text: "a NAT in front of the client that changes its external ports (and address) now and then",
		params: []param{delayParam, bandwidthParam, queueParam,
			{"first-rebind", "TIME", true, "time of the first change", setFirstRebind},
			{"rebind-freq", "TIME", false, "time between further changes (none)", setRebindFreq},
			{"rebind-addr", "", false, "change the address, too", setRebindAddr},
		},
	},
	"mtu": {
		text: "carries packets of FIRST bytes and, after a while, only of THEN bytes; larger ones vanish without a word",
		params: []param{delayParam, bandwidthParam, queueParam,
			{"first", "BYTES", true, "largest IP packet at first", onBoth(setMTU)},
			{"then", "BYTES", true, "largest IP packet later", onBoth(setLaterMTU)},
			{"after", "TIME", true, "time of the change", onBoth(setMTUChange)},
		},
	},
	"link": {
		text:   "any mixture of impairments, symmetric or (with _to_client, _to_server) for one direction",
		params: freeParams(),
	},
}

type linkSetter func(*LinkConfig, string) error

// on applies a setter to the link on which the given side sends.
func on(from Side, set linkSetter) func(*Scenario, string) error {
	return func(s *Scenario, v string) error { return set(&s.Link[from], v) }
}

func onBoth(set linkSetter) func(*Scenario, string) error {
	return func(s *Scenario, v string) error {
		return errors.Join(set(&s.Link[Left], v), set(&s.Link[Right], v))
	}
}

// freeParams lists the parameters of scenario link: every impairment, for both directions or one.
func freeParams() []param {
	var list []param
	for _, p := range []struct {
		name, unit, text string
		set              linkSetter
	}{
		{"delay", "TIME", "one-way delay", setDelay},
		{"jitter", "TIME", "greatest extra delay, in order", setJitter},
		{"bandwidth", "RATE", "rate of the link (unlimited)", setBandwidth},
		{"queue", "PACKETS", "length of the queue in front of the link", setQueue},
		{"mtu", "BYTES", "largest IP packet", setMTU},
		{"loss", "PERCENT", "UDP packets that are lost", setLoss},
		{"loss-burst", "BURST", "most losses in a row", setLossBurst},
		{"loss-run", "PACKETS", "mean length of a run of losses (each packet by itself)", setLossRun},
		{"corrupt", "PERCENT", "UDP packets that are damaged", setCorrupt},
		{"duplicate", "PERCENT", "UDP packets that arrive twice", setDuplicate},
		{"reorder", "PERCENT", "packets that are held back", setReorder},
		{"reorder-by", "TIME", "how long they are held back (2ms)", setReorderBy},
		{"ce", "PERCENT", "ECN-capable UDP packets that are marked CE", setCE},
	} {
		list = append(list,
			param{p.name, p.unit, false, p.text, onBoth(p.set)},
			param{p.name + "_to_client", p.unit, false, p.text + ", to the client", on(Right, p.set)},
			param{p.name + "_to_server", p.unit, false, p.text + ", to the server", on(Left, p.set)})
	}
	return list
}

func setDelay(l *LinkConfig, v string) error     { return parseTime(v, 0, &l.Delay) }
func setJitter(l *LinkConfig, v string) error    { return parseTime(v, 0, &l.Jitter) }
func setReorderBy(l *LinkConfig, v string) error { return parseTime(v, 1, &l.ReorderBy) }
func setBandwidth(l *LinkConfig, v string) error { return parseRate(v, &l.Bandwidth) }
func setQueue(l *LinkConfig, v string) error     { return parseCount(v, 0, maxQueue, &l.QueuePackets) }
func setMTU(l *LinkConfig, v string) error       { return parseCount(v, minMTU, maxMTU, &l.MTU) }

func setLaterMTU(l *LinkConfig, v string) error {
	return parseCount(v, minMTU, maxMTU, &l.LaterMTU)
}
func setMTUChange(l *LinkConfig, v string) error { return parseTime(v, 0, &l.MTUChange) }

func setLoss(l *LinkConfig, v string) error      { return parsePercent(v, &l.Loss) }
func setLossBurst(l *LinkConfig, v string) error { return parseCount(v, 1, maxBurst, &l.LossBurst) }
func setLossRun(l *LinkConfig, v string) error   { return parseRun(v, &l.LossRun) }
func setCorrupt(l *LinkConfig, v string) error   { return parsePercent(v, &l.Corrupt) }
func setCorruptBurst(l *LinkConfig, v string) error {
	return parseCount(v, 1, maxBurst, &l.CorruptBurst)
}
func setDuplicate(l *LinkConfig, v string) error { return parsePercent(v, &l.Duplicate) }
func setReorder(l *LinkConfig, v string) error   { return parsePercent(v, &l.Reorder) }
func setCE(l *LinkConfig, v string) error        { return parsePercent(v, &l.CEMark) }

func setOn(l *LinkConfig, v string) error  { return parseTime(v, 0, &l.Blackhole.On) }
func setOff(l *LinkConfig, v string) error { return parseTime(v, 1, &l.Blackhole.Off) }
func setRepeat(l *LinkConfig, v string) error {
	return parseCount(v, 1, maxRepeat, &l.Blackhole.Repeat)
}

func setFirstRebind(s *Scenario, v string) error { return parseTime(v, 1, &s.NAT.First) }
func setRebindFreq(s *Scenario, v string) error {
	if v == "0" {
		s.NAT.Every = 0
		return nil
	}
	return parseTime(v, time.Millisecond, &s.NAT.Every)
}

// setDrops reads a comma list of packet numbers; an empty list drops nothing.
func setDrops(l *LinkConfig, v string) error {
	l.Drops = nil
	if v == "" {
		return nil
	}
	for word := range strings.SplitSeq(v, ",") {
		var n int
		if parseCount(word, 1, maxBurst, &n) != nil || len(l.Drops) == maxDrops {
			return errors.New("a comma list of packet numbers, at most 10000")
		}
		l.Drops = append(l.Drops, n)
	}
	return nil
}

func setRebindAddr(s *Scenario, v string) error {
	switch v {
	case "", "true", "1":
		s.NAT.Addr = true
	case "false", "0":
		s.NAT.Addr = false
	default:
		return errors.New("no value, true or false")
	}
	return nil
}

// setDirection marks the direction that is not cut; finishBlackhole acts on it, as parameters come in any order.
func setDirection(s *Scenario, v string) error {
	s.Link[Left].Blackhole.spared = v == "toclient"
	s.Link[Right].Blackhole.spared = v == "toserver"
	if v != "both" && v != "toclient" && v != "toserver" {
		return errors.New("both, toclient or toserver")
	}
	return nil
}

func finishBlackhole(s *Scenario) {
	for i := range s.Link {
		b := &s.Link[i].Blackhole
		b.Repeat = max(b.Repeat, 1)
		if b.spared {
			*b = Blackhole{}
		}
	}
}
