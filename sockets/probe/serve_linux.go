package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	scriptTime = 30 * time.Second // how long a script may take
	noteTime   = 5 * time.Second  // how long get waits
)

// maxNotes is how many outcomes are kept (limit: the oldest is dropped, whoever asks for it waits in vain).
const maxNotes = 4096

// counterpart is what questions are asked against: another program, perhaps on
// another host, which does what scripts say.
type counterpart struct {
	mu      sync.Mutex
	notes   map[string]string // limit: maxNotes
	order   []string          // limit: maxNotes
	changed chan struct{}     // closed and made anew with each note
}

// serve listens on addr until ctx ends, for TCP and, on the same port, for UDP,
// which is echoed. It calls ready with the port once both listen.
func serve(ctx context.Context, addr string, ready func(port int)) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // the other end's TCP is in question, not ours
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	pc, err := lc.ListenPacket(ctx, "udp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer pc.Close()
	defer context.AfterFunc(ctx, func() { ln.Close(); pc.Close() })()
	go echoDatagrams(pc)
	ready(ln.Addr().(*net.TCPAddr).Port)
	s := &counterpart{notes: map[string]string{}, changed: make(chan struct{})}
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go s.handle(c.(*net.TCPConn))
	}
}

func echoDatagrams(pc net.PacketConn) {
	b := make([]byte, 64<<10)
	for {
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			return
		}
		pc.WriteTo(b[:n], from)
	}
}

// handle does what the first line of c says.
func (s *counterpart) handle(c *net.TCPConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(scriptTime))
	line, err := readLine(c)
	if err != nil {
		return
	}
	steps, err := parseScript(line, ";")
	if err != nil {
		fmt.Fprintf(c, "error: %v\n", err)
		return
	}
	s.play(c, steps)
}

// readLine reads byte by byte, since what follows the line belongs to the steps.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) <= maxScript {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return string(line), nil
}

// play does the steps on c, which it closes.
func (s *counterpart) play(c *net.TCPConn, steps []step) {
	p := &player{s: s, c: c}
	defer c.Close()
	for _, st := range steps {
		p.do(st)
	}
	if p.key != "" {
		s.note(p.key, p.last)
	}
}

// player is one script under way.
type player struct {
	s    *counterpart
	c    *net.TCPConn
	key  string // of its note
	last string // what became of the last step that has an outcome
}

func (p *player) do(st step) {
	c := p.c
	switch st.verb {
	case "send":
		p.send(st.n)
	case "say":
		io.WriteString(c, st.text+"\n")
	case "oob":
		p.control(func(fd int) { unix.Sendto(fd, []byte(st.text[:1]), unix.MSG_OOB, nil) })
	case "read":
		p.read(io.LimitReader(c, int64(st.n)), nil)
	case "eof":
		p.read(c, nil)
	case "echo":
		p.read(c, c)
	case "tell":
		io.WriteString(c, p.last+"\n")
	case "names":
		fmt.Fprintf(c, "%v %v\n", plain(c.RemoteAddr()), plain(c.LocalAddr()))
	case "half":
		c.CloseWrite()
	case "close":
		c.Close()
	case "rst":
		c.SetLinger(0)
		c.Close()
	case "unread":
		p.waitReadable()
		c.Close()
	case "silent":
		var b [1]byte
		for {
			if _, err := c.Read(b[:]); err != nil {
				return
			}
		}
	case "pause":
		time.Sleep(time.Duration(st.n) * time.Millisecond)
	case "note":
		p.key = st.text
	case "mark":
		p.s.note(st.text, "here")
	case "get":
		io.WriteString(c, p.s.get(st.text)+"\n")
	case "full":
		p.full()
	case "back":
		go p.s.back(c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(), st)
	}
}

