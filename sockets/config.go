package sockets

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/policy"
)

// Mode is on which side of the fabric a program lives.
type Mode string

const (
	// Auto is the first of the others that this machine allows.
	Auto Mode = "auto"
	// Inside: the program lives in the fabric. Its TCP sockets are its own, and
	// sockets of other kinds are given to it from the host.
	Inside Mode = "inside"
	// Outside: the program lives on the host, and its TCP sockets are given to it
	// from the fabric.
	Outside Mode = "outside"
)

// ParseMode returns the mode that a user names.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, Inside, Outside:
		return m, nil
	}
	return "", fmt.Errorf("mode %q is none of %s, %s and %s", s, Auto, Inside, Outside)
}

// A Config says what to run and how.
type Config struct {
	// Command is the program, looked up in PATH, and its arguments.
	Command []string
	// Self is the command line that runs this very program again: the supervisor
	// is a process of its own, so that whoever dies, somebody is left to tidy up.
	Self []string

	// Mode is where the program lives.
	Mode Mode
	// Policy says how connections go.
	Policy *policy.Policy
	// Identity is who this end is and whom it trusts.
	Identity identity.Options
	// UDPPortFixed says that the UDP port of the policy was asked for by a person:
	// where another run of this host has it, this one fails instead of taking
	// another one.
	UDPPortFixed bool
	// OnlyProtocols takes over the sockets alone that ask for it, by a protocol
	// number of the policy. The program then lives outside.
	OnlyProtocols bool
	// OwnConnections gives every TCP connection a QUIC connection of its own.
	OwnConnections bool
	// AllowURing lets a program outside the fabric use io_uring, by which it could
	// make sockets that nobody sees.
	AllowURing bool
	// Congestion names the congestion controller, as in quic.Config.
	Congestion string
	// QLogDir is a directory for a qlog of each QUIC connection. "" = none.
	QLogDir string

	// Log is told what happens; level Warn and above is for the user.
	Log *slog.Logger

	// Stdin, Stdout and Stderr are the program's. nil = those of this process.
	Stdin, Stdout, Stderr *os.File
}

// mode is where the program is to live. Inside costs nothing for each connection and leaves io_uring to the program; but the sockets of a
// program that asks for few of them are better left alone.
func (c *Config) mode() Mode {
	switch {
	case c.Mode != Auto:
		return c.Mode
	case c.OnlyProtocols:
		return Outside
	}
	return Inside
}
