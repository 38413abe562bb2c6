package main

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/seed51309289/quiver/quic"
)

// verb is what a stream is for.
type verb uint8

const (
	exchange  verb = iota // both sides send all
	resetUp               // the client resets at At; the server answers
	stopUp                // the server stops reading at At, and answers
	resetDown             // the server resets at At
	keepDown              // likewise, and what it wrote arrives all the same
	stopDown              // the client stops reading at At
	push                  // the server answers on a stream of its own
	oneWay                // a unidirectional stream
	hangUp                // the server closes the connection
	verbs
)

var verbNames = [verbs]string{"exchange", "reset up", "stop up", "reset down", "keep down", "stop down", "push", "one way", "hang up"}

func (v verb) String() string { return verbNames[v] }

// order is the head of every stream: it tells the other side what to expect,
// and what to do.
type order struct {
	Life         uint64 // of the connection
	Seed         uint64 // of Up; Down has the next one
	Up, Down, At uint32 // bytes, without the order
	Code         uint32
	Verb         verb
}

func (o *order) encode() []byte {
	b, err := binary.Append(nil, binary.BigEndian, o)
	if err != nil {
		panic("BUG: an order has no fixed size")
	}
	return b
}

func readOrder(r io.Reader) (o order, err error) {
	err = binary.Read(r, binary.BigEndian, &o)
	return o, err
}

// gaveUp reports whether err says that the peer gave the stream up with a code.
func gaveUp(err error, code uint32) bool {
	var s *quic.StreamError
	return errors.As(err, &s) && s.Remote && s.Code == uint64(code)
}
