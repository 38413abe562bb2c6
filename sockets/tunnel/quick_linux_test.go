package tunnel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// quickOf returns the quick of a leg, and what is at the leg's other end.
func quickOf(t *testing.T) (q *quick, leg, program *net.TCPConn) {
	leg, program = tcpPair(t)
	if q = newQuick(newSource(&pump{leg: leg})); q == nil {
		t.Fatal("a TCP connection has no quick calls")
	}
	return q, leg, program
}

func TestQuickWriteTakesWhatThereIsRoomFor(t *testing.T) {
	q, leg, program := quickOf(t)
	piece := make([]byte, quickSize)
	var sent []byte
	for i := byte(1); ; i++ {
		for j := range piece {
			piece[j] = i
		}
		n, err := q.write(piece)
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, piece[:n]...)
		if n < len(piece) {
			break
		}
		if len(sent) > 64<<20 {
			t.Fatal("the buffer of a connection that nobody reads is never full")
		}
	}
	if n, err := q.write(piece); n != 0 || err != nil {
		t.Errorf("%d bytes and %v without room, want 0 and no error", n, err)
	}
	program.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(program, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("what was read is not what was written: %v", err)
	}
	leg.Close()
	if n, err := q.write(piece); n != 0 || err != nil {
		t.Errorf("%d bytes and %v on a closed leg, want 0 and no error: who writes the rest names it", n, err)
	}
}

func TestQuickWriteTellsOfAReset(t *testing.T) {
	q, leg, program := quickOf(t)
	program.SetLinger(0)
	program.Close()
	leg.SetDeadline(time.Now().Add(10 * time.Second))
	for { // until the reset has come
		_, err := q.write([]byte{1})
		if err == nil {
			continue
		}
		var call *os.SyscallError
		if !errors.As(err, &call) || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%v, want ECONNRESET or EPIPE of a system call", err)
		}
		return
	}
}

// A sink goes on where its quick call stopped.
func TestSinkWritesAllToASlowProgram(t *testing.T) {
	w := onLoopback(t, Options{})
	p := w.pumped()
	const size = 8 << 20
	go func() {
		for n := 0; n < size; n += 4 << 10 {
			piece := make([]byte, 4<<10)
			for i := range piece {
				piece[i] = byte((n + i) % 251)
			}
			p.near.Write(piece)
		}
		p.near.CloseWrite()
	}()
	got, err := io.ReadAll(p.far)
	if err != nil || len(got) != size {
		t.Fatalf("%d bytes, %v, want %d", len(got), err, size)
	}
	for i, b := range got {
		if b != byte(i%251) {
			t.Fatalf("byte %d is %d, want %d", i, b, byte(i%251))
		}
	}
}

func TestQuickCallsAllocateNothing(t *testing.T) {
	q, _, program := quickOf(t)
	buf := make([]byte, 64)
	program.SetDeadline(time.Now().Add(10 * time.Second))
	if n := testing.AllocsPerRun(100, func() {
		q.write(buf)
		program.Read(buf)
	}); n != 0 {
		t.Errorf("%v allocations for each write", n)
	}
}
