package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/seed51309289/quiver/netsim"
	"github.com/seed51309289/quiver/plugin/lab"
)

// The path of lossy, in both directions.
const (
	lossShare   = 0.02
	connections = 20
)

// lossyDelay is the way of lossy, in one direction.
func (s *stage) lossyDelay() time.Duration {
	if s.quick {
		return 80 * time.Millisecond // a busy machine is not that late
	}
	return 30 * time.Millisecond
}

// late is when a message has waited for a loss: its own costs it more than a
// round trip, another's at most that.
func (s *stage) late() time.Duration { return s.lossyDelay() * 3 / 2 }

// A way is how the connections of lossy travel.
type way struct {
	name                     string
	control                  control
	serverFlags, clientFlags string // of quiver run; "" = not under it
	tunnel                   bool   // through one TCP connection
}

// A control is a congestion controller, as TCP and as quiver run name it: the two
// should not differ by that.
type control struct{ tcp, quic string }

// controls are those that this kernel lets us have, the least able to stand losses first.
func (s *stage) controls() []control {
	var list []control
	for _, c := range []control{{"reno", "newreno"}, {"bbr", "bbr"}} {
		if s.server.control(c.tcp) == nil && s.client.control(c.tcp) == nil {
			list = append(list, c)
		}
	}
	if s.quick {
		list = list[len(list)-1:]
	}
	return list
}

// ways are those that are played with one controller.
func (s *stage) ways(c control) []way {
	ways := []way{
		{name: "20 TCP connections", control: c},
		{name: "in one TCP connection", control: c, tunnel: true},
		{name: "quiver run", control: c, serverFlags: "--listen all", clientFlags: "--to " + s.server.addr.String()},
	}
	if !s.quick {
		ways = append(ways, way{name: "… --own-connections", control: c, serverFlags: "--listen all", clientFlags: "--own-connections --to " + s.server.addr.String()})
	}
	return ways
}

// measured is what came of a way.
type measured struct {
	way
	fetched  []time.Duration // to get a file, a connection each, sorted
	messages []time.Duration // on their way, sorted
	late     int             // messages that waited for a loss
}

func (m *measured) share() float64 { return float64(m.late) / float64(max(len(m.messages), 1)) }

// playLossy measures what losses cost, and whom.
func playLossy(s *stage) error {
	if err := s.connect(netsim.LinkConfig{Delay: s.lossyDelay(), Loss: lossShare, LossOfAll: true}, ""); err != nil {
		return err
	}
	var all, last []measured
	for i, c := range s.controls() {
		last = nil
		for j, w := range s.ways(c) {
			m, err := s.measure(w, 7100+100*i+10*j)
			if err != nil {
				return err
			}
			last = append(last, m)
		}
		all = append(all, last...)
	}
	s.tellMessages(all)
	s.tellFetched(all)
	if s.svg != "" {
		if err := s.draw(s.svg, last[:3]); err != nil {
			return err
		}
	}
	return judgeLossy(last[0], last[1], last[2])
}

// judgeLossy is the promise: no connection waits for what another one lost, though all travel together.
func judgeLossy(plain, tunneled, layered measured) error {
	for _, m := range []measured{plain, tunneled, layered} {
		if len(m.messages) == 0 || len(m.messages) != len(plain.messages) {
			return fmt.Errorf("%s: %d messages came, of plain TCP's %d", m.name, len(m.messages), len(plain.messages))
		}
	}
	one, many := tunneled.share(), layered.share()
	switch {
	case one < 2*lossShare:
		return errors.New("in one TCP connection nothing waited for losses, so that nothing is shown")
	case many > one*2/3:
		return fmt.Errorf("%s of the messages were late under quiver run, and %s in one TCP connection: want two thirds at most", percent(many), percent(one))
	}
	return nil
}

func (w way) controller() string {
	if w.serverFlags != "" {
		return w.control.quic
	}
	return w.control.tcp
}

func (s *stage) tellMessages(all []measured) {
	rows := [][]string{{"", "control", "late", "median", "p95", "p99", "latest"}}
	for _, m := range all {
		l := m.messages
		rows = append(rows, []string{m.name, m.controller(), percent(m.share()), short(quantile(l, 0.5)), short(quantile(l, 0.95)), short(quantile(l, 0.99)), short(quantile(l, 1))})
	}
	writeTable(s.out, fmt.Sprintf("20 connections, 2 %% of the packets lost: %d messages of %d bytes, each %v on its way", len(all[0].messages), messageSize, s.lossyDelay()), rows)
	s.printf("Late is a message that took over %v: it was lost, or it waited behind one that was. In one\nTCP connection all wait for each loss; streams of QUIC wait for their own alone.\n", s.late())
}

