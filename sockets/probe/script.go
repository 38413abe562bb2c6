package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A connection to the counterpart begins with one line, its script: steps
// between semicolons, done one after the other on that connection.
//
//	send N        sends N bytes of the pattern
//	say TEXT      sends TEXT and a newline
//	oob C         sends the byte C as urgent data
//	read N        reads N bytes
//	eof           reads to the end
//	echo          sends back what it reads, to the end
//	tell          sends a line with what became of the last read, eof, echo or send
//	names         sends a line with the names of the socket: remote, local
//	half          shuts down its sending side
//	close, rst    closes, or resets; later steps have nothing to work on
//	unread        closes when there is something unread, which resets
//	silent        does nothing until the connection ends
//	pause MS      waits
//	note KEY      has what becomes of the script kept under KEY
//	mark KEY      keeps the word "here" under KEY at once
//	get KEY       sends a line with what is kept under KEY, once it is there
//	full          listens on a port whose queue nobody empties, and sends a line with the port
//	back PORT S   connects to PORT of the other end's host and does S there, its steps between commas
//
// A script that ends closes its connection.
type step struct {
	verb string
	n    int
	text string
}

// maxScript is how long a script may be, in bytes (limit: it is read before anything is known of who sent it).
const maxScript = 1000

// parseScript reads a line without its newline. sep is ';', or ',' for the steps of back.
func parseScript(line, sep string) ([]step, error) {
	if len(line) > maxScript {
		return nil, fmt.Errorf("script of %d bytes, want at most %d", len(line), maxScript)
	}
	var steps []step
	for part := range strings.SplitSeq(line, sep) {
		s, err := parseStep(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// maxBytes is what send and read may be asked for (limit: a script must end).
const maxBytes = 1 << 30

func parseStep(part string) (step, error) {
	verb, rest, _ := strings.Cut(part, " ")
	s := step{verb: verb, text: rest}
	bad := func(want string) (step, error) {
		return step{}, fmt.Errorf("step %q: want %s", part, want)
	}
	number, limit := rest, maxBytes
	switch verb {
	case "eof", "echo", "tell", "names", "half", "close", "rst", "unread", "silent", "full":
		if rest != "" {
			return bad(verb)
		}
		return s, nil
	case "say", "oob", "note", "mark", "get":
		if rest == "" {
			return bad(verb + " and a word")
		}
		return s, nil
	case "send", "read":
	case "pause":
		limit = 10_000
	case "back":
		number, s.text, _ = strings.Cut(rest, " ")
		limit = 65535
		if _, err := parseScript(s.text, ","); err != nil {
			return step{}, err
		}
	default:
		return bad("a verb that there is")
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > limit {
		return bad(fmt.Sprintf("%s and a number from 0 to %d", verb, limit))
	}
	s.n = n
	return s, nil
}

// pattern fills b with the bytes of the pattern from offset on; both programs know it.
func pattern(b []byte, offset int) {
	for i := range b {
		n := offset + i
		b[i] = byte(n*7 + n>>8)
	}
}

// hash is FNV-1a of 64 bits, started with hashStart.
func hash(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

const hashStart uint64 = 14695981039346656037
