package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/netsim"
)

// secret is what should not be read on the way.
const secret = "xyzzy-4711-plugh"

// A spoken is one protocol, one way.
type spoken struct {
	name     string
	arrived  bool // the server got the word, and the client its answer
	seen     bool // the word is in the packets on the path
	impostor bool // whoever sat at the server's address later got it too
	said     string
}

// A protocol has a server and a client that says the secret.
type protocol struct {
	name  string
	serve func(s *stage, addr string, port int) []string
	call  func(s *stage, addr string, port int) []string
	ready string
	works string // in what the client says
}

var doorProtocol = protocol{
	name:  "a word at a door",
	serve: func(s *stage, addr string, port int) []string { return s.program("door", addr, "the real one") },
	call:  func(s *stage, addr string, port int) []string { return s.program("knock", addr, secret) },
	ready: listening, works: "thank you for " + secret,
}

var redisProtocol = protocol{
	name: "redis",
	serve: func(s *stage, addr string, port int) []string {
		return []string{"redis-server", "--port", strconv.Itoa(port), "--bind", s.server.addr.String(), "--protected-mode", "no", "--save", "", "--dir", s.dir}
	},
	call: func(s *stage, addr string, port int) []string {
		return []string{"redis-cli", "-h", s.server.addr.String(), "-p", strconv.Itoa(port), "echo", secret}
	},
	ready: "eady to accept connections", works: secret,
}

// protocols are those that can be played here.
func protocols() []protocol {
	list := []protocol{doorProtocol}
	if _, err := exec.LookPath("redis-server"); err == nil {
		if _, err := exec.LookPath("redis-cli"); err == nil {
			list = append(list, redisProtocol)
		}
	}
	return list
}

// playPrivate speaks in plain text and listens on the path, and then has somebody
// else sit at the server's address.
func playPrivate(s *stage) error {
	var all [][2]spoken
	for i, p := range protocols() {
		port := 7301 + 10*i
		plain, err := s.speak(p, "plain TCP", port, "", "")
		if err != nil {
			return err
		}
		layered, err := s.speak(p, "quiver run", port+1, fmt.Sprintf("--listen %d", port+1), "--to "+s.server.at(port+1))
		if err != nil {
			return err
		}
		all = append(all, [2]spoken{plain, layered})
	}
	rows := [][]string{{"", "", "it works", "the path can read it", "an impostor gets it"}}
	for i, pair := range all {
		for _, one := range pair {
			rows = append(rows, []string{protocols()[i].name, one.name, yes(one.arrived), yes(one.seen), yes(one.impostor)})
		}
	}
	writeTable(s.out, "Protocols in plain text", rows)
	s.printf("The key of the server was remembered when it was first seen. To another one at its address quiver\nrun said nothing, and to its user:\n\n%s\n", indent(all[0][1].said))
	for _, pair := range all {
		if err := judgePrivate(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}

// judgePrivate is the promise.
func judgePrivate(plain, layered spoken) error {
	switch {
	case !plain.arrived || !plain.seen || !plain.impostor:
		return errors.New("plain TCP kept the secret, so that nothing is shown")
	case !layered.arrived:
		return errors.New("under quiver run the client had no answer")
	case layered.seen:
		return errors.New("under quiver run the path can read the secret")
	case layered.impostor:
		return errors.New("under quiver run an impostor got the secret")
	case !strings.Contains(layered.said, "has another key than before"):
		return fmt.Errorf("the user was not told why there is no connection: %q", layered.said)
	}
	return nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// speak plays a protocol with the true server, and with an impostor: another
// machine, with another key, that has taken its address.
func (s *stage) speak(p protocol, way string, port int, serverFlags, clientFlags string) (one spoken, err error) {
	one.name = way
	dress := func(flags string, argv []string) []string {
		if serverFlags == "" {
			return argv
		}
		return s.under(flags, argv)
	}
	addr := s.server.at(port)
	serve, call := dress(serverFlags, p.serve(s, addr, port)), dress(clientFlags, p.call(s, addr, port))
	packets, said, err := s.scene(p, serve, call)
	if err != nil {
		return one, err
	}
	one.arrived, one.seen = strings.Contains(said, p.works), bytes.Contains(packets, []byte(secret))

	mine := s.server.state
	s.server.state = s.file("impostor")
	defer func() { s.server.state = mine }()
	_, said, err = s.scene(p, serve, call)
	one.impostor = strings.Contains(said, p.works)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		one.said, err = said, nil
	}
	return one, err
}

// scene starts a server, asks it, and returns what passed between them.
func (s *stage) scene(p protocol, serve, call []string) (packets []byte, said string, err error) {
	if err := s.connect(netsim.LinkConfig{}, s.file("path.pcapng")); err != nil {
		return nil, "", err
	}
	defer func() {
		var closed error
		packets, closed = s.disconnect()
		err = errors.Join(err, closed)
	}()
	server, err := s.server.serve(serve, p.ready)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	said, err = s.client.ask(call)
	return nil, said, err
}
