package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxText      = 1 << 20 // limit: bytes of a file
	maxRules     = 4096    // limit: rules of a policy, about connections and about listeners each
	maxRows      = 1 << 17 // limit: destinations times ranges of ports, a host name counting for all the addresses that it may have
	maxSpans     = 64      // limit: ranges of ports of a rule
	maxPairs     = 256     // limit: TCP=UDP pairs
	maxAllow     = 64      // limit: identities that a listener allows
	maxProtocols = 16      // limit: protocol numbers
	maxErrors    = 20      // limit: errors that are told of one policy
)

const (
	maxHeadStart = 30 * time.Second   // a program that connects does not wait longer than that for a second choice
	maxRemember  = 7 * 24 * time.Hour // longer is a policy, not a memory
)

// Parse reads a policy. The name is that of errors and of [Decision.Rule]. The error is [Errors], with all that is wrong.
func Parse(name string, text []byte) (*Policy, error) {
	if len(text) > maxText {
		return nil, Errors{{In: name, Got: strconv.Itoa(len(text)) + " bytes", Want: "at most " + strconv.Itoa(maxText)}}
	}
	f := file{name: name, policy: &Policy{ports: portMode{shared: DefaultUDPPort}, protocols: []int{ProtoQUIC}}}
	for line := range strings.SplitSeq(string(text), "\n") {
		f.line++
		if f.words = words(line); len(f.words) > 0 {
			f.statement()
		}
		if len(f.errs) >= maxErrors {
			break
		}
	}
	if len(f.errs) > 0 {
		return nil, f.errs[:min(len(f.errs), maxErrors)]
	}
	return f.policy.finish(), nil
}

// file is a policy in the making.
type file struct {
	name     string
	line     int
	words    []word // of the line, those that are read already cut off; bounded by maxText
	policy   *Policy
	portsAt  int    // the line of "ports"
	errs     Errors // limit: maxErrors, and what the last line adds
	newErrs  bool   // this line has some
	lastWord word
}

// word is a word of a line.
type word struct {
	text   string
	column int
}

// words splits a line at blanks; a word that begins with # ends it.
func words(line string) []word {
	var out []word
	column := 1
	for line != "" {
		n := strings.IndexAny(line, " \t\r")
		if n < 0 {
			n = len(line)
		}
		if n == 0 {
			line = line[1:]
			column++
			continue
		}
		if line[0] == '#' {
			break
		}
		out = append(out, word{line[:n], column})
		column += utf8.RuneCountInString(line[:n])
		line = line[n:]
	}
	return out
}

// next takes a word; at the end of the line it returns none, one column behind the last.
func (f *file) next() word {
	if len(f.words) == 0 {
		return word{column: f.lastWord.column + utf8.RuneCountInString(f.lastWord.text)}
	}
	f.lastWord = f.words[0]
	f.words = f.words[1:]
	return f.lastWord
}

func (f *file) fail(at word, e *fault) {
	f.newErrs = true
	f.errs = append(f.errs, e.at(f.name, f.line, at.column))
}

func (f *file) statement() {
	f.newErrs = false
	switch w := f.next(); w.text {
	case "connect":
		f.connect(w)
	case "listen":
		f.listen(w)
	case "ports":
		f.ports(w)
	case "protocol":
		f.protocol()
	default:
		e := &fault{word: w.text, want: "connect, listen, ports or protocol", hint: closest(w.text, "connect", "listen", "ports", "protocol")}
		if w.text == "include" {
			e.hint = "a policy is one file"
		}
		f.fail(w, e)
	}
}

// ports reads "ports shared|same [udp=N] [TCP=UDP …]".
func (f *file) ports(first word) {
	if f.portsAt > 0 {
		f.fail(first, &fault{word: "ports", want: "one such line", hint: "line " + itoa(f.portsAt) + " has said it already"})
		return
	}
	f.portsAt = f.line
	mode := &f.policy.ports
	switch w := f.next(); w.text {
	case "same":
		mode.same = true
	case "shared":
	default:
		f.fail(w, &fault{word: w.text, want: "shared or same", hint: closest(w.text, "shared", "same")})
		return
	}
	seen := map[string]bool{}
	for len(f.words) > 0 {
		w := f.next()
		key, value, _ := strings.Cut(w.text, "=")
		if key != "udp" {
			if e := mode.add(w.text); e != nil {
				f.fail(w, e)
			}
			continue
		}
		f.once(w, key, seen)
		var ok bool
		if mode.shared, ok = parsePort(value); !ok {
			f.fail(w, &fault{word: w.text, want: "udp=N, N a port from 1 to 65535"})
		}
	}
}

// protocol reads "protocol N quic".
func (f *file) protocol() {
	w := f.next()
	n, e := parseProtocol(w.text)
	if e != nil {
		f.fail(w, e)
	}
	if w := f.next(); w.text != "quic" {
		f.fail(w, &fault{word: w.text, want: "quic", hint: "the other sockets go as connect and listen say"})
	}
	f.end()
	if e == nil {
		if e := f.policy.addProtocol(n); e != nil {
			f.fail(w, e)
		}
	}
}

func (p *Policy) addProtocol(n int) *fault {
	i, there := slices.BinarySearch(p.protocols, n)
	switch {
	case there:
		return nil
	case len(p.protocols) == maxProtocols:
		return &fault{got: "more than " + itoa(maxProtocols) + " protocol numbers", want: "at most " + itoa(maxProtocols)}
	}
	p.protocols = slices.Insert(p.protocols, i, n)
	return nil
}

// parseProtocol reads a protocol number that may ask for QUIC.
func parseProtocol(s string) (int, *fault) {
	n, err := strconv.ParseInt(s, 10, 32)
	switch {
	case err != nil || n < 0 || s[0] == '+':
		return 0, &fault{word: s, want: "a protocol number, the third argument of socket(2)", hint: "such as " + itoa(ProtoQUIC)}
	case n == 0 || n == 6 || n == 262:
		return 0, &fault{word: s, want: "a number that is not TCP's own", hint: "0, 6 and 262 (MPTCP) go as the rules say"}
	}
	return int(n), nil
}

// end refuses what is left of a line.
func (f *file) end() {
	if len(f.words) > 0 {
		w := f.next()
		f.fail(w, &fault{word: w.text, want: "the end of the line"})
	}
}

// once refuses a key for the second time.
func (f *file) once(w word, key string, seen map[string]bool) {
	if seen[key] {
		f.fail(w, &fault{word: w.text, want: "each option once"})
	}
	seen[key] = true
}
