package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/quic-go/quic-go"
)

// fetch downloads all URLs, which must be of one server, at the same time over one connection.
func fetch(args []string, keys io.Writer) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	downloads := flags.String("downloads", "/downloads", "directory to save to")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		return errUsage
	}
	var paths []string
	var server string
	for _, arg := range flags.Args() {
		u, err := url.Parse(arg)
		if err != nil {
			return err
		}
		if server != "" && server != u.Host {
			return fmt.Errorf("%s is not on %s", arg, server)
		}
		server = u.Host
		paths = append(paths, u.Path)
	}
	conn, err := quic.DialAddr(context.Background(), server, &tls.Config{
		InsecureSkipVerify: true,
		NextProtos:         []string{alpn},
		KeyLogWriter:       keys,
	}, config())
	if err != nil {
		return err
	}
	errs := make([]error, len(paths))
	var all sync.WaitGroup
	for i, path := range paths {
		all.Go(func() { errs[i] = save(conn, path, filepath.Join(*downloads, filepath.Base(path))) })
	}
	all.Wait()
	return errors.Join(append(errs, conn.CloseWithError(0, ""))...)
}

// save requests path on a stream of its own and writes the answer to the file at to.
func save(conn *quic.Conn, path, to string) error {
	stream, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stream, "GET %s\r\n", path); err != nil {
		return err
	}
	stream.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, stream); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return file.Close()
}
