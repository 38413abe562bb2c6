package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/seed51309289/quiver/quic"
	"github.com/seed51309289/quiver/sockets"
	"github.com/seed51309289/quiver/sockets/identity"
	"github.com/seed51309289/quiver/sockets/policy"
	"github.com/spf13/cobra"
)

// layerOptions are the flags of run as given.
type layerOptions struct {
	policyFile, fallback, ports, mode, cc, qlog string
	to, listen, proto                           []string
	udpPort                                     portFlag
	own, uring                                  bool
	standalone                                  bool
	verbose                                     int
	identity                                    identityOptions
}

// modeNames are the names that --mode takes.
var modeNames = []string{string(sockets.Auto), string(sockets.Inside), string(sockets.Outside)}

func newRun() *cobra.Command {
	var o layerOptions
	cmd := &cobra.Command{
		Use:   "run [FLAGS] -- COMMAND [ARGS…]",
		Short: "Run an unmodified program over QUIC",
		Long: `Run a program that knows only TCP so that its connections are streams of QUIC. The program
is not changed, and need not be written for it: C, Go, Python or Java, static or dynamic.
No root is needed where the kernel lets users make namespaces; 'quiver doctor' says.

Both ends need it, or a gateway ('quiver gateway') where a program cannot be run this way.
A connection to TCP port N of a host becomes a stream to UDP port 8277 of that host, where
the run of the program that listens takes it to that program. All connections between two
hosts share one QUIC connection, encrypted and authenticated: without --ca or --pin the key
of a host is remembered when it is first seen, as with ssh.

Without --to and --policy every connection goes over QUIC or fails, but for those to the
program's own listeners. With --to those that it names do, and all others go over TCP as
they would without. --fallback tcp goes over TCP where nobody answers to QUIC, and lets
those in who come over TCP. Nothing that is to go over QUIC ever leaves in the clear.

The exit status is the program's own, 128 and the number of the signal that ended it, 126
if it does not run and 127 if it is not there. Signals are handed on to it. If it leaves
processes behind, they are served until they end.

This is not a sandbox: a program that means to can open connections that nobody sees.`,
		Example: `  quiver run --listen 8000 -- python3 -m http.server 8000
  quiver run --to 10.0.0.7:8000 -- curl http://10.0.0.7:8000/
  quiver run --to 10.0.0.0/8 --fallback tcp -- psql -h 10.0.0.7
  quiver run --policy policy.conf -v -- nginx -g 'daemon off;'
  quiver run --proto 261=quic -- ./server          only socket(AF_INET, SOCK_STREAM, 261)`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("no command to run: want quiver run [FLAGS] -- COMMAND [ARGS…]"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.SetInterspersed(false)
	f.StringVar(&o.policyFile, "policy", "", "rules for every destination and listener, from `FILE`")
	f.StringSliceVar(&o.to, "to", nil, "`DESTINATIONS` over QUIC: host:port, host or CIDR; all others over TCP (default every one)")
	f.StringSliceVar(&o.listen, "listen", nil, "listening `PORTS` that are reached over QUIC: 8000, 9000-9010 or all (default all)")
	f.StringVar(&o.fallback, "fallback", "", "where QUIC does not work: `fail`, which is the default, or tcp")
	f.StringVar(&o.mode, "mode", "auto", "where the program lives: auto, `inside` the private namespace or outside of it")
	f.Var(&o.udpPort, "udp-port", "UDP `PORT` that all listeners share, here and at the far side (default 8277)")
	f.StringVar(&o.ports, "ports", "", "how TCP ports become UDP ports: `shared`, which is the default, or same (TCP N is UDP N)")
	f.StringSliceVar(&o.proto, "proto", nil, "take over only sockets of the protocol number `N=quic`, as in socket(AF_INET, SOCK_STREAM, N)")
	o.identity.addFlags(cmd)
	f.BoolVar(&o.own, "own-connections", false, "a QUIC connection for each TCP connection")
	f.StringVar(&o.cc, "cc", sharedController, "congestion `CONTROLLER`: "+strings.Join(congestionControllers, ", "))
	f.StringVar(&o.qlog, "qlog", "", "write a qlog for each QUIC connection to `DIR` (default $QLOGDIR, or none)")
	f.BoolVar(&o.uring, "allow-io-uring", false, "outside: let the program use io_uring, past which its sockets are not seen")
	f.BoolVar(&o.standalone, "standalone", true, "without a daemon: the only way so far")
	f.CountVarP(&o.verbose, "verbose", "v", "say what happens; twice: of every connection")
	f.Lookup("standalone").Hidden = true
	return cmd
}

// run runs the program and makes its exit status ours.
func (o *layerOptions) run(cmd *cobra.Command, args []string) error {
	c, err := o.config(cmd)
	if err != nil {
		return err
	}
	c.Command = args
	shareProcessors()
	code, err := sockets.Run(cmd.Context(), c)
	if start, ok := errors.AsType[*sockets.StartError](err); ok {
		return &status{start.ExitStatus(), err, ""}
	}
	if err != nil {
		return &status{exitFailed, err, hintOf(cmd.Context(), err, o.mode)}
	}
	if code != 0 {
		return &status{code: code}
	}
	return nil
}

// shareProcessors leaves half of the processors to the program: threads of ours that wait for work would take turns with its own.
// $GOMAXPROCS says otherwise.
func shareProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)/2, 1))
	}
}

