package plugin

import "github.com/seed51309289/quiver/hook"

// tokens remembers of which frame each open reservation is: the connection names reservations only, the guest is told the frame as well.
type tokens struct {
	n    int
	open [hook.MaxReservations]reservation
}

type reservation struct {
	token hook.Token
	frame uint8
}

func (s *tokens) add(t hook.Token, frame uint8) {
	if s.n == len(s.open) { // the connection allows no more; then it forgot to tell of one
		copy(s.open[:], s.open[1:])
		s.n--
	}
	s.open[s.n] = reservation{t, frame}
	s.n++
}

func (s *tokens) find(t hook.Token) int {
	for i := range s.open[:s.n] {
		if s.open[i].token == t {
			return i
		}
	}
	return -1
}

func (s *tokens) frame(t hook.Token) uint8 {
	if i := s.find(t); i >= 0 {
		return s.open[i].frame
	}
	return 0
}

func (s *tokens) remove(t hook.Token) {
	if i := s.find(t); i >= 0 {
		s.n--
		s.open[i] = s.open[s.n]
	}
}
