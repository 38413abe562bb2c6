// Echo sends what it reads to a server and prints what comes back.
//
//	echo -listen localhost:4433                           serve, and print the key to trust
//	echo -key KEY localhost:4433 < file                   be a client of it
//
// The server makes itself a certificate at every start. The client trusts the
// one whose SHA-256 is KEY, and no other.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/signal"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// alpn is the name of the protocol; both sides must agree on it.
const alpn = "echo"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "", "serve on `ADDR`")
	key := flags.String("key", "", "trust the server with this `KEY`")
	if flags.Parse(args) != nil {
		return 2
	}
	var err error
	switch {
	case *listen != "" && flags.NArg() == 0:
		err = serve(ctx, *listen, stdout)
	case *listen == "" && flags.NArg() == 1:
		err = send(ctx, flags.Arg(0), *key, stdin, stdout)
	default:
		fmt.Fprintln(stderr, "echo: want -listen ADDR, or -key KEY ADDR")
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "echo:", err)
		return 1
	}
	return 0
}

// serve echoes every stream of every connection until ctx is done.
func serve(ctx context.Context, addr string, stdout io.Writer) error {
	cert, err := newCertificate()
	if err != nil {
		return err
	}
	ln, err := quic.ListenAddr(addr, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}}, nil)
	if err != nil {
		return err
	}
	defer ln.Close()
	fmt.Fprintf(stdout, "echo -key %s %s\n", fingerprint(cert.Certificate[0]), ln.Addr())
	for {
		conn, err := ln.Accept(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go echo(ctx, conn)
	}
}

func echo(ctx context.Context, conn *quic.Conn) {
	for {
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			io.Copy(stream, stream)
		}()
	}
}

// send copies stdin to a stream, and what comes back to stdout.
func send(ctx context.Context, addr, key string, stdin io.Reader, stdout io.Writer) error {
	conn, err := quic.DialAddr(ctx, addr, trust(key), nil)
	if err != nil {
		return err
	}
	defer conn.CloseWithError(0, "")
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.CloseWithError(1, "interrupted") })
	defer stop()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(stream, stdin)
		stream.CloseWrite()
		sent <- err
	}()
	if _, err := io.Copy(stdout, stream); err != nil {
		return err
	}
	return <-sent
}

// trust is the configuration of a client that knows the server by its key.
func trust(key string) *tls.Config {
	return &tls.Config{
		NextProtos:         []string{alpn},
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(state tls.ConnectionState) error {
			if got := fingerprint(state.PeerCertificates[0].Raw); got != key {
				return errors.New("server has key " + got + ", want " + key)
			}
			return nil
		},
	}
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func newCertificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}
