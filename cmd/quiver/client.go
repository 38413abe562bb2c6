package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/interop/endpoint"
	"github.com/seed51309289/quiver/quic"
	"github.com/spf13/cobra"
)

// badCertificate is the error code of a certificate that is not trusted: CRYPTO_ERROR with the alert bad_certificate.
const badCertificate = 0x12a // RFC 9001 §4.8

// clientOptions are the flags of client as given.
type clientOptions struct {
	transportOptions
	output, http, ca string
	parallel         int
	insecure, stats  bool
}

func newClient() *cobra.Command {
	var o clientOptions
	cmd := &cobra.Command{
		Use:   "client URL...",
		Short: "Fetch files over QUIC",
		Long: `Fetch files by HTTP/0.9 over QUIC (ALPN hq-interop) and save each under the path of its URL
in the output directory. URLs of one host share a connection.

The server's certificate must be one that this machine trusts, or that --ca vouches for.`,
		Example: `  quiver client --insecure https://localhost:4433/big.bin
  quiver client --ca ca.pem -o downloads --stats https://server4:443/a https://server4:443/b`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("no URL, want https://HOST[:PORT]/FILE"))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", ".", "`DIR` to save to")
	f.StringVar(&o.http, "http", "0.9", "HTTP `VERSION`: 0.9 (3 is not there yet)")
	f.IntVar(&o.parallel, "parallel", 0, "fetch at most `N` files at once (default as many as the server allows)")
	f.BoolVar(&o.insecure, "insecure", false, "accept any certificate")
	f.StringVar(&o.ca, "ca", "", "trust the certificate authorities in PEM `FILE` instead of the machine's")
	f.BoolVar(&o.stats, "stats", false, "print what each connection measured")
	o.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return fetch(cmd, &o, args) }
	return cmd
}

func fetch(cmd *cobra.Command, o *clientOptions, urls []string) error {
	conf, config, err := o.check()
	if err != nil {
		return usage(cmd, err)
	}
	keylog, err := o.openKeyLog()
	if err != nil {
		return err
	}
	if keylog != nil {
		defer keylog.Close()
		config.KeyLogWriter = keylog
	}
	talk := cmd.ErrOrStderr()
	m := &meter{start: time.Now()}
	stop := m.show(talk)
	c := endpoint.Client{
		TLS: config, Conf: conf, Downloads: o.output, Parallel: o.parallel, Log: o.logger(talk), Started: m.file, OnConn: m.conn,
	}
	err = c.Fetch(cmd.Context(), urls)
	stop()
	if len(m.conns) > 0 {
		m.summary(talk, o.stats)
	}
	if errors.Is(err, context.Canceled) {
		return &status{exitFailed, errors.New("interrupted"), ""}
	}
	if e, ok := errors.AsType[*quic.TransportError](err); ok && e.Code == badCertificate {
		return &status{exitFailed, err, "--ca FILE names whom to trust, --insecure trusts anybody"}
	}
	return err
}

// check turns the flags into configurations; its error is the user's.
func (o *clientOptions) check() (*quic.Config, *tls.Config, error) {
	conf, err := o.config()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case o.http == "3":
		return nil, nil, errors.New("HTTP/3 is not there yet, want --http 0.9")
	case o.http != "0.9":
		return nil, nil, fmt.Errorf("--http %q, want 0.9", o.http)
	case o.insecure && o.ca != "":
		return nil, nil, errors.New("--insecure trusts anybody, so --ca says nothing; want one of them")
	}
	config := &tls.Config{NextProtos: []string{endpoint.ALPN}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: o.insecure}
	if o.ca == "" {
		return conf, config, nil
	}
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("--ca %s: no certificate in it", o.ca)
	}
	return conf, config, nil
}

// A meter counts what arrives. It is safe for concurrent use.
type meter struct {
	start time.Time

	mu    sync.Mutex // guards all below
	files []*fileMeter
	conns []*quic.Conn
}

type fileMeter struct {
	name  string
	bytes atomic.Int64
}

func (f *fileMeter) Write(p []byte) (int, error) {
	f.bytes.Add(int64(len(p)))
	return len(p), nil
}

func (m *meter) file(u *url.URL) io.Writer {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &fileMeter{name: path.Base(u.Path)}
	m.files = append(m.files, f)
	return f
}

func (m *meter) conn(c *quic.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, c)
}

func (m *meter) total() (files int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.files {
		bytes += f.bytes.Load()
	}
	return len(m.files), bytes
}

// line is the progress so far; HTTP/0.9 does not say how much is to come.
func (m *meter) line() string {
	files, bytes := m.total()
	took := time.Since(m.start)
	plural := "s"
	if files == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d file%s, %s in %.2fs, %s", files, plural, formatBytes(bytes), took.Seconds(), formatRate(bytes, took))
}

// show keeps a progress line on a terminal until stop is called.
func (m *meter) show(w io.Writer) (stop func()) {
	if _, ok := terminal(w); !ok {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(w, "\r\x1b[K%s", m.line())
			case <-done:
				fmt.Fprint(w, "\r\x1b[K")
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// summary prints, once a connection was made, the rate and the round-trip time, and with stats what each connection measured.
func (m *meter) summary(w io.Writer, stats bool) {
	line := m.line()
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintf(w, "%s, RTT %v\n", line, m.conns[0].Stats().SmoothedRTT.Round(10*time.Microsecond))
	if !stats {
		return
	}
	for _, f := range m.files {
		fmt.Fprintf(w, "  %-30s %10s\n", f.name, formatBytes(f.bytes.Load()))
	}
	for _, c := range m.conns {
		s := c.Stats()
		fmt.Fprintf(w, "  %v: RTT %v (least %v), window %s, datagrams up to %d bytes, %s\n", c.RemoteAddr(),
			s.SmoothedRTT.Round(10*time.Microsecond), s.MinRTT.Round(10*time.Microsecond), formatBytes(int64(s.CongestionWindow)), s.MTU, s.Congestion)
	}
}

func formatBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1fGiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1fKiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%dB", n)
}

func formatRate(n int64, took time.Duration) string {
	rate := float64(n) * 8 / max(took.Seconds(), 1e-9)
	switch {
	case rate >= 1e9:
		return fmt.Sprintf("%.2fGbit/s", rate/1e9)
	case rate >= 1e6:
		return fmt.Sprintf("%.1fMbit/s", rate/1e6)
	}
	return fmt.Sprintf("%.1fkbit/s", rate/1e3)
}