func (s *stage) tellFetched(all []measured) {
	rows := [][]string{{"", "control", "first", "median", "p95", "last"}}
	for _, m := range all {
		rows = append(rows, []string{m.name, m.controller(), short(quantile(m.fetched, 0)), short(quantile(m.fetched, 0.5)), short(quantile(m.fetched, 0.95)), short(quantile(m.fetched, 1))})
	}
	writeTable(s.out, fmt.Sprintf("And %d files of %d kB at once, until they were there", connections, s.fileSize()/1000), rows)
}

func (s *stage) fileSize() int {
	if s.quick {
		return 10_000
	}
	return 100_000
}

// measure plays both parts for one way, on the ports from port.
func (s *stage) measure(w way, port int) (m measured, err error) {
	m.way = w
	every, count := 100*time.Millisecond, 50
	if s.quick {
		count = 15
	}
	if m.messages, err = s.times(w, port, s.program("ticker", "ADDR", every.String(), strconv.Itoa(count)),
		s.program("watch", "ADDR", strconv.Itoa(connections))); err != nil {
		return m, err
	}
	inTime, _ := slices.BinarySearch(m.messages, s.late()+1)
	m.late = len(m.messages) - inTime
	m.fetched, err = s.times(w, port+5, s.program("library", "ADDR"), s.program("fetch", "ADDR", strconv.Itoa(connections), strconv.Itoa(s.fileSize())))
	return m, err
}

// times runs a server and its client, and returns the times that the client tells.
func (s *stage) times(w way, port int, serve, call []string) ([]time.Duration, error) {
	target := s.server.at(port)
	serve = at(serve, target)
	for _, h := range []*host{s.server, s.client} {
		if err := h.control(w.control.tcp); err != nil {
			return nil, err
		}
	}
	if w.serverFlags != "" {
		cc := " --cc " + w.control.quic
		serve, call = s.under(w.serverFlags+cc, serve), s.under(w.clientFlags+cc, call)
	}
	server, err := s.server.serve(serve, listening)
	if err != nil {
		return nil, err
	}
	if w.tunnel {
		demux, err := s.server.serve(s.program("demux", s.server.at(port+1), target), listening)
		if err != nil {
			return nil, err
		}
		target = fmt.Sprintf("127.0.0.1:%d", port)
		mux, err := s.client.serve(s.program("mux", target, s.server.at(port+1)), listening)
		if err != nil {
			return nil, err
		}
		defer demux.stop()
		defer mux.stop()
	}
	said, err := s.client.ask(at(call, target))
	if err != nil {
		return nil, err
	}
	return timesIn(said), server.stop()
}

// at puts an address where a command line has a place for it.
func at(argv []string, addr string) []string {
	argv = slices.Clone(argv)
	argv[slices.Index(argv, "ADDR")] = addr
	return argv
}

var timeLine = regexp.MustCompile(`(?m)^took (\d+)$`)

// timesIn returns the times that a program has told, sorted.
func timesIn(text string) (list []time.Duration) {
	for _, m := range timeLine.FindAllStringSubmatch(text, -1) {
		us, _ := strconv.Atoi(m[1])
		list = append(list, time.Duration(us)*time.Microsecond)
	}
	slices.Sort(list)
	return list
}

// quantile returns the time that a share q of the sorted times does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// draw writes the distribution of the messages' times.
func (s *stage) draw(name string, all []measured) error {
	var results []*lab.Result
	for _, m := range all {
		r := &lab.Result{Setup: m.name, Repetitions: make([]lab.Repetition, 1)}
		for _, t := range m.messages {
			r.Repetitions[0].Flows = append(r.Repetitions[0].Flows, lab.FlowResult{Took: t})
		}
		results = append(results, r)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	title := fmt.Sprintf("Messages on %d connections, %v one way, %.0f %% lost", connections, s.lossyDelay(), 100*lossShare)
	return errors.Join(lab.PlotTimes(f, title, results...), f.Sync())
}
