package http3

import (
	"bufio"
	"errors"
	"io"

	"github.com/seed51309289/quiver/internal/wire"
)

// Frame types (RFC 9114 §7.2).
const (
	frameData        = 0x0
	frameHeaders     = 0x1
	frameCancelPush  = 0x3
	frameSettings    = 0x4
	framePushPromise = 0x5
	frameGoAway      = 0x7
	frameMaxPushID   = 0xd
)

// fromHTTP2 reports whether a frame type means something else in HTTP/2 and is
// forbidden here (RFC 9114 §7.2.8).
func fromHTTP2(typ uint64) bool {
	switch typ {
	case 0x2, 0x6, 0x8, 0x9:
		return true
	}
	return false
}

// known reports whether typ is a frame of RFC 9114. Others are skipped (§9).
func known(typ uint64) bool {
	switch typ {
	case frameData, frameHeaders, frameCancelPush, frameSettings, framePushPromise, frameGoAway, frameMaxPushID:
		return true
	}
	return fromHTTP2(typ)
}

// reserved is the n-th of the numbers that mean nothing, for frame types,
// settings and stream types alike (RFC 9114 §7.2.8, §7.2.4.1, §6.2.3).
func reserved(n uint64) uint64 { return 0x1f*n + 0x21 }

// frames reads the frames of a stream.
type frames struct {
	r    *bufio.Reader
	left uint64 // payload bytes of the frame at hand that are not read
}

var errInsideFrame = connError(FrameError, "the stream ends inside a frame")

// next skips what is left of the frame at hand and reads the header of the
// following one. At the end of the stream it returns io.EOF.
func (f *frames) next() (typ uint64, err error) {
	if err := f.skip(); err != nil {
		return 0, err
	}
	if typ, err = readVarint(f.r); err != nil {
		return 0, err
	}
	f.left, err = readVarint(f.r)
	return typ, insideFrame(err)
}

// nextKnown is next, past the frames of unknown types (RFC 9114 §9).
func (f *frames) nextKnown() (typ uint64, err error) {
	for {
		if typ, err = f.next(); err != nil || known(typ) {
			return typ, err
		}
	}
}

func (f *frames) skip() error {
	for f.left > 0 {
		n, err := f.r.Discard(int(min(f.left, 1<<20)))
		f.left -= uint64(n)
		if err != nil {
			return insideFrame(err)
		}
	}
	return nil
}

// payload reads all of the frame at hand, which has at most limit bytes.
// Memory grows with the bytes that arrive, not with the length announced.
func (f *frames) payload(limit uint64) ([]byte, error) {
	if f.left > limit {
		return nil, errTooLong
	}
	want := f.left
	b, err := io.ReadAll(io.LimitReader(f.r, int64(want)))
	f.left -= uint64(len(b))
	if err == nil && f.left > 0 {
		err = errInsideFrame
	}
	return b, err
}

var errTooLong = errors.New("frame is longer than its limit")

// read reads payload bytes of the frame at hand.
func (f *frames) read(p []byte) (int, error) {
	n, err := f.r.Read(p[:min(uint64(len(p)), f.left)])
	f.left -= uint64(n)
	return n, insideFrame(err)
}

// insideFrame is RFC 9114 §7.1: a frame that its stream cuts short.
func insideFrame(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errInsideFrame
	}
	return err
}

// readVarint reads an integer of RFC 9000 §16. io.EOF means that the stream
// ended before it.
func readVarint(r *bufio.Reader) (uint64, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	v := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, insideFrame(err)
		}
		v = v<<8 | uint64(b)
	}
	return v, nil
}

// appendFrameHeader appends the header of a frame with n bytes of payload.
func appendFrameHeader(b []byte, typ uint64, n int) []byte {
	return wire.AppendVarint(wire.AppendVarint(b, typ), uint64(n))
}

// appendVarintFrame appends a frame that holds one integer.
func appendVarintFrame(b []byte, typ, v uint64) []byte {
	return wire.AppendVarint(appendFrameHeader(b, typ, wire.SizeVarint(v)), v)
}
