package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

// questionSize is that of the request, in bytes: more than OPEN could ever hide.
const questionSize = 700

// askedEarly lets the bytes of programs leave in 0-RTT, as only an operator can
// know whether they may: whoever records them can send them again.
const askedEarly = "connect default quic early-data=yes optimistic=yes\nlisten default quic\n"

// An asked is one run of a program that connects, asks, and hears.
type asked struct {
	name  string
	took  time.Duration // until the first byte of the answer
	early int           // bytes of streams in 0-RTT packets; -1 = it was not QUIC
}

// earlyDelay is the way of early, in one direction.
func (s *stage) earlyDelay() time.Duration {
	if s.quick {
		return 200 * time.Millisecond // a busy machine is not that late
	}
	return 50 * time.Millisecond
}

// playEarly runs the same program again and again.
func playEarly(s *stage) error {
	if err := s.connect(netsim.LinkConfig{Delay: s.earlyDelay()}, ""); err != nil {
		return err
	}
	if _, err := s.server.serve(s.program("answer", s.server.at(7201)), listening); err != nil {
		return err
	}
	if _, err := s.server.serve(s.under("--listen 7202", s.program("answer", s.server.at(7202))), listening); err != nil {
		return err
	}
	policy := s.file("early.conf")
	if err := os.WriteFile(policy, []byte(askedEarly), 0o644); err != nil {
		return err
	}
	to := "--to " + s.server.at(7202)
	var all []asked
	for _, run := range []struct {
		name, flags string
		port        int
	}{
		{"plain TCP", "", 7201},
		{"quiver run, the first time", to, 7202},
		{"quiver run, again", to, 7202},
		{"and with early-data=yes", "--policy " + policy, 7202},
	} {
		a, err := s.ask(run.name, run.flags, run.port)
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	s.tellEarly(all)
	return judgeEarly(2*s.earlyDelay(), all[0], all[1], all[2], all[3])
}

func (s *stage) tellEarly(all []asked) {
	rtt := 2 * s.earlyDelay()
	rows := [][]string{{"", "first byte after", "round trips", "0-RTT bytes of streams"}}
	for _, a := range all {
		early := "-"
		if a.early >= 0 {
			early = strconv.Itoa(a.early)
		}
		rows = append(rows, []string{a.name, short(a.took), fmt.Sprintf("%.1f", float64(a.took)/float64(rtt)), early})
	}
	writeTable(s.out, fmt.Sprintf("Connect, ask, and hear the first byte, with a round trip of %v", rtt), rows)
	s.printf("The second run has the session of the first: what opens the connection leaves with the first\npacket. The question, %d bytes, leaves with it only where the policy says early-data=yes.\n", questionSize)
}

// judgeEarly is the promise. The times are a round trip apart, and count as such if they are half of it.
func judgeEarly(rtt time.Duration, plain, first, again, asked asked) error {
	switch {
	case first.took-again.took < rtt/2:
		return fmt.Errorf("the second session took %v, the first %v: want a round trip less", again.took, first.took)
	case again.took-asked.took < rtt/2:
		return fmt.Errorf("with early-data=yes it took %v, without %v: want a round trip less", asked.took, again.took)
	case plain.took-asked.took < rtt/2:
		return fmt.Errorf("with early-data=yes it took %v, over TCP %v: want a round trip less", asked.took, plain.took)
	case first.early != 0:
		return fmt.Errorf("%d bytes left in 0-RTT before there was a session", first.early)
	case again.early == 0:
		return errors.New("the second session did not begin in 0-RTT")
	case again.early >= questionSize:
		return fmt.Errorf("%d bytes left in 0-RTT, and nobody had allowed the program's", again.early)
	case asked.early < questionSize:
		return fmt.Errorf("%d bytes left in 0-RTT with early-data=yes, want the %d of the question", asked.early, questionSize)
	}
	return nil
}

// ask runs the program once. Without flags it is not under quiver run.
func (s *stage) ask(name, flags string, port int) (a asked, err error) {
	call := s.program("ask", s.server.at(port), strconv.Itoa(questionSize))
	a = asked{name: name, early: -1}
	logs := s.file("qlog")
	if flags != "" {
		call = s.under(flags+" --qlog "+logs, call)
	}
	said, err := s.client.ask(call)
	if err != nil {
		return a, err
	}
	times := timesIn(said)
	if len(times) != 1 {
		return a, fmt.Errorf("%s: the program said %q", name, said)
	}
	a.took = times[0]
	if flags != "" {
		a.early, err = earlyBytes(logs)
	}
	return a, err
}

// earlyBytes counts in the qlogs of a directory the bytes of streams that were
// sent in 0-RTT packets.
func earlyBytes(dir string) (total int, err error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.sqlog"))
	if err == nil && len(logs) == 0 {
		err = fmt.Errorf("no qlog in %s", dir)
	}
	if err != nil {
		return 0, err
	}
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		total += earlyBytesIn(text)
	}
	return total, nil
}

// earlyBytesIn does so for one qlog.
func earlyBytesIn(text []byte) (total int) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Name string
			Data struct {
				Header struct {
					Kind string `json:"packet_type"`
				}
				Frames []struct {
					Kind string `json:"frame_type"`
					Raw  struct {
						Length int
					}
				}
			}
		}
		line := bytes.TrimPrefix(lines.Bytes(), []byte{0x1e}) // RFC 7464's record separator
		if json.Unmarshal(line, &event) != nil || event.Name != "quic:packet_sent" || event.Data.Header.Kind != "0RTT" {
			continue
		}
		for _, f := range event.Data.Frames {
			if f.Kind == "stream" {
				total += f.Raw.Length
			}
		}
	}
	return total
}
