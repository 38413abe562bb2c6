package lab

import (
	"fmt"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
)

// Setup says what the two ends run. Its zero value is plain Quiver.
type Setup struct {
	Name           string // in tables and legends; "" = plain
	Client, Server End
}

// End is one end of a Setup.
type End struct {
	Congestion string // built-in controller; "" = cubic
	Extensions []Extension
}

// Extension is something to attach to each connection of an end, as soon as there is one.
type Extension struct {
	// New makes the extension for one connection. It is called from several goroutines at once.
	New func() (hook.Extension, error)
	// Config is what it is told when it begins.
	Config []byte
}

// Title returns the name that tables show.
func (s *Setup) Title() string {
	if s.Name == "" {
		return "plain"
	}
	return s.Name
}

// check finds what is wrong with a Setup before anything runs.
func (s *Setup) check() error {
	for _, e := range []struct {
		side netsim.Side
		end  *End
	}{{netsim.Left, &s.Client}, {netsim.Right, &s.Server}} {
		if e.end.Congestion != "" {
			if _, err := virtual.Congestion(e.end.Congestion); err != nil {
				return fmt.Errorf("lab: setup %q, %s: %w", s.Title(), sideName(e.side), err)
			}
		}
		for i, x := range e.end.Extensions {
			if x.New == nil {
				return fmt.Errorf("lab: setup %q, %s: extension %d has no New", s.Title(), sideName(e.side), i)
			}
		}
	}
	return nil
}

func (s *Setup) end(side netsim.Side) *End {
	if side == netsim.Left {
		return &s.Client
	}
	return &s.Server
}

func sideName(s netsim.Side) string {
	if s == netsim.Left {
		return "client"
	}
	return "server"
}
