package programs

import (
	"fmt"
	"slices"
	"testing"
)

// A program is a row of the table: a server, a client, and what both must have said and left behind.
//
// The scripts are for sh -eu. Their environment has HOST, and PORT and the other names of ports; AT is HOST:PORT as a URL has it;
// LISTEN is the port of the server, which differs from PORT where a gateway stands between; WWW is a directory with files to serve,
// BIN one with the programs built here. Each script runs in an empty directory of its own.
type program struct {
	name  string
	shows string   // what a reader learns from its passing
	tools []string // programs that must be installed
	setup []string // what must be made once: names of makers
	ports []string // names of further ports of the server, beside PORT
	spare []string // names of ports where nobody listens on either side, such as CLOSED

	ipv6   bool
	server string // it ends in an exec of the server, so that a signal reaches it
	ready  string // what the server says, as a regular expression, once it listens
	ends   bool   // whether the server ends by itself, with status 0, after the client
	client string
	check  func(p *place) error // after both, nil: the client's status says all

	moves int               // bytes that pass at least
	user  bool              // also as an ordinary user
	uid   int               // who that is; 0 = nobody
	not   map[string]string // arrangements that make no sense here, and why
	quick bool              // also without QUIVER_PROGRAMS=1
}

// all lists the rows in the order of the table.
func all() []program {
	return slices.Concat(netcats(), iperfs(), webs(), stores(), services(), shells(), languages())
}

func TestProgramsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range all() {
		if p.name == "" || p.shows == "" || p.client == "" || p.server == "" || p.ready == "" {
			t.Errorf("%q: a row needs a name, what it shows, a server, how to know that it listens, and a client", p.name)
		}
		if seen[p.name] {
			t.Errorf("two rows are called %q", p.name)
		}
		seen[p.name] = true
	}
}

// host is the address of loopback that the row uses.
func (p *program) host() string {
	if p.ipv6 {
		return "::1"
	}
	return "127.0.0.1"
}

// want compares what a program said of subject.
func want(subject, got, want string) error {
	if got != want {
		return fmt.Errorf("%s: got %q, want %q", subject, clip(got), clip(want))
	}
	return nil
}

// clip shortens what is shown of an output.
func clip(s string) string {
	const most = 600 // bytes
	if len(s) <= most {
		return s
	}
	return s[:most/2] + " … " + s[len(s)-most/2:]
}
