// Command benchquicgo moves bytes over the quic-go library by the perf protocol (draft-banks-quic-performance): on each bidirectional
// stream the client sends the wanted length as 8 bytes, most significant first, and the server answers with as many.
//
//	benchquicgo server -listen ADDR -cert FILE -key FILE    prints the address it listens on
//	benchquicgo client -addr ADDR -bytes N -streams N       prints {"bytes": N, "seconds": S}; N bytes in all
package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	alpn         = "perf"
	unit         = 64 << 10 // bytes of an application read or write
	socketBuffer = 7 << 20
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchquicgo: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "server" {
		return serve(args[1:])
	}
	if len(args) > 0 && args[0] == "client" {
		return fetch(args[1:])
	}
	return errors.New("want server or client")
}

func config() *quic.Config {
	return &quic.Config{
		InitialStreamReceiveWindow:     6 << 20,
		MaxStreamReceiveWindow:         6 << 20,
		InitialConnectionReceiveWindow: 15 << 20,
		MaxConnectionReceiveWindow:     15 << 20,
		MaxIncomingStreams:             1000,
	}
}

// transport opens a socket at addr with large buffers.
func transport(addr string) (*quic.Transport, error) {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, err
	}
	socket.SetReadBuffer(socketBuffer)
	socket.SetWriteBuffer(socketBuffer)
	return &quic.Transport{Conn: socket}, nil
}

func serve(args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	certFile := flags.String("cert", "cert.pem", "certificate chain")
	keyFile := flags.String("key", "priv.key", "its key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if err != nil {
		return err
	}
	tr, err := transport(*listen)
	if err != nil {
		return err
	}
	listener, err := tr.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}}, config())
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	for {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		go func() {
			for {
				stream, err := conn.AcceptStream(context.Background())
				if err != nil {
					return
				}
				go answer(stream)
			}
		}()
	}
}

func answer(stream *quic.Stream) {
	var length [8]byte
	if _, err := io.ReadFull(stream, length[:]); err != nil {
		stream.CancelWrite(1)
		return
	}
	io.Copy(io.Discard, stream) // what the client sends beyond that
	buf := make([]byte, unit)
	for left := binary.BigEndian.Uint64(length[:]); left > 0; {
		n := min(left, unit)
		if _, err := stream.Write(buf[:n]); err != nil {
			return
		}
		left -= n
	}
	stream.Close()
}

func fetch(args []string) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	addr := flags.String("addr", "", "address of the server")
	total := flags.Uint64("bytes", 1<<30, "bytes to fetch, on all streams together")
	streams := flags.Int("streams", 1, "streams at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *streams < 1 || *streams > 1000 {
		return fmt.Errorf("%d streams, want 1 to 1000", *streams)
	}
	to, err := net.ResolveUDPAddr("udp", *addr)
	if err != nil {
		return err
	}
	tr, err := transport(":0")
	if err != nil {
		return err
	}
	conn, err := tr.Dial(context.Background(), to, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}}, config())
	if err != nil {
		return err
	}
	began := time.Now()
	results := make(chan error, *streams)
	for i := range *streams {
		share := *total / uint64(*streams)
		if i == 0 {
			share += *total % uint64(*streams)
		}
		go func() { results <- fetchStream(conn, share) }()
	}
	for range *streams {
		err = errors.Join(err, <-results)
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	if err := conn.CloseWithError(0, ""); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"bytes": *total, "seconds": took.Seconds()})
}

func fetchStream(conn *quic.Conn, want uint64) error {
	stream, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		return err
	}
	if _, err := stream.Write(binary.BigEndian.AppendUint64(nil, want)); err != nil {
		return err
	}
	stream.Close()
	buf, got := make([]byte, unit), uint64(0)
	for {
		n, err := stream.Read(buf)
		got += uint64(n)
		if err == io.EOF && got == want {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stream %d: %d of %d bytes: %w", stream.StreamID(), got, want, err)
		}
	}
}
