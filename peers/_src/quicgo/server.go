package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/quic-go/quic-go"
)

const maxRequest = 4096 // bytes of a request line

// serve answers requests until the process is killed. With retry, every client has to prove its address.
func serve(args []string, retry bool, keys io.Writer) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	listen := flags.String("listen", ":443", "address to listen on")
	certs := flags.String("certs", "/certs", "directory of cert.pem and priv.key")
	www := flags.String("www", "/www", "directory of the files to serve")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(*certs, "cert.pem"), filepath.Join(*certs, "priv.key"))
	if err != nil {
		return err
	}
	files, err := os.OpenRoot(*www)
	if err != nil {
		return err
	}
	addr, err := net.ResolveUDPAddr("udp", *listen)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", addr)
	if err != nil {
		return err
	}
	transport := &quic.Transport{Conn: socket, VerifySourceAddress: func(net.Addr) bool { return retry }}
	listener, err := transport.Listen(&tls.Config{
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{alpn},
		KeyLogWriter: keys,
	}, config())
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		go serveConn(conn, files)
	}
}

func serveConn(conn *quic.Conn, files *os.Root) {
	for {
		stream, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			if err := answer(stream, files); err != nil {
				fmt.Fprintln(os.Stderr, "quicgo: stream", stream.StreamID(), err)
				stream.CancelWrite(1)
				return
			}
			stream.Close()
		}()
	}
}

// answer reads "GET /name" and writes the file of that name. It reads to the
// stream's end, which may come in a packet of its own: the library counts a
// stream as open until then.
func answer(stream *quic.Stream, files *os.Root) error {
	request, err := io.ReadAll(io.LimitReader(stream, maxRequest))
	if err != nil {
		return err
	}
	line := string(request)
	name, ok := strings.CutPrefix(strings.TrimSpace(line), "GET /")
	if !ok {
		return fmt.Errorf("request %q, want GET /name", line)
	}
	file, err := files.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(stream, file)
	return err
}
