package policy

import (
	"slices"
	"strings"
	"time"
)

// connect reads "connect DEST [port PORTS] quic|auto|tcp|refuse [OPTION …]".
func (f *file) connect(first word) {
	r := connectRule{from: f.name + ":" + itoa(f.line), line: f.line}
	w := f.next()
	var e *fault
	if r.dest, e = parseDest(w.text); e != nil {
		f.fail(w, e)
	}
	w = f.next()
	if w.text == "port" {
		r.ports = f.portList()
		w = f.next()
	}
	if via := slices.Index(vias, w.text); via >= 0 {
		r.via = Via(via)
	} else {
		f.fail(w, &fault{word: w.text, want: "quic, auto, tcp or refuse", hint: closest(w.text, append(vias, "port")...)})
		return // what options make sense is not known
	}
	if r.via == Auto {
		r.headStart, r.remember = DefaultHeadStart, DefaultRemember
	}
	seen := map[string]bool{}
	for len(f.words) > 0 {
		w := f.next()
		key, value, _ := strings.Cut(w.text, "=")
		f.once(w, key, seen)
		if e := r.option(w.text, key, value); e != nil {
			f.fail(w, e)
		}
		if key == "identity" && seen["pin"] || key == "pin" && seen["identity"] {
			f.fail(w, &fault{word: w.text, want: "pin= or identity=, not both"})
		}
	}
	if f.newErrs {
		return
	}
	if e := f.policy.addConnect(&r); e != nil {
		f.fail(first, e)
	}
}

// portList reads the word behind "port".
func (f *file) portList() ports {
	w := f.next()
	list, e := parsePorts(w.text)
	if e != nil {
		f.fail(w, e)
	}
	return list
}

var connectOptions = []string{"identity", "pin", "via", "head-start", "remember", "early-data", "optimistic", "ports"}

// option takes one KEY=VALUE.
func (r *connectRule) option(text, key, value string) (e *fault) {
	if !slices.Contains(connectOptions, key) {
		hint := closest(key, connectOptions...)
		if key == "udp" {
			hint = "udp= is of listen; where the peer listens is ports="
		}
		return &fault{word: text, want: "an option of connect: " + strings.Join(connectOptions, "=, ") + "=", hint: hint}
	}
	switch {
	case value == "":
		return &fault{word: text, want: key + "=VALUE, without blanks"}
	case r.via == TCP || r.via == Refuse:
		return &fault{word: text, want: "no option with " + r.via.String(), hint: "options are about QUIC"}
	case (key == "head-start" || key == "remember") && r.via != Auto:
		return &fault{word: text, want: "it with auto only", hint: "quic has no second choice"}
	}
	switch key {
	case "identity":
		r.identity, e = parseIdentity(value, true)
	case "pin":
		r.identity, e = parsePin(value)
	case "via":
		r.gateway, e = parseHostPort(value)
	case "head-start":
		r.headStart, e = parseDuration(value, maxHeadStart)
	case "remember":
		r.remember, e = parseDuration(value, maxRemember)
	case "early-data":
		r.earlyData, e = parseYes(value)
	case "optimistic":
		r.optimistic, e = parseYes(value)
	case "ports":
		r.udp, e = parseUDPChoice(value)
	}
	return e
}

// addConnect appends a rule, unless an earlier one leaves it nothing.
func (p *Policy) addConnect(r *connectRule) *fault {
	if len(p.connects) == maxRules {
		return &fault{got: "more than " + itoa(maxRules) + " rules about connections", want: "at most " + itoa(maxRules)}
	}
	for i := range p.connects {
		if earlier := &p.connects[i]; earlier.covers(r) {
			return &fault{word: r.dest.String() + r.ports.suffix(), want: "something that " + earlier.from + " leaves over: connect " + earlier.dest.String() + earlier.ports.suffix(),
				hint: "the first rule that matches decides, so the narrower stands first"}
		}
	}
	if p.rows += r.rows(); p.rows > maxRows {
		return &fault{got: "more than " + itoa(maxRows) + " pairs of a destination and a range of ports", want: "at most " + itoa(maxRows),
			hint: "a host name counts " + itoa(maxNameAddrs) + " times; networks count once"}
	}
	p.connects = append(p.connects, *r)
	return nil
}

