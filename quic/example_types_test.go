package quic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// Both sides may open streams, of both kinds.
func ExampleConn() {
	client, server, stop := exampleConns()
	defer stop()
	out, _ := server.OpenUniStream()
	out.WriteFinal([]byte("news from the server"))
	in, _ := client.AcceptUniStream(context.Background())
	text, _ := io.ReadAll(in)
	fmt.Printf("%s\n", text)
	// Output: news from the server
}

func ExampleConnectionState() {
	client, _, stop := exampleConns()
	defer stop()
	s := client.ConnectionState()
	fmt.Println(s.Version, s.TLS.NegotiatedProtocol, s.TLS.HandshakeComplete)
	// Output: v1 example true
}

func ExampleConnectionStats() {
	client, _, stop := exampleConns()
	defer stop()
	s := client.ConnectionStats()
	fmt.Println(s.PacketsSent > 0, s.SmoothedRTT > 0)
	// Output: true true
}

// A server for many clients that say little.
func ExampleLimits() {
	c := &quic.Config{Limits: quic.Limits{
		InitialStreamReceiveWindow: 16 << 10, MaxStreamReceiveWindow: 64 << 10,
		InitialConnectionReceiveWindow: 32 << 10, MaxConnectionReceiveWindow: 128 << 10,
		MaxIncomingStreams: 8, MaxIncomingUniStreams: -1, // none
	}}
	fmt.Println(c.Validate())
	// Output: <nil>
}

func ExampleListener() {
	_, serverTLS := exampleTLS()
	ln, _ := quic.ListenAddr("localhost:0", serverTLS, nil)
	ln.Close()
	_, err := ln.Accept(context.Background())
	fmt.Println(errors.Is(err, net.ErrClosed))
	// Output: true
}

// A SendStream has no Read, a ReceiveStream no Write.
func ExampleSendStream() {
	client, server, stop := exampleConns()
	defer stop()
	out, _ := client.OpenUniStream()
	fmt.Fprint(out, "one way")
	out.Close()
	in, _ := server.AcceptUniStream(context.Background())
	text, _ := io.ReadAll(in)
	fmt.Printf("%s on stream %d\n", text, in.StreamID())
	// Output: one way on stream 2
}

