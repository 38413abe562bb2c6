package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// visitor is the client's side of a connection.
type visitor struct {
	*soak
	life *life
	conn *quic.Conn
	ears sync.WaitGroup // what waits for the server's streams and datagrams

	mu     sync.Mutex // guards pushed
	pushed map[uint64]chan error
}

// spend does things until the time of the connection is up.
func (v *visitor) spend(rng *rand.Rand) {
	v.ears.Go(v.acceptPushed)
	v.ears.Go(v.receiveDatagrams)
	ctx, cancel := context.WithTimeout(v.conn.Context(), time.Duration(rng.Int64N(int64(v.long))))
	defer cancel()
	var workers sync.WaitGroup
	for range 1 + rng.IntN(3) {
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		workers.Go(func() {
			for done := false; !done; done = ctx.Err() != nil {
				v.step(own)
				pause(ctx, time.Duration(own.Int64N(int64(600*time.Millisecond))))
			}
		})
	}
	workers.Wait()
}

// step does one thing.
func (v *visitor) step(rng *rand.Rand) {
	o := order{Life: v.life.id, Seed: rng.Uint64(), Up: size(rng), Down: size(rng), Code: rng.Uint32N(1 << 20)}
	switch n := rng.IntN(20); {
	case n < 10:
		o.Verb = verb(rng.IntN(int(push)))
		v.try(o.Verb, func() error { return v.perform(&o, rng) })
	case n < 12:
		o.Verb = push
		v.try(push, func() error { return v.perform(&o, rng) })
	case n < 14:
		o.Verb = oneWay
		v.try(oneWay, func() error { return v.sendUni(&o) })
	case n < 16:
		v.sendDatagrams(rng)
	case n < 17:
		v.conn.UpdateKeys()
	case n < 18:
		v.migrate(rng)
	default:
		v.conn.ConnectionStats()
		pause(v.conn.Context(), time.Second)
	}
}

// size draws a number of bytes: small ones as often as large ones.
func size(rng *rand.Rand) uint32 { return rng.Uint32N(2 << rng.IntN(18)) }

// try enters a fault if f fails and nothing explains it. What was sent early and
// refused is done again.
func (v *visitor) try(what verb, f func() error) {
	err := f()
	if errors.Is(err, quic.Err0RTTRejected) {
		v.count("early refused")
		err = f()
	}
	switch {
	case err == nil:
		v.ops.Add(1)
	case v.conn.Context().Err() == nil:
		v.fault("%v: client: %s: %v", v.life, what, err)
	}
}

