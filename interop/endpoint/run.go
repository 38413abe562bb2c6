package endpoint

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"

	"github.com/seed51309289/quiver/quic"
)

// Run plays the role that e describes and returns the exit code. A server runs
// until ctx is done.
func Run(ctx context.Context, e Env, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	roleCases, ok := cases[e.Role]
	if !ok {
		fmt.Fprintf(stderr, "quiver: error: ROLE is %q, want client or server\n", e.Role)
		return ExitFailed
	}
	tc, ok := roleCases[e.TestCase]
	if !ok {
		fmt.Fprintf(stdout, "unsupported test case %q for the %s\n", e.TestCase, e.Role)
		return ExitUnsupported
	}
	defer onlyCiphers(tc.ciphers)()
	tc.conf.QLogDir = e.QLogDir
	extensions, err := e.extensions(ctx, &tc, log)
	if err != nil {
		log.Error("plugins", "error", err)
		return ExitFailed
	}
	tc.conf.Extensions = extensions
	keylog, err := openKeyLog(e.KeyLog)
	if err != nil {
		log.Error("key log", "error", err)
		return ExitFailed
	}
	defer keylog.Close()
	if e.Role == "server" {
		err = runServer(ctx, &e, &tc, keylog, log)
	} else {
		err = runClient(ctx, &e, &tc, keylog, log)
	}
	if err != nil {
		log.Error(e.Role, "error", err)
		return ExitFailed
	}
	return ExitOK
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// openKeyLog opens the file for TLS secrets; "" gives one that forgets.
func openKeyLog(path string) (io.WriteCloser, error) {
	if path == "" {
		return nopCloser{io.Discard}, nil
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
}

func runServer(ctx context.Context, e *Env, tc *testCase, keylog io.Writer, log *slog.Logger) error {
	cert, err := tls.LoadX509KeyPair(e.cert("cert.pem"), e.cert("priv.key"))
	if err != nil {
		return err
	}
	addr, err := net.ResolveUDPAddr("udp", e.Listen)
	if err != nil {
		return err
	}
	sock, err := net.ListenUDP("udp", addr)
	if err != nil {
		return err
	}
	s := Server{
		TLS:  &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{ALPN, H3}, KeyLogWriter: keylog, MinVersion: tls.VersionTLS13},
		Conf: &tc.conf, WWW: e.WWW, Retry: tc.retry, Log: log,
	}
	if tc.updateKeys {
		s.OnConn = func(conn *quic.Conn) { conn.UpdateKeys() }
	}
	if tc.prefer {
		address, more, err := preferredAddress(sock, lookupWith(ctx))
		if err != nil {
			sock.Close()
			return err
		}
		tc.conf.PreferredAddress, s.More = address, more
		log.Info("prefers", "v4", tc.conf.PreferredAddress.V4, "v6", tc.conf.PreferredAddress.V6)
	}
	log.Info("listening", "addr", sock.LocalAddr())
	if tc.forget {
		key := new([32]byte)
		rand.Read(key[:])
		return s.serveAndForget(ctx, sock, key)
	}
	return s.Serve(ctx, sock)
}

func runClient(ctx context.Context, e *Env, tc *testCase, keylog io.Writer, log *slog.Logger) error {
	cfg, err := clientTLS(e)
	if err != nil {
		return err
	}
	if tc.http3 {
		cfg.NextProtos = []string{H3}
	}
	cfg.KeyLogWriter = keylog
	tc.conf.IgnoreUnreachable = true // runners start both ends at once
	c := Client{TLS: cfg, Conf: &tc.conf, Downloads: e.Downloads, PerURL: tc.connPerURL, Log: log}
	if tc.updateKeys {
		c.OnConn = func(conn *quic.Conn) { conn.UpdateKeys() }
	}
	switch {
	case tc.justNegotiate:
		return c.wantRefusal(ctx, e.Requests)
	case tc.resume:
		return c.fetchAgain(ctx, e.Requests, tc.early)
	case tc.forget:
		return c.fetchAcrossReset(ctx, e.Requests)
	}
	return c.Fetch(ctx, e.Requests)
}

// wantRefusal dials in a version that no server knows; whatever the URL names is not asked for.
func (c *Client) wantRefusal(ctx context.Context, urls []string) error {
	if len(urls) == 0 {
		return errors.New("no URL: want one that names the server")
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return err
	}
	t, _, err := c.connect(ctx, u)
	if t != nil {
		defer t.Close()
	}
	refused, ok := errors.AsType[*quic.VersionNegotiationError](err)
	if !ok {
		return fmt.Errorf("version negotiation: got %v, want a Version Negotiation packet", err)
	}
	c.Log.Info("version negotiated", "server", fmt.Sprint(refused.Theirs))
	return nil
}

// clientTLS trusts the run's certificate authority; without one it trusts
// anybody, as the contract allows.
func clientTLS(e *Env) (*tls.Config, error) {
	cfg := &tls.Config{NextProtos: []string{ALPN, H3}, MinVersion: tls.VersionTLS13} // what the server prefers of them
	pem, err := os.ReadFile(e.cert("ca.pem"))
	if errors.Is(err, os.ErrNotExist) {
		cfg.InsecureSkipVerify = true
		return cfg, nil
	}
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", e.cert("ca.pem"))
	}
	// The certificate names hosts, not addresses: where a URL has an address,
	// the name that all servers have is the one to check.
	if len(e.Requests) > 0 {
		if host, _, err := net.SplitHostPort(hostOf(e.Requests[0])); err == nil && net.ParseIP(host) != nil {
			cfg.ServerName = "server"
		}
	}
	return cfg, nil
}
