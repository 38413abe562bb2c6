package quic_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/quic"
)

// aimd is a congestion controller of its own: one datagram more in flight with
// every round trip, a quarter less with every round trip that lost something.
type aimd struct {
	size, window int // bytes
	cut          hook.Instant
	round        uint64
}

func (a *aimd) Name() string                               { return "aimd" }
func (a *aimd) Sent(now hook.Instant, bytes, inFlight int) {}
func (a *aimd) MTUChanged(size int)                        { a.size = size }
func (a *aimd) Window() int                                { return a.window }
func (a *aimd) PacingRate() uint64                         { return 0 } // derived from the window

func (a *aimd) Acked(e *hook.Acked) {
	if e.Round != a.round && !e.AppLimited {
		a.round, a.window = e.Round, a.window+a.size
	}
}

func (a *aimd) Lost(e *hook.Lost) {
	if e.LargestSent > a.cut { // sent after the last cut: a new round trip
		a.cut, a.window = e.Now, max(a.window*3/4, 2*a.size)
	}
}

// A program may bring a congestion controller of its own.
func ExampleConfig_newCongestion() {
	clientTLS, serverTLS := exampleTLS()
	conf := &quic.Config{NewCongestion: func(c hook.CongestionConfig) hook.Congestion {
		return &aimd{size: c.DatagramSize, window: 10 * c.DatagramSize}
	}}
	ctx := context.Background()
	ln, err := quic.ListenAddr("localhost:0", serverTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if server, err := ln.Accept(ctx); err == nil {
			stream, _ := server.AcceptStream(ctx)
			io.Copy(stream, stream)
			stream.Close()
		}
	}()
	client, err := quic.DialAddr(ctx, ln.Addr().String(), clientTLS, conf)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseWithError(0, "")
	stream, err := client.OpenStreamSync(ctx)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		stream.Write(make([]byte, 1<<20))
		stream.CloseWrite()
	}()
	n, err := io.Copy(io.Discard, stream)
	fmt.Println(n, err, client.ConnectionStats().Congestion)
	// Output: 1048576 <nil> aimd
}