// open opens a stream that begins with an order.
func (v *visitor) open(o *order) (*quic.Stream, error) {
	ctx, cancel := context.WithTimeout(v.conn.Context(), opTimeout)
	defer cancel()
	s, err := v.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	s.SetDeadline(time.Now().Add(opTimeout))
	if _, err = s.Write(o.encode()); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// perform does the client's part of a bidirectional stream.
func (v *visitor) perform(o *order, rng *rand.Rand) error {
	switch o.Verb {
	case resetUp, stopUp:
		o.At = rng.Uint32N(o.Up + 1)
	default:
		o.At = rng.Uint32N(o.Down + 1)
	}
	s, err := v.open(o)
	if err != nil {
		return err
	}
	defer s.Close()
	sent := make(chan error, 1)
	var news chan error
	if o.Verb == push {
		news = v.expect(o.Seed + 1)
		defer v.forget(o.Seed + 1)
	}
	go func() { sent <- v.send(s, o) }()
	err = v.receive(s, o)
	if early := <-sent; err == nil {
		err = early
	}
	if err != nil || news == nil {
		return err
	}
	select {
	case err = <-news:
	case <-v.conn.Context().Done():
		err = context.Cause(v.conn.Context())
	case <-time.After(opTimeout):
		err = errors.New("the server's stream did not come")
	}
	return err
}

func (v *visitor) send(s *quic.Stream, o *order) error {
	n := o.Up
	if o.Verb == resetUp {
		n = o.At
	}
	err := write(s, o.Seed, int(n))
	switch {
	case o.Verb == resetUp:
		s.CancelWrite(uint64(o.Code))
	case o.Verb == stopUp && gaveUp(err, o.Code):
		return nil
	default:
		s.CloseWrite()
	}
	return err
}

func (v *visitor) receive(s *quic.Stream, o *order) error {
	switch o.Verb {
	case resetDown, keepDown:
		n, err := v.read(s, o.Seed+1, int(o.At)+1)
		if !gaveUp(err, o.Code) {
			return fmt.Errorf("read %d bytes of %d: got %w, want a reset with code %d", n, o.At, err, o.Code)
		}
		if both := v.conn.ConnectionState().SupportsStreamResetPartialDelivery; o.Verb == keepDown && both.Local && both.Remote && n != int(o.At) {
			return fmt.Errorf("reset after %d bytes, %d were protected", n, o.At)
		}
		return nil
	case stopDown:
		_, err := v.read(s, o.Seed+1, int(o.At))
		s.CancelRead(uint64(o.Code))
		return err
	case push:
		return v.readAll(s, 0, 0)
	case resetUp:
		err := v.readAll(s, o.Seed+1, int(o.Down))
		var short *lengthError
		if errors.As(err, &short) && short.got == 0 {
			return nil // the reset overtook the order
		}
		return err
	}
	return v.readAll(s, o.Seed+1, int(o.Down))
}

// expect announces a stream of the server with a seed.
func (v *visitor) expect(seed uint64) chan error {
	c := make(chan error, 1)
	v.mu.Lock()
	v.pushed[seed] = c
	v.mu.Unlock()
	return c
}

func (v *visitor) forget(seed uint64) {
	v.mu.Lock()
	delete(v.pushed, seed)
	v.mu.Unlock()
}

func (v *visitor) acceptPushed() {
	for {
		s, err := v.conn.AcceptUniStream(v.conn.Context())
		if err != nil {
			return
		}
		v.ears.Go(func() { v.readPushed(s) })
	}
}

func (v *visitor) readPushed(s *quic.ReceiveStream) {
	s.SetReadDeadline(time.Now().Add(opTimeout))
	defer s.Close()
	o, err := readOrder(s)
	if err == nil {
		err = v.readAll(s, o.Seed+1, int(o.Down))
	}
	v.mu.Lock()
	c := v.pushed[o.Seed+1]
	v.mu.Unlock()
	if c != nil {
		c <- err
	} else if v.conn.Context().Err() == nil {
		v.fault("%v: client: a stream that nobody asked for: %+v, %v", v.life, o, err)
	}
}

func (v *visitor) sendUni(o *order) error {
	ctx, cancel := context.WithTimeout(v.conn.Context(), opTimeout)
	defer cancel()
	s, err := v.conn.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	s.SetWriteDeadline(time.Now().Add(opTimeout))
	if _, err := s.Write(o.encode()); err != nil {
		return err
	}
	return write(s, o.Seed, int(o.Up))
}

// askForTheEnd lets the server close the connection.
func (v *visitor) askForTheEnd(code uint32) error {
	s, err := v.open(&order{Life: v.life.id, Code: code, Verb: hangUp})
	if err == nil {
		err = s.Close()
	}
	return err
}

// Datagrams begin with a seed.
const seedSize = 8

func (v *visitor) sendDatagrams(rng *rand.Rand) {
	for range 1 + rng.IntN(5) {
		b := binary.BigEndian.AppendUint64(nil, rng.Uint64())
		p := pattern{seed: binary.BigEndian.Uint64(b)}
		b = append(b, make([]byte, rng.IntN(1000))...)
		p.fill(b[seedSize:])
		err := v.conn.SendDatagram(b)
		if errors.Is(err, quic.ErrNoDatagrams) {
			return // with early data that was refused the server has not said yet that it takes them
		}
		if err != nil && v.conn.Context().Err() == nil {
			v.fault("%v: client: datagram of %d bytes: %v", v.life, len(b), err)
		}
	}
}

func (v *visitor) receiveDatagrams() {
	for {
		b, err := v.conn.ReceiveDatagram(v.conn.Context())
		if err != nil {
			return
		}
		if err := v.checkDatagram(b); err != nil {
			v.fault("%v: client: datagram: %v", v.life, err)
		}
	}
}

func (t *tally) checkDatagram(b []byte) error {
	if len(b) < seedSize {
		return &lengthError{len(b), seedSize}
	}
	t.bytes.Add(int64(len(b)))
	p := pattern{seed: binary.BigEndian.Uint64(b)}
	return p.check(b[seedSize:])
}

// migrate moves the client to another port, and at times to another address.
func (v *visitor) migrate(rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(v.conn.Context(), 5*time.Second)
	defer cancel()
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, byte(1+rng.IntN(3)))}
	err := v.conn.Migrate(ctx, local)
	switch {
	case err == nil:
		v.count("migrated")
	case v.conn.Context().Err() != nil:
	case errors.Is(err, quic.ErrMigrating), errors.Is(err, quic.ErrNoConnectionID),
		errors.Is(err, quic.ErrPathNotValidated), errors.Is(err, context.DeadlineExceeded):
		v.count("not migrated")
	default:
		v.fault("%v: client: migrate to %v: %v", v.life, local.IP, err)
	}
}
