package perf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// client runs one Work.
type client struct {
	stack  Stack
	dialer Dialer
	work   Work

	mu   sync.Mutex // guards kept
	kept []Conn
}

func (c *client) run(ctx context.Context) (*Result, error) {
	switch c.work.Kind {
	case Down, Up:
		return c.transfer(ctx)
	case PingPong:
		return c.exchange(ctx, c.echoes)
	case Request:
		if !c.stack.Streams() {
			return c.exchange(ctx, c.echoes)
		}
		return c.exchange(ctx, c.requests)
	case Handshake, Resumed:
		return c.handshakes(ctx)
	case Idle:
		return c.idle(ctx)
	}
	return nil, fmt.Errorf("unknown work %q", c.work.Kind)
}

// connect returns a connection for each stream, which may be the same one.
func (c *client) connect(ctx context.Context) (conns []Conn, closeAll func(), err error) {
	closeAll = func() {
		for i, conn := range conns {
			if i == 0 || !c.stack.Streams() {
				conn.Close()
			}
		}
	}
	for range c.work.Streams {
		if len(conns) > 0 && c.stack.Streams() {
			conns = append(conns, conns[0])
			continue
		}
		conn, err := c.dialer.Dial(ctx)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		conns = append(conns, conn)
	}
	return conns, closeAll, nil
}

// parallel runs do for every stream at the same time, and times it.
func parallel(n int, do func(i int) error) (time.Duration, error) {
	began := time.Now()
	results := make(chan error, n)
	for i := range n {
		go func() { results <- do(i) }()
	}
	var err error
	for range n {
		err = errors.Join(err, <-results)
	}
	return time.Since(began), err
}

func (c *client) transfer(ctx context.Context) (*Result, error) {
	conns, closeAll, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	n := uint64(c.work.Streams)
	took, err := parallel(c.work.Streams, func(i int) error {
		share := c.work.N / n
		if i == 0 {
			share += c.work.N % n
		}
		s, err := conns[i].Open(ctx)
		if err != nil {
			return err
		}
		if c.work.Kind == Down {
			return receive(s, share)
		}
		return deliver(s, share)
	})
	return &Result{N: c.work.N, Seconds: took.Seconds()}, err
}

func receive(s Stream, want uint64) error {
	if err := s.WriteFinal(binary.BigEndian.AppendUint64(nil, want)); err != nil {
		return err
	}
	buf := buffers.Get().(*[unit]byte)
	defer buffers.Put(buf)
	return drain(s, buf[:], want)
}

// drain reads want bytes and the end.
func drain(s Stream, buf []byte, want uint64) error {
	for got := uint64(0); ; {
		n, err := s.Read(buf)
		got += uint64(n)
		if err == io.EOF && got == want {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%d of %d bytes: %w", got, want, err)
		}
	}
}

func deliver(s Stream, n uint64) error {
	if _, err := s.Write(make([]byte, 8)); err != nil {
		return err
	}
	buf := buffers.Get().(*[unit]byte)
	defer buffers.Put(buf)
	if err := send(s, buf, n); err != nil {
		return err
	}
	return drain(s, buf[:], 0)
}

// exchange runs N operations, and keeps how long each took. turns does some
// until ticket, which counts them, says that there are no more.
func (c *client) exchange(ctx context.Context, turns func(ctx context.Context, conn Conn, ticket func() bool, took *[]time.Duration) error) (*Result, error) {
	conns, closeAll, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	var done atomic.Uint64
	ticket := func() bool { return done.Add(1) <= c.work.N }
	times := make([][]time.Duration, c.work.Streams)
	for i := range times {
		times[i] = make([]time.Duration, 0, c.work.N/uint64(c.work.Streams)*2)
	}
	took, err := parallel(c.work.Streams, func(i int) error { return turns(ctx, conns[i], ticket, &times[i]) })
	if err != nil {
		return nil, err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	return &Result{N: c.work.N, Seconds: took.Seconds(), P50: quantile(all, 50), P99: quantile(all, 99)}, nil
}

// quantile returns a percentile of sorted times, in microseconds.
func quantile(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[len(sorted)*percent/100].Nanoseconds()) / 1e3
}

