// Command benchtls moves bytes over TLS 1.3 and TCP by the same protocol as the QUIC programs beside it, one connection for each stream:
// the client sends the wanted length as 8 bytes, most significant first, and the server answers with as many.
//
//	benchtls server -listen ADDR -cert FILE -key FILE    prints the address it listens on
//	benchtls client -addr ADDR -bytes N -streams N       prints {"bytes": N, "seconds": S}; N bytes in all
package main

import (
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
)

const (
	alpn = "perf"
	unit = 64 << 10 // bytes of an application read or write
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchtls: error:", err)
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
	listener, err := tls.Listen("tcp", *listen, &tls.Config{
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{alpn},
		MinVersion:   tls.VersionTLS13,
	})
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go answer(conn)
	}
}

func answer(conn net.Conn) {
	defer conn.Close()
	var length [8]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	buf := make([]byte, unit)
	for left := binary.BigEndian.Uint64(length[:]); left > 0; {
		n := min(left, unit)
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
		left -= n
	}
}

func fetch(args []string) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	addr := flags.String("addr", "", "address of the server")
	total := flags.Uint64("bytes", 1<<30, "bytes to fetch, on all connections together")
	streams := flags.Int("streams", 1, "connections at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *streams < 1 || *streams > 1000 {
		return fmt.Errorf("%d streams, want 1 to 1000", *streams)
	}
	conns := make([]*tls.Conn, *streams)
	for i := range conns {
		conn, err := tls.Dial("tcp", *addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}})
		if err != nil {
			return err
		}
		defer conn.Close()
		conns[i] = conn
	}
	began := time.Now()
	results := make(chan error, *streams)
	for i, conn := range conns {
		share := *total / uint64(*streams)
		if i == 0 {
			share += *total % uint64(*streams)
		}
		go func() { results <- fetchConn(conn, share) }()
	}
	var err error
	for range conns {
		err = errors.Join(err, <-results)
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"bytes": *total, "seconds": took.Seconds()})
}

func fetchConn(conn *tls.Conn, want uint64) error {
	if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, want)); err != nil {
		return err
	}
	buf, got := make([]byte, unit), uint64(0)
	for got < want {
		n, err := conn.Read(buf)
		got += uint64(n)
		if err != nil && got < want {
			return fmt.Errorf("%d of %d bytes: %w", got, want, err)
		}
	}
	return nil
}