// hintOf says what to do after a run could not begin. Where the error says so itself, that is it.
func hintOf(ctx context.Context, err error, mode string) string {
	if hint := identity.Hint(err); hint != "" {
		return hint
	}
	return hintOfDoctor(ctx, mode)
}

// config turns the flags into what is to be run.
func (o *layerOptions) config(cmd *cobra.Command) (*sockets.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &sockets.Config{
		Self:         append([]string{self}, os.Args[1:]...),
		UDPPortFixed: cmd.Flags().Changed("udp-port"), OnlyProtocols: len(o.proto) > 0,
		OwnConnections: o.own, AllowURing: o.uring, Congestion: o.cc, QLogDir: o.qlog,
		Log: o.logger(cmd.ErrOrStderr()),
	}
	if c.Mode, err = sockets.ParseMode(o.mode); err != nil {
		return nil, usage(cmd, fmt.Errorf("--mode: %w", err))
	}
	if err := (&quic.Config{Congestion: o.cc}).Validate(); err != nil {
		return nil, usage(cmd, fmt.Errorf("--cc: %w", err))
	}
	if c.Policy, err = o.policy(cmd); err != nil {
		return nil, usage(cmd, err)
	}
	if c.Identity, err = o.identity.options(c.Log); err != nil {
		return nil, usage(cmd, err)
	}
	return c, nil
}

// policy makes the rules of the flags. Defaults say nothing: a file may say other.
func (o *layerOptions) policy(cmd *cobra.Command) (*policy.Policy, error) {
	given := policy.Flags{
		Policy: o.policyFile, To: saidNothing(cmd, "to", o.to), Listen: saidNothing(cmd, "listen", o.listen), UDPPort: int(o.udpPort),
		Proto: saidNothing(cmd, "proto", o.proto),
	}
	if cmd.Flags().Changed("fallback") {
		given.Fallback = o.fallback
	}
	if cmd.Flags().Changed("ports") {
		given.Ports = o.ports
	}
	return policy.FromFlags(given)
}

// saidNothing is values, or of a flag that was given without any, as --to "", one that is empty: the package of flags has none for both.
func saidNothing(cmd *cobra.Command, flag string, values []string) []string {
	if cmd.Flags().Changed(flag) && len(values) == 0 {
		return []string{""}
	}
	return values
}

// logger says what the flags ask for: warnings, what happens, or all.
func (o *layerOptions) logger(w io.Writer) *slog.Logger {
	return newTalk(w, []slog.Level{slog.LevelWarn, slog.LevelInfo, slog.LevelDebug}[min(o.verbose, 2)])
}
