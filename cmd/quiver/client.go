package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"syscall"

	"github.com/seed51309289/quiver/interop/endpoint"
	"github.com/seed51309289/quiver/quic"
	"github.com/spf13/cobra"
)

// clientOptions are the flags of client as given.
type clientOptions struct {
	transportOptions
	out, ca, pin    string
	http            string // "", "3" or "0.9"
	parallel        int
	migrateAfter    string // a size; "" = never
	insecure, stats bool
	resumption
	extensions extensionOptions
}

func newClient() *cobra.Command {
	var o clientOptions
	cmd := &cobra.Command{
		Use:   "client URL...",
		Short: "Fetch files over QUIC",
		Long: `Fetch files over QUIC, those of one host over one connection, by HTTP/3 or, where the server
has no more, by HTTP/0.9 (hq-interop); --http chooses one. HTTP/0.9 has no sizes, so progress
is bytes and rate, without a percentage.

Files go to --output under the path that they have in the URL. A file gets its name when it
is whole, and then replaces an older one; a download that fails leaves the older one alone.
With '-o -' all files go to stdout, one after another.

The server's certificate is checked against the system's certificate authorities, unless
--ca, --pin or --insecure says otherwise.

With --resume FILE a second run resumes the session of the first one, without certificates,
and needs no proof of its address; with --0rtt as well, its requests travel with the first
datagrams. --stats says whether that happened.

Exit status: 0 all files are there, 1 some are not, 2 wrong usage.`,
		Example: `  quiver client --insecure https://localhost:4433/README.md
  quiver client -o out --ca ca.pem --stats https://example.org/a https://example.org/b
  quiver client -o - --insecure https://localhost:4433/archive.tar | tar t`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("no URL, want one or more such as https://localhost:4433/file"))
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, urls []string) error { return runClient(cmd, &o, urls) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.out, "output", "o", ".", "`DIR` for the files; - is stdout")
	f.IntVar(&o.parallel, "parallel", 0, "`N` files at once (default as many as the server allows)")
	f.StringVar(&o.migrateAfter, "migrate-after", "", "move to another socket of this host after `SIZE` bytes of files, such as 64K")
	f.StringVar(&o.http, "http", "", "speak HTTP of `VERSION` 3 or 0.9 (default whichever the server prefers)")
	f.BoolVar(&o.insecure, "insecure", false, "do not check the server's certificate: anybody could be answering")
	f.StringVar(&o.ca, "ca", "", "trust the certificate authorities in PEM `FILE` instead of the system's")
	f.StringVar(&o.pin, "pin", "", "trust the one certificate with this `SHA256`, its own or its key's, whatever names it has")
	f.StringVar(&o.resumption.file, "resume", "", "resume sessions from `FILE`, and keep new ones in it; it holds secrets and need not exist yet")
	f.BoolVar(&o.early, "0rtt", false, "ask in the first flight where the session allows it (with --resume); others could repeat the request")
	f.BoolVar(&o.stats, "stats", false, "say what each connection negotiated and measured")
	o.addFlags(cmd)
	o.extensions.addFlags(cmd)
	cmd.MarkFlagsMutuallyExclusive("insecure", "ca", "pin")
	return cmd
}

func runClient(cmd *cobra.Command, o *clientOptions, urls []string) error {
	conf, err := o.config()
	if err != nil {
		return usage(cmd, err)
	}
	cfg, err := o.tls()
	if err != nil {
		return usage(cmd, err)
	}
	if o.parallel < 0 {
		return usage(cmd, fmt.Errorf("--parallel %d, want 1 or more", o.parallel))
	}
	if o.early && o.resumption.file == "" {
		return usage(cmd, errEarlyAlone)
	}
	move, err := newMigration(o.migrateAfter)
	if err != nil {
		return usage(cmd, err)
	}
	keylog, err := o.openKeyLog()
	if err != nil {
		return err
	}
	defer keylog.Close()
	cfg.KeyLogWriter = keylog
	log := slog.New(slog.DiscardHandler) // a log and bars would draw over each other
	if o.debug {
		log = o.logger(cmd.ErrOrStderr())
	}
	if err := o.extensions.apply(cmd, conf, cmd.ErrOrStderr()); err != nil {
		return err
	}
	watch := newDownloads(cmd.ErrOrStderr(), !o.debug && o.extensions.packets == "")
	c := endpoint.Client{
		TLS: cfg, Conf: conf, Downloads: o.out, Parallel: o.parallel, Log: log,
		Started: watch.started, Finished: watch.finished, OnConn: watch.connected,
	}
	if o.out == "-" {
		c.To = cmd.OutOrStdout()
	}
	if move != nil {
		c.Started, c.OnConn = move.watch(cmd.Context(), c.Started, c.OnConn)
	}
	saveSessions, err := o.resumption.begin(&c)
	if err != nil {
		return err
	}
	err = c.Fetch(cmd.Context(), urls)
	err = errors.Join(err, saveSessions())
	watch.end()
	if move != nil {
		err = errors.Join(err, move.report(cmd.ErrOrStderr()))
	}
	if o.stats {
		watch.printStats(cmd.ErrOrStderr())
	}
	return clientError(cmd.Context(), err)
}