// echoes sends messages on one stream and reads them back.
func (c *client) echoes(ctx context.Context, conn Conn, ticket func() bool, took *[]time.Duration) error {
	s, err := conn.Open(ctx)
	if err != nil {
		return err
	}
	if _, err := s.Write(binary.BigEndian.AppendUint64(nil, echoBit)); err != nil {
		return err
	}
	buf := make([]byte, message)
	for ticket() {
		began := time.Now()
		if _, err := s.Write(buf); err != nil {
			return err
		}
		if _, err := io.ReadFull(s, buf); err != nil {
			return err
		}
		*took = append(*took, time.Since(began))
	}
	if err := s.WriteFinal(nil); err != nil {
		return err
	}
	return drain(s, buf, 0)
}

// requests sends each request on a stream of its own.
func (c *client) requests(ctx context.Context, conn Conn, ticket func() bool, took *[]time.Duration) error {
	request, buf := make([]byte, message), make([]byte, 2*message)
	binary.BigEndian.PutUint64(request, message)
	for ticket() {
		began := time.Now()
		s, err := conn.Open(ctx)
		if err != nil {
			return err
		}
		if err := s.WriteFinal(request); err != nil {
			return err
		}
		if err := drain(s, buf, message); err != nil {
			return err
		}
		*took = append(*took, time.Since(began))
	}
	return nil
}

// warmUps is how many connections may pass before one is resumed.
const warmUps = 10

func (c *client) handshakes(ctx context.Context) (*Result, error) {
	if c.work.Kind == Resumed {
		if err := c.warmUp(ctx); err != nil {
			return nil, err
		}
	}
	var done atomic.Uint64
	times := make([][]time.Duration, c.work.Streams)
	took, err := parallel(c.work.Streams, func(i int) error {
		for done.Add(1) <= c.work.N {
			began := time.Now()
			resumed, err := c.handshake(ctx)
			if err != nil {
				return err
			}
			if resumed != (c.work.Kind == Resumed) {
				return fmt.Errorf("a %s connection has DidResume = %t", c.work.Kind, resumed)
			}
			times[i] = append(times[i], time.Since(began))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	return &Result{N: c.work.N, Seconds: took.Seconds(), P50: quantile(all, 50), P99: quantile(all, 99)}, nil
}

// warmUp connects until a connection is resumed.
func (c *client) warmUp(ctx context.Context) error {
	for range warmUps {
		resumed, err := c.handshake(ctx)
		if err != nil || resumed {
			return err
		}
	}
	return fmt.Errorf("no resumption: %d connections in a row have DidResume = false", warmUps)
}

// handshake connects, gets one byte and closes.
func (c *client) handshake(ctx context.Context) (resumed bool, err error) {
	conn, err := c.dialer.Dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	s, err := conn.Open(ctx)
	if err != nil {
		return false, err
	}
	if err := s.WriteFinal(binary.BigEndian.AppendUint64(nil, 1)); err != nil {
		return false, err
	}
	return conn.Resumed(), drain(s, make([]byte, 16), 1)
}

// idleDials is how many connections are made at the same time.
const idleDials = 8

// idle makes connections that stay as long as the client.
func (c *client) idle(ctx context.Context) (*Result, error) {
	var done atomic.Uint64
	took, err := parallel(idleDials, func(int) error {
		for done.Add(1) <= c.work.N {
			conn, err := c.dialer.Dial(ctx)
			if err != nil {
				return fmt.Errorf("connection %d: %w", done.Load(), err)
			}
			c.mu.Lock()
			c.kept = append(c.kept, conn)
			c.mu.Unlock()
		}
		return nil
	})
	return &Result{N: c.work.N, Seconds: took.Seconds()}, err
}
