package sockets

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/seed51309289/quiver/internal/tcpq"
	"github.com/seed51309289/quiver/quic"
	"golang.org/x/sys/unix"
)

// resetLimit is how long the peers of a supervisor that was killed are told so, if they send anything. Its port is free after that.
const resetLimit = 3 * time.Second

// A will is what a supervisor leaves to the process that started it, in case it is killed: the UDP ports at which peers reach it, each with
// the key by which they can be told that it is gone (RFC 9000 §10.3). They would wait for two minutes otherwise. A nil will is nobody's.
type will struct{ file *os.File }

// legacySize is that of one port in a will, in bytes.
const legacySize = 2 + 32

// startWithWill starts a supervisor. The descriptor of its will has any number, which its environment tells: the low ones may be the program's.
func startWithWill(cmd *exec.Cmd) (*bequest, error) {
	left := &bequest{done: make(chan struct{})}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	heir, testator := os.NewFile(uintptr(p[0]), "will"), os.NewFile(uintptr(p[1]), "will")
	defer testator.Close()
	unix.FcntlInt(uintptr(p[1]), unix.F_SETFD, 0)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d:%d", stageVariable, os.Getpid(), p[1]))
	if err := startTakingTurns(cmd.Start); err != nil {
		heir.Close()
		return nil, err
	}
	go left.read(heir)
	return left, nil
}

// ownWill returns that of this process, if it has one. The program does not inherit it.
func ownWill() *will {
	_, number, _ := strings.Cut(os.Getenv(stageVariable), ":")
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	unix.CloseOnExec(fd)
	return &will{os.NewFile(uintptr(fd), "will")}
}

// add bequeathes a port.
func (w *will) add(port uint16, key *[32]byte) {
	if w != nil {
		w.file.Write(append(binary.BigEndian.AppendUint16(nil, port), key[:]...)) // at once, or not at all: it is less than PIPE_BUF
	}
}

// A bequest is what the heir has read.
type bequest struct {
	text bytes.Buffer  // limit: maxEndpoints
	done chan struct{} // closed when it is whole
}

// read reads a will until the supervisor has ended.
func (b *bequest) read(from io.ReadCloser) {
	defer close(b.done)
	defer from.Close()
	io.Copy(&b.text, io.LimitReader(from, maxEndpoints*legacySize))
}

// execute answers at the ports of the will for a while: whoever has a connection with the dead hears that it is over, and whoever wants a new
// one is refused.
func (b *bequest) execute(limit time.Duration) {
	<-b.done
	var open []*quic.Transport
	for {
		item := b.text.Next(legacySize)
		if len(item) < legacySize {
			break
		}
		if t, err := answerForTheDead(binary.BigEndian.Uint16(item), (*[32]byte)(item[2:])); err == nil {
			open = append(open, t)
		}
	}
	if len(open) > 0 {
		time.Sleep(limit)
	}
	for _, t := range open {
		t.Close()
	}
}

var errGone = errors.New("the supervisor is gone")

// answerForTheDead resets connections at a port.
func answerForTheDead(port uint16, key *[32]byte) (*quic.Transport, error) {
	sock, err := listenUDP(port)
	if err != nil {
		return nil, err
	}
	t := &quic.Transport{Conn: sock, StatelessResetKey: key}
	_, err = t.Listen(&tls.Config{
		NextProtos:         []string{tcpq.ALPN},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errGone },
	}, nil)
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// listenKey returns the key of stateless resets at a port.
func (s *supervisor) listenKey(sock *net.UDPConn) *[32]byte {
	port := sock.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	key, ok := s.id.ResetKey(port)
	if !ok {
		rand.Read(key[:])
	}
	s.will.add(port, &key)
	return &key
}
