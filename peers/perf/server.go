package perf

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
)

// echoBit in the length asks for the bytes back.
const echoBit = 1 << 63

// buffers has what applications read into and write from; requests is for those
// who do not know yet how much there will be: many connections never say a word.
var (
	buffers  = sync.Pool{New: func() any { return new([unit]byte) }}
	requests = sync.Pool{New: func() any { return new([message]byte) }}
)

func acceptAll(ctx context.Context, l Listener) error {
	for {
		c, err := l.Accept(ctx)
		if err != nil {
			return err
		}
		// The connection ends with its listener. Watching a context, too, is
		// memory of the load's and not of the stack's, whoever made the context.
		go serveConn(context.WithoutCancel(ctx), c)
	}
}

func serveConn(ctx context.Context, c Conn) {
	for {
		s, err := c.Accept(ctx)
		if err != nil {
			return
		}
		go answer(s)
	}
}

// answer serves a stream.
func answer(s Stream) {
	first := requests.Get().(*[message]byte)
	defer requests.Put(first)
	n, end, err := fill(s, first[:], 8)
	if n < 8 {
		s.Abort()
		return
	}
	length := binary.BigEndian.Uint64(first[:8])
	buf := buffers.Get().(*[unit]byte)
	defer buffers.Put(buf)
	if length&echoBit != 0 {
		echo(s, buf, first[8:n])
		return
	}
	for !end {
		_, err = s.Read(buf[:])
		end = err != nil
	}
	if err != io.EOF {
		s.Abort()
		return
	}
	if send(s, buf, length) != nil {
		s.Abort()
	}
}

// fill reads at least n bytes; end says that the stream has no more.
func fill(s Stream, buf []byte, n int) (got int, end bool, err error) {
	for got < n {
		m, err := s.Read(buf[got:])
		got += m
		if err != nil {
			return got, true, err
		}
	}
	return got, false, nil
}

// send writes n bytes and ends the stream.
func send(s Stream, buf *[unit]byte, n uint64) error {
	for ; n > unit; n -= unit {
		if _, err := s.Write(buf[:]); err != nil {
			return err
		}
	}
	return s.WriteFinal(buf[:n])
}

// echo writes first, and then what it reads, until the stream ends.
func echo(s Stream, buf *[unit]byte, first []byte) {
	if len(first) > 0 {
		if _, err := s.Write(first); err != nil {
			return
		}
	}
	for {
		n, err := s.Read(buf[:])
		if n > 0 {
			if _, err := s.Write(buf[:n]); err != nil {
				return
			}
		}
		if err == io.EOF {
			s.WriteFinal(nil)
			return
		}
		if err != nil {
			s.Abort()
			return
		}
	}
}
