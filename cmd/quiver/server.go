package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/interop/endpoint"
	"github.com/spf13/cobra"
)

// alpns are the application protocols that we serve.
var alpns = []string{endpoint.H3, endpoint.ALPN}

// serverOptions are the flags of server as given.
type serverOptions struct {
	transportOptions
	listen, www, cert, key string
	alpn                   []string
	retry                  bool
	metrics                string
	extensions             extensionOptions
}

func newServer() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Serve the files of a directory over QUIC",
		Long: `Serve the files of a directory over QUIC until interrupted: over HTTP/3 (h3), and to
clients that ask for it over HTTP/0.9 (hq-interop): a stream for each file, "GET /path", and
the bytes. Whole files only: no ranges, no listings of directories.

Without --cert and --key the server makes a certificate for this run and prints its SHA-256
and a client command line that trusts it, ready to paste. With them, the SHA-256 of your own
is what 'openssl x509 -in cert.pem -noout -fingerprint -sha256' prints.

The server listens on the loopback interface unless --listen says otherwise; an address
without a host, such as :4433, is every interface. Nothing outside of --www is served, not
through links either. All that the server says goes to stderr.

With --metrics a small HTTP server tells counts of connections, packets, bytes and streams
at /metrics, in the text format of Prometheus: in the clear, so keep it to the loopback
interface or to a network of your own.`,
		Example: `  quiver server --www public
  quiver server --listen :4433 --cert cert.pem --key priv.key --qlog qlogs
  quiver server --metrics localhost:9100`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServer(cmd, &o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.listen, "listen", "localhost:4433", "UDP `ADDR` to listen on, host:port")
	f.StringVar(&o.www, "www", ".", "`DIR` with the files to serve")
	f.StringVar(&o.cert, "cert", "", "certificate chain, PEM `FILE` (default one made for this run)")
	f.StringVar(&o.key, "key", "", "private key of --cert, PEM `FILE`")
	f.StringSliceVar(&o.alpn, "alpn", alpns, "application `PROTOCOLS` to offer, the preferred first")
	f.BoolVar(&o.retry, "retry", false, "make every client prove its address first (Retry)")
	f.StringVar(&o.metrics, "metrics", "", "tell counts over HTTP on TCP `ADDR`, host:port (default nowhere)")
	o.addFlags(cmd)
	o.extensions.addFlags(cmd)
	return cmd
}

func runServer(cmd *cobra.Command, o *serverOptions) error {
	conf, err := o.config()
	if err != nil {
		return usage(cmd, err)
	}
	if err := o.check(); err != nil {
		return usage(cmd, err)
	}
	cert, made, err := o.certificate()
	if err != nil {
		return err
	}
	keylog, err := o.openKeyLog()
	if err != nil {
		return err
	}
	defer keylog.Close()
	talk := cmd.ErrOrStderr()
	counts, err := serveMetrics(o.metrics, talk)
	if err != nil {
		return &status{exitFailed, err, "choose another address with --metrics"}
	}
	defer counts.close()
	sock, err := o.bind()
	if err != nil {
		return &status{exitFailed, err, listenHint(err)}
	}
	if err := o.extensions.apply(cmd, conf, talk); err != nil {
		sock.Close()
		return err
	}
	conf.Allow0RTT = true // files are only read: a request does no harm twice
	o.greet(talk, sock.LocalAddr().(*net.UDPAddr), cert, made)
	s := endpoint.Server{
		TLS: &tls.Config{
			Certificates: []tls.Certificate{cert}, NextProtos: o.alpn, MinVersion: tls.VersionTLS13, KeyLogWriter: keylog,
		},
		Conf: conf, WWW: o.www, Retry: o.retry,
		Log:         o.logger(talk),
		OnTransport: counts.transport.Store,
	}
	return s.Serve(cmd.Context(), sock)
}

// check checks what can be checked before anything is opened. Every error is the user's.
func (o *serverOptions) check() error {
	if (o.cert == "") != (o.key == "") {
		return errors.New("--cert and --key belong together, got one of them")
	}
	if len(o.alpn) == 0 {
		return fmt.Errorf("--alpn is empty, want %s", strings.Join(alpns, " or "))
	}
	for _, p := range o.alpn {
		if !slices.Contains(alpns, p) {
			return fmt.Errorf("--alpn %q is no protocol that we serve, want %s", p, strings.Join(alpns, " or "))
		}
	}
	info, err := os.Stat(o.www)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", o.www)
	}
	if err != nil {
		return fmt.Errorf("--www: %w", err)
	}
	return nil
}

// certificate loads the certificate, or makes one for this run.
func (o *serverOptions) certificate() (cert tls.Certificate, made bool, err error) {
	if o.cert != "" {
		cert, err = tls.LoadX509KeyPair(o.cert, o.key)
		return cert, false, err
	}
	host, _, _ := net.SplitHostPort(o.listen)
	self, _ := os.Hostname()
	cert, err = endpoint.SelfSigned(time.Now(), "localhost", "127.0.0.1", "::1", host, self)
	return cert, true, err
}

func (o *serverOptions) bind() (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr("udp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", o.listen, err)
	}
	return net.ListenUDP("udp", addr)
}

func listenHint(err error) string {
	if errors.Is(err, os.ErrPermission) {
		return "ports below 1024 are for root: choose another with --listen, such as :4433"
	}
	return "choose another address with --listen"
}

// greet says where the server is and how a client gets there.
func (o *serverOptions) greet(talk io.Writer, at *net.UDPAddr, cert tls.Certificate, made bool) {
	host, _, _ := net.SplitHostPort(o.listen)
	if host == "" || at.IP.IsUnspecified() {
		host = "localhost"
	}
	url := fmt.Sprintf("https://%s/%s", net.JoinHostPort(host, fmt.Sprint(at.Port)), someFile(o.www))
	fmt.Fprintf(talk, "Serving %s on %s (%s)\n", o.www, at, strings.Join(o.alpn, ", "))
	if !made {
		fmt.Fprintf(talk, "Fetch with:\n  %s client %s\n", programName(), url)
		return
	}
	pin := endpoint.Pin(cert.Certificate[0])
	fmt.Fprintf(talk, "Certificate made for this run, SHA-256 %s\nFetch with:\n  %s client --pin %s %s\n", pin, programName(), pin, url)
}

// someFile returns the name of a file in dir whose name needs no quoting, for an example, or FILE.
func someFile(dir string) string {
	entries, _ := fs.Glob(os.DirFS(dir), "[a-zA-Z0-9]*")
	for _, name := range entries {
		plain := !strings.ContainsFunc(name, func(r rune) bool {
			return r > 'z' || !strings.ContainsRune("._-", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && r < 'a'
		})
		info, err := os.Stat(filepath.Join(dir, name))
		if plain && err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return "FILE"
}
