package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets/gateway"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// gatewayOptions are the flags of gateway as given.
type gatewayOptions struct {
	sides                              []side
	allowTo, acceptProxyFrom, speakFor []string
	proxyUsers, cc, qlog               string
	proxyProtocol                      bool
	drain                              time.Duration
	verbose                            int
	identity                           identityOptions
}

// side is one --in, --out or --socks5. Their order says what belongs together.
type side struct{ flag, value string }

// sideFlag is one of these flags.
type sideFlag struct {
	name  string
	sides *[]side
}

var _ pflag.Value = (*sideFlag)(nil)

func (f *sideFlag) Set(s string) error {
	*f.sides = append(*f.sides, side{f.name, s})
	return nil
}

// String is the default, which is none.
func (f *sideFlag) String() string { return "" }

// Type is what help shows where the text of the flag names no value.
func (f *sideFlag) Type() string { return "address" }

func newGateway() *cobra.Command {
	var o gatewayOptions
	cmd := &cobra.Command{
		Use:   "gateway --in ADDRESS --out ADDRESS…",
		Short: "Carry plain TCP connections over QUIC, and back",
		Long: `Carry TCP connections over QUIC for machines and programs that 'quiver run' cannot be used
with: nothing but sockets is needed, on any system. What comes in by --in goes out by the
--out that follows it. One of the two is QUIC, in the protocol of 'quiver run', so that the
far end may be a run or another gateway.

  --in  tcp://[HOST]:PORT            whoever connects there
  --in  quic://[HOST][:UDP][/PORT]   streams to UDP port UDP, 8277 by default, that are for
                                     TCP port PORT, by default the one of the --out
  --socks5 [HOST]:PORT               clients of a proxy, SOCKS 5 or HTTP CONNECT; without an
                                     --out behind it each goes to the host that it asks for

  --out quic://HOST[:UDP][/DEST:PORT][?identity=ID]
                                     the run or gateway at HOST, there to DEST:PORT; by
                                     default to HOST, and the port at which it came in
  --out tcp://HOST:PORT              that address, whatever address the stream is for
  --out tcp://                       where the stream is for, if --allow-to has it

Nothing is an open relay by accident: --out tcp:// connects only to what --allow-to names,
to addresses of this machine (loopback, link-local) only if they are named as such; and a
proxy that is not on loopback needs --proxy-users. Who may send streams is --allow.

A target sees the address of the gateway. With --proxy-protocol it is told the client's by a
PROXY header, version 2: the address that the QUIC connection comes from, or what the far
end says if --speak-for has it, as it should with a gateway that one trusts.

When it is told to end, by SIGINT, SIGTERM or SIGHUP, a gateway takes no more connections
and lets those that there are go on for --drain. 'quiver ps' and 'quiver status' show it.`,
		Example: `  quiver gateway --in quic:// --out tcp://127.0.0.1:8000            before a server: UDP 8277
  quiver gateway --in tcp://127.0.0.1:8000 --out quic://server.example       its client's side
  quiver gateway --in tcp://:5432 --out 'quic://gw.example/10.0.0.7:5432?identity=gw.example' --ca ca.pem
  quiver gateway --in quic:// --out tcp:// --allow-to 10.0.0.0/8:443,db.example:5432
  quiver gateway --socks5 127.0.0.1:1080 --out quic://gw.example
  curl -x socks5h://127.0.0.1:1080 https://10.0.0.7/`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(&sideFlag{"--in", &o.sides}, "in", "where connections come in, `ADDRESS`: tcp://… or quic://…")
	f.Var(&sideFlag{"--out", &o.sides}, "out", "where they go, `ADDRESS`: quic://… or tcp://…")
	f.Var(&sideFlag{"--socks5", &o.sides}, "socks5", "a proxy at `ADDRESS`, in place of --in; HTTP CONNECT as well")
	f.StringSliceVar(&o.allowTo, "allow-to", nil, "`DESTINATIONS` that --out tcp:// may connect to: host, address or CIDR, each with :ports or without")
	f.StringVar(&o.proxyUsers, "proxy-users", "", "who may use the proxy: lines of user:password in `FILE` (default everybody, on loopback)")
	f.BoolVar(&o.proxyProtocol, "proxy-protocol", false, "begin connections to --out tcp://… with a PROXY header that names the client")
	f.StringSliceVar(&o.acceptProxyFrom, "accept-proxy-from", nil, "`NETWORKS` from where connections to --in tcp://… begin with such a header, and must")
	f.StringSliceVar(&o.speakFor, "speak-for", nil, "`PEERS` whose word on the client's address --proxy-protocol passes on: sha256:…, a name, spiffe://…")
	f.DurationVar(&o.drain, "drain", 30*time.Second, "how long connections may go on at the end, `TIME`")
	o.identity.addFlags(cmd)
	f.StringVar(&o.cc, "cc", sharedController, "congestion `CONTROLLER`: "+strings.Join(congestionControllers, ", "))
	f.StringVar(&o.qlog, "qlog", "", "write a qlog for each QUIC connection to `DIR` (default $QLOGDIR, or none)")
	f.CountVarP(&o.verbose, "verbose", "v", "say what is refused; twice: what is carried")
	return cmd
}

// run runs the gateway until it is told to end.
func (o *gatewayOptions) run(cmd *cobra.Command) error {
	log := newTalk(cmd.ErrOrStderr(), []slog.Level{slog.LevelWarn, slog.LevelInfo, slog.LevelDebug}[min(o.verbose, 2)])
	conf, err := o.config(log)
	if err != nil {
		return usage(cmd, err)
	}
	ctx, stop := endedBy(cmd.Context(), syscall.SIGHUP)
	defer stop()
	g, err := gateway.Open(ctx, conf)
	if wrong, ok := errors.AsType[*gateway.ConfigError](err); ok {
		return usage(cmd, wrong)
	}
	if err != nil {
		return &status{exitFailed, err, hintOfGateway(err)}
	}
	sayWays(cmd.ErrOrStderr(), g)
	return g.Run(ctx)
}

// sayWays tells where the gateway can be reached, and how it is known.
func sayWays(w io.Writer, g *gateway.Gateway) {
	for _, way := range g.Ways() {
		fmt.Fprintf(w, "quiver: %s at %s %s\n", way.Pair, way.At.Network(), way.At)
	}
	fmt.Fprintf(w, "quiver: the key of this gateway is %s\n", g.Pin().Tagged())
}

// hintOfGateway says how to go on when a gateway does not start.
func hintOfGateway(err error) string {
	if hint := identity.Hint(err); hint != "" {
		return hint
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return "'quiver ps' shows whether a run or another gateway has the port; choose another one"
	}
	return ""
}

// config turns the flags into what the gateway is to do. Every error is the user's.
func (o *gatewayOptions) config(log *slog.Logger) (gateway.Config, error) {
	conf := gateway.Config{
		AllowTo: o.allowTo, ProxyProtocol: o.proxyProtocol, SpeakFor: o.speakFor, Drain: o.drain,
		QUIC: &quic.Config{Congestion: o.cc, QLogDir: o.qlog}, Log: log, Command: os.Args,
	}
	if o.drain <= 0 {
		conf.Drain = -1
	}
	if err := conf.QUIC.Validate(); err != nil {
		return conf, fmt.Errorf("--cc: %w", err)
	}
	var err error
	if conf.Pairs, err = pairsOf(o.sides); err != nil {
		return conf, err
	}
	if conf.ProxyFrom, err = gateway.ParseProxyFrom(o.acceptProxyFrom); err != nil {
		return conf, err
	}
	if o.proxyUsers != "" {
		text, err := readSmall(o.proxyUsers)
		if err == nil {
			conf.Users, err = gateway.ParseUsers(o.proxyUsers, text)
		}
		if err != nil {
			return conf, fmt.Errorf("--proxy-users: %w", err)
		}
	}
	conf.Identity, err = o.identity.options(log)
	return conf, err
}

// readSmall reads a file that a person wrote, or the beginning of one that nobody did.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return string(b), err
}

// pairsOf joins each way in with the way out that follows it.
func pairsOf(sides []side) ([]gateway.Pair, error) {
	var pairs []gateway.Pair
	for i := 0; i < len(sides); i++ {
		in := sides[i]
		if in.flag == "--out" {
			return nil, fmt.Errorf("--out %s, want an --in before it", in.value)
		}
		out := "quic://"
		switch {
		case i+1 < len(sides) && sides[i+1].flag == "--out":
			i++
			out = sides[i].value
		case in.flag == "--in":
			return nil, fmt.Errorf("--in %s, want an --out behind it", in.value)
		}
		if in.flag == "--socks5" {
			in.value = "socks5://" + in.value
		}
		p, err := gateway.ParsePair(in.value, out)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}
