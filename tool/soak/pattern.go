package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// pattern is the content of a stream or datagram: a function of a seed and the
// offset, so that who receives it needs nothing else to know what is right.
type pattern struct {
	seed, off uint64
}

// word returns the eight bytes at offset 8i.
func (p *pattern) word(i uint64) (b [8]byte) {
	z := p.seed + (i+1)*0x9e3779b97f4a7c15 // splitmix64
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	binary.LittleEndian.PutUint64(b[:], z^z>>31)
	return b
}

// fill writes what comes next to b.
func (p *pattern) fill(b []byte) {
	for len(b) > 0 {
		w := p.word(p.off / 8)
		n := copy(b, w[p.off%8:])
		b, p.off = b[n:], p.off+uint64(n)
	}
}

// check returns an error if b is not what comes next.
func (p *pattern) check(b []byte) error {
	for len(b) > 0 {
		w := p.word(p.off / 8)
		for i := p.off % 8; i < 8 && len(b) > 0; i++ {
			if b[0] != w[i] {
				return &wrongError{p.seed, p.off, b[0], w[i]}
			}
			b, p.off = b[1:], p.off+1
		}
	}
	return nil
}

// wrongError says that a byte is not the one that was sent.
type wrongError struct {
	seed, off uint64
	got, want byte
}

func (e *wrongError) Error() string {
	return fmt.Sprintf("byte %d of %#x is %#02x, want %#02x", e.off, e.seed, e.got, e.want)
}

const pieceSize = 8 << 10 // bytes of a Write or Read

// write writes n bytes of a pattern.
func write(w io.Writer, seed uint64, n int) error {
	p, buf := pattern{seed: seed}, make([]byte, min(n, pieceSize))
	for n > 0 {
		b := buf[:min(n, len(buf))]
		p.fill(b)
		if _, err := w.Write(b); err != nil {
			return err
		}
		n -= len(b)
	}
	return nil
}

// read checks at most limit bytes of a pattern, and returns how many were right.
// The error is nil at the end of the stream and at the limit.
func (t *tally) read(r io.Reader, seed uint64, limit int) (n int, err error) {
	p, buf := pattern{seed: seed}, make([]byte, min(limit, pieceSize)+1)
	for n < limit && err == nil {
		var got int
		got, err = r.Read(buf[:min(limit-n, len(buf))])
		if wrong := p.check(buf[:got]); wrong != nil {
			return n, wrong
		}
		n += got
		t.bytes.Add(int64(got))
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// readAll checks that there are want bytes and then the end.
func (t *tally) readAll(r io.Reader, seed uint64, want int) error {
	n, err := t.read(r, seed, want+1)
	if err == nil && n != want {
		err = &lengthError{n, want}
	}
	return err
}

// lengthError says that a stream ended elsewhere than it should.
type lengthError struct{ got, want int }

func (e *lengthError) Error() string {
	return fmt.Sprintf("stream ends after %d bytes, want %d", e.got, e.want)
}