// A context bounds reads, beside deadlines.
func ExampleReceiveStream() {
	client, server, stop := exampleConns()
	defer stop()
	out, _ := client.OpenUniStream()
	out.Write([]byte("x"))
	in, _ := server.AcceptUniStream(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	in.SetReadContext(ctx)
	text, err := io.ReadAll(in)
	fmt.Printf("%s, %v\n", text, err)
	// Output: x, context deadline exceeded
}

// The two directions of a stream end one by one.
func ExampleStreamError() {
	client, server, stop := exampleConns()
	defer stop()
	near, _ := client.OpenStream()
	near.Write([]byte("x"))
	far, _ := server.AcceptStream(context.Background())
	far.CancelWrite(7)
	_, err := io.ReadAll(near)
	if e, ok := errors.AsType[*quic.StreamError](err); ok {
		fmt.Println(e.StreamID, e.Code, e.Remote)
	}
	// Output: 0 7 true
}

// The names of codes are those of uint64.
func ExampleStreamErrorCode() {
	const tooBusy quic.StreamErrorCode = 3
	var plain uint64 = tooBusy
	fmt.Println(plain)
	// Output: 3
}

func ExampleApplicationErrorCode() {
	client, _, stop := exampleConns()
	defer stop()
	const goodbye quic.ApplicationErrorCode = 0
	fmt.Println(client.CloseWithError(goodbye, "bye"))
	// Output: <nil>
}

func ExampleStreamID() {
	client, _, stop := exampleConns()
	defer stop()
	s, _ := client.OpenStream()
	var id quic.StreamID = s.StreamID()
	fmt.Println(id&1 == 0, id&2 == 0) // a client's, bidirectional
	// Output: true true
}

// Three ways of time to end a connection; all are net.Error with Timeout.
func ExampleIdleTimeoutError() {
	var err error = &quic.IdleTimeoutError{}
	e, ok := errors.AsType[net.Error](err)
	fmt.Println(ok && e.Timeout(), errors.Is(err, net.ErrClosed), err)
	// Output: true true quic: idle timeout: no packet from the peer
}

func ExampleHandshakeTimeoutError() {
	clientTLS, _ := exampleTLS()
	silent, _ := net.ListenPacket("udp4", "127.0.0.1:0")
	defer silent.Close()
	_, err := quic.DialAddr(context.Background(), silent.LocalAddr().String(), clientTLS, &quic.Config{HandshakeTimeout: 50 * time.Millisecond})
	_, ok := errors.AsType[*quic.HandshakeTimeoutError](err)
	fmt.Println(ok)
	// Output: true
}

func ExampleUnreachableError() {
	var err error = &quic.UnreachableError{Addr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: syscall.ECONNREFUSED}
	if errors.Is(err, syscall.ECONNREFUSED) {
		fmt.Println("nobody listens there")
	}
	// Output: nobody listens there
}

func ExampleStatelessResetError() {
	var err error = &quic.StatelessResetError{}
	fmt.Println(err, errors.Is(err, net.ErrClosed))
	// Output: quic: peer lost the connection (stateless reset) true
}

func ExampleNoViablePathError() {
	var err error = &quic.NoViablePathError{}
	fmt.Println(errors.Is(err, net.ErrClosed))
	// Output: true
}

func ExampleTransportError() {
	clientTLS, serverTLS := exampleTLS()
	ln, _ := quic.ListenAddr("localhost:0", serverTLS, nil)
	defer ln.Close()
	clientTLS.NextProtos = []string{"another"}
	_, err := quic.DialAddr(context.Background(), ln.Addr().String(), clientTLS, nil)
	if e, ok := errors.AsType[*quic.TransportError](err); ok {
		fmt.Println(e.Remote, e.Code)
	}
	// Output: true CRYPTO_ERROR 0x178 (no application protocol)
}

func ExampleTransportErrorCode() {
	fmt.Println(quic.TransportErrorCode(0x0a))
	// Output: PROTOCOL_VIOLATION
}

func ExampleVersion() {
	fmt.Println(quic.Version1, quic.Version2)
	// Output: v1 v2
}

func ExampleVersionNegotiationError() {
	var err error = &quic.VersionNegotiationError{Ours: []quic.Version{quic.Version2}, Theirs: []quic.Version{quic.Version1}}
	fmt.Println(errors.Is(err, net.ErrClosed))
	// Output: true
}

func ExampleDatagramTooLargeError() {
	clientTLS, serverTLS := exampleTLS()
	conf := &quic.Config{EnableDatagrams: true}
	ln, _ := quic.ListenAddr("localhost:0", serverTLS, conf)
	defer ln.Close()
	c, _ := quic.DialAddr(context.Background(), ln.Addr().String(), clientTLS, conf)
	defer c.CloseWithError(0, "")
	err := c.SendDatagram(make([]byte, 1<<20))
	if e, ok := errors.AsType[*quic.DatagramTooLargeError](err); ok {
		fmt.Println(e.Size, e.Max < 1<<16)
	}
	// Output: 1048576 true
}

// A server that would rather be reached at an address of its own, when
// clients first find one that it shares.
func ExamplePreferredAddress() {
	c := &quic.Config{PreferredAddress: quic.PreferredAddress{V4: netip.MustParseAddrPort("192.0.2.7:443")}}
	fmt.Println(c.Validate())
	// Output: <nil>
}

// One store for all connections that a program dials.
func ExampleTokenStore() {
	var store quic.TokenStore = quic.NewLRUTokenStore(100, 4)
	c := &quic.Config{TokenStore: store}
	fmt.Println(c.Validate())
	// Output: <nil>
}

func ExamplePathStore() {
	var store quic.PathStore = quic.NewPathStore(100, time.Hour)
	c := &quic.Config{CarefulResume: store}
	fmt.Println(c.Validate())
	// Output: <nil>
}

// A store that keeps tokens over restarts writes Data and Version down.
func ExampleClientToken() {
	store := quic.NewLRUTokenStore(100, 4)
	store.Put("example.org", &quic.ClientToken{Data: []byte{1, 2}, Version: quic.Version1})
	token := store.Pop("example.org")
	fmt.Println(token.Data, token.Version, store.Pop("example.org") == nil)
	// Output: [1 2] v1 true
}

func ExampleSocketStats() {
	sock, _ := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	t := &quic.Transport{Conn: sock}
	defer t.Close()
	_, serverTLS := exampleTLS()
	t.Listen(serverTLS, nil)
	for _, s := range t.SocketStats() {
		fmt.Println(s.ReceiveBuffer >= 0, s.Overflow)
	}
	// Output: true 0
}

func ExampleTransportStats() {
	sock, _ := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	t := &quic.Transport{Conn: sock}
	defer t.Close()
	_, serverTLS := exampleTLS()
	t.Listen(serverTLS, nil)
	s := t.Stats()
	fmt.Println(s.Connections, s.ConnectionsBegun)
	// Output: 0 0
}
