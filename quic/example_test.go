package quic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// The two sides of a connection with one stream. serverTLS has a certificate,
// clientTLS trusts it, and both name the protocol in NextProtos.
func Example() {
	clientTLS, serverTLS := exampleTLS()
	ctx := context.Background()

	ln, err := quic.ListenAddr("localhost:0", serverTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		defer stream.Close()
		request, _ := io.ReadAll(stream)
		fmt.Fprintf(stream, "you said %q", request)
	}()

	conn, err := quic.DialAddr(ctx, ln.Addr().String(), clientTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(stream, "hello")
	stream.CloseWrite()
	response, err := io.ReadAll(stream)
	fmt.Printf("%s, error %v\n", response, err)
	// Output: you said "hello", error <nil>
}

// Clients and servers share a socket: a Transport does both.
func ExampleTransport() {
	clientTLS, serverTLS := exampleTLS()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		log.Fatal(err)
	}
	t := &quic.Transport{Conn: sock}
	defer t.Close()
	ln, err := t.Listen(serverTLS, &quic.Config{MaxIdleTimeout: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := t.Dial(context.Background(), ln.Addr(), clientTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.ConnectionState().TLS.NegotiatedProtocol)
	// Output: example
}

// An error tells who ended the connection, and why.
func ExampleApplicationError() {
	client, server, stop := exampleConns()
	defer stop()
	server.CloseWithError(42, "come back tomorrow")

	_, err := client.AcceptStream(context.Background())
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok {
		fmt.Println(e.Remote, e.Code, e.Reason)
	}
	fmt.Println(err)
	fmt.Println(errors.Is(err, net.ErrClosed))
	// Output:
	// true 42 come back tomorrow
	// quic: peer closed connection: application error 0x2a: come back tomorrow
	// true
}

func ExampleStream_SetReadDeadline() {
	client, _, stop := exampleConns()
	defer stop()
	stream, err := client.OpenStream()
	if err != nil {
		log.Fatal(err)
	}
	stream.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = stream.Read(make([]byte, 1))
	fmt.Println(err)
	// Output: i/o timeout
}

// A server that was written for TCP runs on streams as it is.
func ExampleNetListener() {
	clientTLS, serverTLS := exampleTLS()
	ln, err := quic.ListenAddr("localhost:0", serverTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	server := quic.NetListener(ln)
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept() // a net.Conn for each stream
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()

	conn, err := quic.DialAddr(context.Background(), ln.Addr().String(), clientTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	for _, word := range []string{"one", "two"} {
		stream, err := conn.OpenStream()
		if err != nil {
			log.Fatal(err)
		}
		io.WriteString(stream, word)
		stream.CloseWrite()
		echo, _ := io.ReadAll(stream)
		fmt.Printf("%s\n", echo)
	}
	// Output:
	// one
	// two
}

func ExampleConfig_Validate() {
	c := &quic.Config{Congestion: "vegas", MaxDatagramSize: 500}
	fmt.Println(c.Validate())
	// Output: quic: config: Congestion: unknown congestion controller "vegas" (have cubic, newreno, bbr); MaxDatagramSize: got 500, want at least 1200 bytes (RFC 9000 §14), or negative for that
}
