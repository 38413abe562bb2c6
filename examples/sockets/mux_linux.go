package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// What tunnels do that put many connections into one of TCP, as ssh -L does: the
// bytes of all are one sequence, and what is behind a lost one waits for it.
//
// A frame is a connection's number, 2 bytes, a length, 2 bytes, and as many bytes;
// none is the end of that direction.
type tunnel struct {
	conn net.Conn

	mu    sync.Mutex // guards all below, and writing
	conns map[uint16]net.Conn
}

const maxFrame = 4096 // bytes of a connection in one frame: the others' turn comes soon

// runMux takes connections at one address through one to another address.
func runMux(args []string) error {
	conn, err := net.Dial("tcp", args[1])
	if err != nil {
		return err
	}
	t := &tunnel{conn: conn, conns: map[uint16]net.Conn{}}
	go t.receive(nil)
	var next uint16
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println(listening, ln.Addr())
	for ; ; next++ {
		near, err := ln.Accept()
		if err != nil {
			return err
		}
		t.add(next, near)
	}
}

// serveDemux is the other end: it connects to the target for each new number.
func serveDemux(args []string) error {
	return serve(args[0], func(conn net.Conn) {
		t := &tunnel{conn: conn, conns: map[uint16]net.Conn{}}
		t.receive(func() (net.Conn, error) { return net.Dial("tcp", args[1]) })
	})
}

func (t *tunnel) add(number uint16, conn net.Conn) {
	t.mu.Lock()
	t.conns[number] = conn
	t.mu.Unlock()
	go t.send(number, conn)
}

func (t *tunnel) send(number uint16, conn net.Conn) {
	var frame [4 + maxFrame]byte
	for {
		n, err := conn.Read(frame[4:])
		binary.BigEndian.PutUint16(frame[0:], number)
		binary.BigEndian.PutUint16(frame[2:], uint16(n))
		t.mu.Lock()
		t.conn.Write(frame[:4+n])
		t.mu.Unlock()
		if n == 0 || err != nil {
			return
		}
	}
}

// receive takes frames to their connections until the tunnel ends.
func (t *tunnel) receive(dial func() (net.Conn, error)) {
	var header [4]byte
	for {
		if _, err := io.ReadFull(t.conn, header[:]); err != nil {
			return
		}
		number, n := binary.BigEndian.Uint16(header[0:]), binary.BigEndian.Uint16(header[2:])
		t.mu.Lock()
		conn := t.conns[number]
		t.mu.Unlock()
		if conn == nil && dial != nil {
			var err error
			if conn, err = dial(); err != nil {
				return
			}
			t.add(number, conn)
		}
		body := io.LimitReader(t.conn, int64(n))
		if conn != nil {
			io.Copy(conn, body)
		}
		io.Copy(io.Discard, body)
		if tcp, ok := conn.(*net.TCPConn); ok && n == 0 {
			tcp.CloseWrite()
		}
	}
}
