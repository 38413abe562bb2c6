package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/seed51309289/quiver/interop/endpoint"
	"github.com/spf13/cobra"
)

// serverOptions are the flags of server as given.
type serverOptions struct {
	transportOptions
	listen, www, cert, key string
	retry                  bool
}

func newServer() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Serve a directory over QUIC",
		Long: `Serve the files of a directory by HTTP/0.9 over QUIC (ALPN hq-interop) until stopped.

Without --cert and --key the server makes itself a certificate that no client trusts, and
prints the client command that accepts it.`,
		Example: `  quiver server --listen :4433 --www public
  quiver server --www public --cert cert.pem --key priv.key --retry --qlog qlogs`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", ":443", "UDP `ADDRESS`")
	f.StringVar(&o.www, "www", ".", "`DIR` to serve")
	f.StringVar(&o.cert, "cert", "", "certificate chain, PEM `FILE`")
	f.StringVar(&o.key, "key", "", "its private key, PEM `FILE`")
	f.BoolVar(&o.retry, "retry", false, "make every client prove its address by a Retry")
	o.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return serve(cmd, &o) }
	return cmd
}

func serve(cmd *cobra.Command, o *serverOptions) error {
	conf, err := o.config()
	if err != nil {
		return usage(cmd, err)
	}
	if (o.cert == "") != (o.key == "") {
		return usage(cmd, errors.New("--cert and --key go together"))
	}
	config, err := o.tls()
	if err != nil {
		return err
	}
	keylog, err := o.openKeyLog()
	if err != nil {
		return err
	}
	if keylog != nil {
		defer keylog.Close()
		config.KeyLogWriter = keylog
	}
	sock, err := listen(o.listen)
	if err != nil {
		return err
	}
	talk := cmd.ErrOrStderr()
	fmt.Fprintf(talk, "Serving %s on %s\n", o.www, sock.LocalAddr())
	if o.cert == "" {
		fmt.Fprintf(talk, "Fetch with: %s client --insecure https://localhost:%d/FILE\n", programName(), sock.LocalAddr().(*net.UDPAddr).Port)
	}
	s := endpoint.Server{TLS: config, Conf: conf, WWW: o.www, Retry: o.retry, Log: o.logger(talk)}
	return s.Serve(cmd.Context(), sock)
}

func (o *serverOptions) tls() (*tls.Config, error) {
	var cert tls.Certificate
	var err error
	if o.cert != "" {
		cert, err = tls.LoadX509KeyPair(o.cert, o.key)
	} else {
		cert, err = selfSigned()
	}
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{endpoint.ALPN}, MinVersion: tls.VersionTLS13}, nil
}

// listen opens the UDP socket of a server.
func listen(address string) (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	sock, err := net.ListenUDP("udp", addr)
	if errors.Is(err, os.ErrPermission) {
		return nil, &status{exitFailed, err, "ports below 1024 are for root; try --listen :4433"}
	}
	return sock, err
}
