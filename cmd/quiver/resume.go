package main

import (
	"errors"
	"fmt"

	"github.com/seed51309289/quiver/interop/endpoint"
	"github.com/seed51309289/quiver/quic"
)

// resumption is what --resume and --0rtt ask for.
type resumption struct {
	file  string // of sessions; "" = none
	early bool
}

var errEarlyAlone = errors.New("--0rtt without --resume FILE: early data needs the session of an earlier connection")

// begin gives c the sessions of the file. end writes the new ones.
func (r resumption) begin(c *endpoint.Client) (end func() error, err error) {
	if r.file == "" {
		return func() error { return nil }, nil
	}
	sessions, err := endpoint.LoadSessions(r.file)
	if err != nil {
		hint := "name another file, or remove this one: that costs the next connection a round trip, no more"
		return nil, &status{code: exitFailed, err: fmt.Errorf("--resume: %w", err), hint: hint}
	}
	sessions.Use(c)
	c.Early = r.early
	return sessions.Save, nil
}

// resumedText says whether a session was resumed.
func resumedText(s *quic.ConnectionState) string {
	switch {
	case s.Used0RTT:
		return ", resumed with 0-RTT"
	case s.TLS.DidResume:
		return ", resumed"
	}
	return ""
}
