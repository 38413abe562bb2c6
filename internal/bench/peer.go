package bench

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// MaxStreams is how many parallel streams a run can have.
const MaxStreams = 1000

const (
	alpn = "perf"
	unit = 64 << 10 // bytes of an application's read or write
)

// config has the windows that all stacks of the comparison get.
func config(t Tuning) *quic.Config {
	return &quic.Config{
		Limits: quic.Limits{
			InitialStreamReceiveWindow: 6 << 20, MaxStreamReceiveWindow: 6 << 20,
			InitialConnectionReceiveWindow: 15 << 20, MaxConnectionReceiveWindow: 15 << 20,
			MaxIncomingStreams: MaxStreams,
		},
		MaxDatagramSize: t.Datagram,
		Congestion:      t.Congestion,
	}
}

// Serve answers requests on addr until ctx is done. Its first line on out is
// the address it listens on.
func Serve(ctx context.Context, addr, certFile, keyFile string, t Tuning, out io.Writer) error {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	l, err := quic.ListenAddr(addr, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}, config(t))
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintln(out, l.Addr())
	for {
		c, err := l.Accept(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go serveConn(ctx, c)
	}
}

func serveConn(ctx context.Context, c *quic.Conn) {
	for {
		s, err := c.AcceptStream(ctx)
		if err != nil {
			return
		}
		go answer(s)
	}
}

func answer(s *quic.Stream) {
	var length [8]byte
	if _, err := io.ReadFull(s, length[:]); err != nil {
		s.CancelWrite(1)
		return
	}
	buf := make([]byte, unit)
	for left := binary.BigEndian.Uint64(length[:]); left > 0; {
		n := min(left, unit)
		if _, err := s.Write(buf[:n]); err != nil {
			return
		}
		left -= n
	}
	s.CloseWrite()
}

// transfer is what a client reports on standard output.
type transfer struct {
	Bytes   uint64  `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// Fetch gets total bytes over streams streams of one connection and writes
// what it took to out, as JSON.
func Fetch(ctx context.Context, addr string, total uint64, streams int, t Tuning, out io.Writer) error {
	c, err := quic.DialAddr(ctx, addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}, config(t))
	if err != nil {
		return err
	}
	began := time.Now()
	results := make(chan error, streams)
	for i := range streams {
		share := total / uint64(streams)
		if i == 0 {
			share += total % uint64(streams)
		}
		go func() { results <- fetchStream(ctx, c, share) }()
	}
	for range streams {
		err = errors.Join(err, <-results)
	}
	took := time.Since(began)
	c.CloseWithError(0, "")
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(transfer{total, took.Seconds()})
}

func fetchStream(ctx context.Context, c *quic.Conn, want uint64) error {
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := s.WriteFinal(binary.BigEndian.AppendUint64(nil, want)); err != nil {
		return err
	}
	buf, got := make([]byte, unit), uint64(0)
	for {
		n, err := s.Read(buf)
		got += uint64(n)
		if err == io.EOF && got == want {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stream %d: %d of %d bytes: %w", s.StreamID(), got, want, err)
		}
	}
}