// plain writes an address as the other family sees it, without ::ffff:.
func plain(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func (p *player) send(n int) {
	b := make([]byte, 32<<10)
	for sent := 0; sent < n; {
		chunk := b[:min(len(b), n-sent)]
		pattern(chunk, sent)
		m, err := p.c.Write(chunk)
		sent += m
		if err != nil {
			p.last = fmt.Sprintf("%s after sending", why(err))
			return
		}
	}
	p.last = fmt.Sprintf("sent %d", n)
}

// read counts and hashes what comes, and sends it back to echo if that is not nil.
func (p *player) read(r io.Reader, echo io.Writer) {
	b := make([]byte, 32<<10)
	n, h := 0, hashStart
	for {
		m, err := r.Read(b)
		n += m
		h = hash(h, b[:m])
		if echo != nil && m > 0 {
			if _, err := echo.Write(b[:m]); err != nil {
				p.last = fmt.Sprintf("%s after %d bytes", why(err), n)
				return
			}
		}
		if err != nil {
			p.last = fmt.Sprintf("%s after %d bytes, hash %016x", why(err), n, h)
			return
		}
	}
}

// why names an error as the questions do.
func why(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.As(err, &errno):
		return errnoName(errno)
	}
	return err.Error()
}

func (p *player) control(f func(fd int)) {
	if raw, err := p.c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}

// waitReadable waits until there is something to read, and leaves it there.
func (p *player) waitReadable() {
	raw, err := p.c.SyscallConn()
	if err != nil {
		return
	}
	raw.Read(func(fd uintptr) bool {
		n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		return n > 0 || err != nil
	})
}

// full listens on a port of its own whose queue holds one connection and is
// never emptied, tells the port, and stays so until the other end is gone.
func (p *player) full() {
	local := plain(p.c.LocalAddr()).Addr()
	family := unix.AF_INET
	if local.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if unix.Bind(fd, sockaddr(netip.AddrPortFrom(local, 0))) != nil || unix.Listen(fd, 0) != nil {
		return
	}
	fmt.Fprintf(p.c, "%d\n", nameOf(unix.Getsockname(fd)).Port())
	p.do(step{verb: "silent"})
}

// back connects to a port of the host that asked for it and does the script there.
func (s *counterpart) back(host netip.Addr, st step) {
	steps, err := parseScript(st.text, ",")
	if err != nil {
		return
	}
	d := net.Dialer{Timeout: scriptTime}
	d.SetMultipathTCP(false)
	to := net.JoinHostPort(host.Unmap().String(), strconv.Itoa(st.n))
	c, err := d.Dial("tcp", to)
	if err == nil {
		c.SetDeadline(time.Now().Add(scriptTime))
		s.play(c.(*net.TCPConn), steps)
		return
	}
	for _, st := range steps {
		if st.verb == "note" {
			s.note(st.text, "connect "+why(err))
		}
	}
}

func (s *counterpart) note(key, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.notes[key]; !ok {
		if len(s.order) == maxNotes {
			delete(s.notes, s.order[0])
			s.order = s.order[1:]
		}
		s.order = append(s.order, key)
	}
	s.notes[key] = text
	close(s.changed)
	s.changed = make(chan struct{})
}

// get waits for the note of that key.
func (s *counterpart) get(key string) string {
	deadline := time.After(noteTime)
	for {
		s.mu.Lock()
		text, ok := s.notes[key]
		changed := s.changed
		s.mu.Unlock()
		if ok {
			return text
		}
		select {
		case <-changed:
		case <-deadline:
			return "nothing noted"
		}
	}
}

// runServe is the command.
func runServe(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := newFlags("serve", "probe serve [--until-eof] ADDR", stderr)
	untilEOF := flags.Bool("until-eof", false, "end when standard input does")
	if flags.Parse(args) != nil || flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if *untilEOF {
		go func() {
			io.Copy(io.Discard, bufio.NewReader(stdin))
			cancel()
		}()
	}
	err := serve(ctx, flags.Arg(0), func(port int) { fmt.Fprintf(stdout, "listening on port %d\n", port) })
	if err != nil {
		fmt.Fprintf(stderr, "probe: error: %v\n", err)
		return 1
	}
	return 0
}