// rows is how many rows of a table the rule may need.
func (r *connectRule) rows() int {
	n := max(len(r.ports), 1)
	if r.dest.kind == destName {
		n *= maxNameAddrs
	}
	return n
}

// listen reads "listen port PORTS|default quic|quic+tcp|tcp [allow=ID,…] [udp=N]".
func (f *file) listen(first word) {
	r := listenRule{from: f.name + ":" + itoa(f.line), line: f.line}
	switch w := f.next(); w.text {
	case "default":
	case "port":
		r.ports = f.portList()
	default:
		e := &fault{word: w.text, want: "port PORTS or default", hint: closest(w.text, "port", "default")}
		if _, bad := parsePorts(w.text); bad == nil {
			e.hint = "write: listen port " + w.text
		}
		f.fail(w, e)
		return
	}
	switch w := f.next(); w.text {
	case "quic":
		r.quic = true
	case "quic+tcp":
		r.quic, r.tcp = true, true
	case "tcp":
		r.tcp = true
	default:
		hint := closest(w.text, "quic", "quic+tcp", "tcp")
		if w.text == "auto" {
			hint = "a listener that both reach is quic+tcp"
		}
		f.fail(w, &fault{word: w.text, want: "quic, quic+tcp or tcp", hint: hint})
		return
	}
	seen := map[string]bool{}
	for len(f.words) > 0 {
		w := f.next()
		key, value, _ := strings.Cut(w.text, "=")
		f.once(w, key, seen)
		if e := r.option(w.text, key, value); e != nil {
			f.fail(w, e)
		}
	}
	if f.newErrs {
		return
	}
	if e := f.policy.addListen(&r); e != nil {
		f.fail(first, e)
	}
}

func (r *listenRule) option(text, key, value string) (e *fault) {
	switch {
	case key != "allow" && key != "udp":
		hint := closest(key, "allow", "udp")
		if key == "ports" {
			hint = "the UDP port of a listener is udp="
		}
		return &fault{word: text, want: "an option of listen: allow=, udp=", hint: hint}
	case value == "":
		return &fault{word: text, want: key + "=VALUE, without blanks"}
	case !r.quic:
		return &fault{word: text, want: "no option with tcp", hint: "options are about QUIC"}
	case key == "udp":
		r.udp, e = parseUDPChoice(value)
		return e
	}
	for id := range strings.SplitSeq(value, ",") {
		id, e := parseIdentity(id, false)
		if e != nil {
			return e
		}
		if len(r.allow) == maxAllow {
			return &fault{got: "more than " + itoa(maxAllow) + " identities", want: "at most " + itoa(maxAllow), hint: "a SPIFFE ID may end in *"}
		}
		if !slices.Contains(r.allow, id) {
			r.allow = append(r.allow, id)
		}
	}
	return nil
}

func (p *Policy) addListen(r *listenRule) *fault {
	if len(p.listens) == maxRules {
		return &fault{got: "more than " + itoa(maxRules) + " rules about listeners", want: "at most " + itoa(maxRules)}
	}
	for i := range p.listens {
		if earlier := &p.listens[i]; earlier.ports.covers(r.ports) {
			what := r.columns()[1]
			return &fault{word: what, want: "ports that " + earlier.from + " leaves over", hint: "the first rule that matches decides, so the narrower stands first"}
		}
	}
	p.listens = append(p.listens, *r)
	return nil
}

func parseYes(s string) (bool, *fault) {
	switch s {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, &fault{word: s, want: "yes or no"}
}

func parseDuration(s string, most time.Duration) (time.Duration, *fault) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > most {
		return 0, &fault{word: s, want: "a duration from 0s to " + duration(most) + " such as 150ms"}
	}
	return d, nil
}