// tls returns how to trust the server. Every error is the user's.
func (o *clientOptions) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: o.insecure}
	switch o.http {
	case "":
		cfg.NextProtos = []string{endpoint.H3, endpoint.ALPN}
	case "3":
		cfg.NextProtos = []string{endpoint.H3}
	case "0.9":
		cfg.NextProtos = []string{endpoint.ALPN}
	default:
		return nil, fmt.Errorf("--http %q, want 3 or 0.9", o.http)
	}
	if o.pin != "" {
		return cfg, endpoint.TrustPin(cfg, o.pin)
	}
	if o.ca == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca %s: no certificate in it, want PEM", o.ca)
	}
	return cfg, nil
}

// TLS alerts as QUIC shows them: 0x100 and the alert (RFC 9001 §4.8).
const (
	alertBadCertificate = 0x100 + 42
	alertNoProtocol     = 0x100 + 120
)

// clientError adds the way out to what went wrong.
func clientError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return &status{code: exitFailed, err: errors.New("interrupted; what was not whole was removed")}
	}
	return &status{code: exitFailed, err: err, hint: clientHint(err)}
}

func clientHint(err error) string {
	var (
		closed  *quic.TransportError
		version *quic.VersionNegotiationError
		silent  *quic.HandshakeTimeoutError
		noWay   *quic.UnreachableError
		dial    *endpoint.DialError
	)
	switch {
	case errors.As(err, &closed) && closed.Code == alertBadCertificate && !closed.Remote:
		return "trust its authority with --ca FILE, this one certificate with --pin SHA256 (quiver server prints it), or anybody with --insecure"
	case errors.As(err, &closed) && closed.Code == alertNoProtocol:
		return "the server speaks neither HTTP/3 (h3) nor HTTP/0.9 (hq-interop), or not the one that --http asks for"
	case errors.As(err, &version):
		return "the server speaks other versions of QUIC than we do, or than --version allows"
	case errors.As(err, &noWay) && errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &dial):
		return "no server listens on UDP at " + dial.Host + "; one that listens on TCP at that port is another"
	case errors.As(err, &silent) && errors.As(err, &dial):
		return "nothing answered: is a QUIC server listening on UDP at " + dial.Host + ", and does UDP get through?"
	}
	return ""
}

// printStats says what each connection negotiated and measured.
func (d *downloads) printStats(w io.Writer) {
	for _, c := range slices.Clone(d.conns) {
		s, st := c.ConnectionState(), c.ConnectionStats()
		fmt.Fprintf(w, "%s: QUIC %v, %s, %s, %s%s; RTT %s, least %s; %s window %s; datagrams of %d bytes\n",
			c.RemoteAddr(), s.Version, s.TLS.NegotiatedProtocol, tls.CipherSuiteName(s.TLS.CipherSuite), s.TLS.CurveID, resumedText(&s),
			durationText(st.SmoothedRTT), durationText(st.MinRTT), st.Congestion, sizeText(int64(st.CongestionWindow)), st.MTU)
		fmt.Fprintf(w, "  sent     %d packets, %s; %d lost, %d of them came after all; %s sent again; %d probe timeouts\n",
			st.PacketsSent, sizeText(int64(st.BytesSent)), st.PacketsLost, st.PacketsSpurious, sizeText(int64(st.BytesResent)), st.ProbeTimeouts)
		fmt.Fprintf(w, "  received %d packets, %s; %d dropped; %d streams; ECN %s, %d marked CE\n",
			st.PacketsReceived, sizeText(int64(st.BytesReceived)), st.PacketsDropped, st.StreamsOpened+st.StreamsAccepted, st.ECN, st.ReceivedCE)
		printExtensions(w, st.Extensions)
	}
}
