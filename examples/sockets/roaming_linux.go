package main

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

// A roamed is what became of a session when its client's address changed.
type roamed struct {
	way      string
	before   int           // answers until then
	after    int           // answers since
	gap      time.Duration // the longest wait for one
	seen     string        // the client, as the server sees it
	ended    string        // why the session is over; "" = it is not
	tellsNew bool          // the server was told of another address
}

// playRoaming changes the address of a client in the middle of a session.
func playRoaming(s *stage) error {
	if err := s.connect(netsim.LinkConfig{Delay: 5 * time.Millisecond}, ""); err != nil {
		return err
	}
	plain, err := s.roam("plain TCP", 7001, "", "")
	if err != nil {
		return err
	}
	layered, err := s.roam("quiver run", 7002, "--listen 7002", "--to "+s.server.at(7002))
	if err != nil {
		return err
	}
	all := []roamed{plain, layered}
	rows := [][]string{{"", "answers before", "and after", "longest wait", "the server sees", "the session"}}
	for _, r := range all {
		gap, end := short(r.gap), "goes on"
		if r.ended != "" {
			gap, end = "-", "is dead: "+r.ended
		}
		rows = append(rows, []string{r.way, strconv.Itoa(r.before), strconv.Itoa(r.after), gap, r.seen, end})
	}
	writeTable(s.out, "A session, and a change of its client's address", rows)
	s.printf("The client lost %v and got %v instead. A TCP connection is its two\naddresses; a QUIC connection has a number, and moved.\n", home, away)
	return judgeRoaming(plain, layered)
}

// judgeRoaming is the promise.
func judgeRoaming(plain, layered roamed) error {
	switch {
	case plain.ended == "" || plain.after > 0:
		return errors.New("plain TCP survived, so that nothing is shown")
	case layered.ended != "":
		return fmt.Errorf("under quiver run the session ended: %s", layered.ended)
	case layered.after < goesOn:
		return fmt.Errorf("under quiver run %d answers came after the change, want %d", layered.after, goesOn)
	case layered.tellsNew:
		return errors.New("under quiver run the server saw the client's address change")
	}
	return nil
}

// The client's addresses, one after the other.
var home, away = netsim.ClientV4, netsim.ClientV4.Next()

const (
	settles = 5  // answers before the change
	goesOn  = 10 // answers after it that are enough
)

// roam plays a session. Flags are those of quiver run at each end, none for TCP.
func (s *stage) roam(way string, port int, serverFlags, clientFlags string) (r roamed, err error) {
	if s.client.addr != home {
		if err := s.client.move(home); err != nil {
			return r, err
		}
	}
	layered := serverFlags != ""
	serve, call := s.program("counter", s.server.at(port)), s.program("session", s.server.at(port), s.silence(layered).String())
	if layered {
		serve, call = s.under(serverFlags, serve), s.under(clientFlags, call)
	}
	if _, err := s.server.serve(serve, listening); err != nil {
		return r, err
	}
	session, err := s.client.start(call)
	if err != nil {
		return r, err
	}
	if err := session.until(s.ctx, "answers", func(text string) bool { return len(answersIn(text)) >= settles }); err != nil {
		return r, err
	}
	r.way, r.before = way, len(answersIn(session.out.String()))
	if err := s.client.move(away); err != nil {
		return r, err
	}
	over := session.until(s.ctx, "more answers", func(text string) bool { return len(answersIn(text)) >= r.before+1+goesOn })
	r.judge(session, over)
	return r, session.stop()
}

// judge reads what a session said. One answer may have been on its way.
func (r *roamed) judge(session *process, over error) {
	text := session.out.String()
	all := answersIn(text)
	r.after = max(len(all)-r.before-1, 0)
	for _, a := range all {
		r.gap = max(r.gap, a.waited)
		r.tellsNew = r.tellsNew || a.from.Addr() != all[0].from.Addr()
		r.seen = a.from.Addr().String()
	}
	if over != nil {
		_, r.ended, _ = strings.Cut(text, "error: ")
		r.ended = strings.TrimSpace(r.ended)
		if r.ended == "" {
			r.ended = over.Error()
		}
	}
}

// silence is how long a session waits for an answer. What never comes need not be
// waited for in a test; what comes may be late on a busy machine.
func (s *stage) silence(layered bool) time.Duration {
	switch {
	case !s.quick:
		return 5 * time.Second
	case layered:
		return 20 * time.Second
	}
	return time.Second
}

type answer struct {
	waited time.Duration
	from   netip.AddrPort
}

var answerLine = regexp.MustCompile(`(?m)^after (\d+) ms: \d+ from (\S+)$`)

// answersIn returns the answers that a session has told of.
func answersIn(text string) (list []answer) {
	for _, m := range answerLine.FindAllStringSubmatch(text, -1) {
		ms, _ := strconv.Atoi(m[1])
		from, _ := netip.ParseAddrPort(m[2])
		list = append(list, answer{time.Duration(ms) * time.Millisecond, from})
	}
	return list
}
