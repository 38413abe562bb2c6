package sockets

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed51309289/quiver/sockets/control"
)

// explainPort tells the user who has the port that this run wanted: another run, which tells peers where we are, or a stranger, which does not.
func (s *supervisor) explainPort(want, got uint16) {
	runs, _ := control.List(s.ctx)
	if slices.ContainsFunc(runs, func(p control.Program) bool { return takes(&p, want) }) {
		s.log.Info("the UDP port is taken, by another run; it tells others where we are", "want", want, "got", got)
		return
	}
	s.log.Warn(fmt.Sprintf("UDP port %d is taken, and not by a run that this user can see: listeners of this program are reached at UDP port %d, which peers have to be told (--udp-port)", want, got))
}

// explainTwin tells the user of another run at whose listener peers arrive, and not at the program's at the same port. The program cannot be
// told: to ask the others may take a while, and no call of it waits.
func (s *supervisor) explainTwin(tcp uint16) {
	_, pid, ok := s.published.Elsewhere(s.ctx, tcp)
	if !ok {
		return
	}
	text := fmt.Sprintf("TCP port %d is served by another run as well, of process %d, and peers are brought to that one: end it, or choose another port", tcp, pid)
	if s.alarms.first(alarm{text: text}, time.Now()) {
		s.log.Warn(text)
	}
}

// takes reports whether the listeners of a run are at a UDP port.
func takes(p *control.Program, port uint16) bool {
	for _, at := range p.UDP {
		if at.Port() == port {
			return true
		}
	}
	return slices.ContainsFunc(p.Listeners, func(l control.Listener) bool { return l.UDP == port })
}
