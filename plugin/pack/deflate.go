package pack

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
)

// maxRatio is how much a packed plugin may grow when it is unpacked. limit: what one byte from a peer can cost in memory.
const maxRatio = 16

// Pack compresses raw for the wire (DEFLATE, RFC 1951). What would grow more than 16-fold at the other end is packed
// less tightly, so that [Unpack] takes everything that Pack made.
func Pack(raw []byte) []byte {
	packed := deflate(raw, flate.BestCompression)
	if len(raw) > maxRatio*len(packed) {
		packed = deflate(raw, flate.HuffmanOnly) // a code of one bit is the shortest: 8-fold at most
	}
	return packed
}

func deflate(raw []byte, level int) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		panic("BUG: no such level")
	}
	w.Write(raw) // a bytes.Buffer takes all
	w.Close()
	return b.Bytes()
}

// Unpack returns the size bytes that packed holds. Size is what the peer announced: Unpack believes it only after it has seen that packed is at
// most [MaxPacked] long, and size at most limit and at most 16 times as much. It makes room for no more, and refuses a stream that holds less or
// more, that is broken, or that something follows.
func Unpack(packed []byte, size, limit int) ([]byte, error) {
	switch {
	case len(packed) > MaxPacked:
		return nil, fmt.Errorf("packed plugin: has %d bytes, at most %d travel in a connection", len(packed), MaxPacked)
	case size < 0 || size > limit:
		return nil, fmt.Errorf("packed plugin: announced as %d bytes, at most %d are taken", size, limit)
	case size > maxRatio*len(packed):
		return nil, fmt.Errorf("packed plugin: %d bytes are announced as %d, more than %d-fold", len(packed), size, maxRatio)
	}
	in := bytes.NewReader(packed)
	stream := flate.NewReader(in)
	defer stream.Close()
	raw := make([]byte, size)
	if n, err := io.ReadFull(stream, raw); err != nil {
		return nil, fmt.Errorf("packed plugin: broken after %d of %d bytes: %w", n, size, err)
	}
	var more [1]byte
	switch n, err := stream.Read(more[:]); {
	case n > 0:
		return nil, fmt.Errorf("packed plugin: holds more than the %d bytes that were announced", size)
	case err != io.EOF:
		return nil, fmt.Errorf("packed plugin: broken after %d bytes: %w", size, err)
	case in.Len() > 0:
		return nil, fmt.Errorf("packed plugin: %d bytes follow its end", in.Len())
	}
	return raw, nil
}
