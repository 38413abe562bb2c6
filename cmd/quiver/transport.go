package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/seed51309289/quiver/quic"
	"github.com/spf13/cobra"
)

// transportOptions are the flags that server and client share.
type transportOptions struct {
	qlog, keylog, cc, version string
	debug                     bool
}

// congestionControllers are the names that --cc takes.
var congestionControllers = []string{"cubic", "newreno", "bbr"}

// sharedController is that of connections which carry those of whole hosts: it does not take each loss for a full queue, which would
// leave one such window to all of them.
const sharedController = "bbr"

// versionNames are the names that --version takes.
var versionNames = []string{quic.Version1.String(), quic.Version2.String()}

func (o *transportOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.qlog, "qlog", "", "write a qlog for each connection to `DIR` (default $QLOGDIR, or none)")
	f.StringVar(&o.keylog, "keylog", "", "append TLS secrets to `FILE`, for decrypting traces (default $SSLKEYLOGFILE, or none)")
	f.StringVar(&o.cc, "cc", "cubic", "congestion `CONTROLLER`: "+strings.Join(congestionControllers, ", "))
	f.StringVar(&o.version, "version", "", "speak this `VERSION` of QUIC only: "+strings.Join(versionNames, ", ")+" (default each, beginning in v1)")
	f.BoolVarP(&o.debug, "debug", "d", false, "say more on stderr")
}

func (o *transportOptions) config() (*quic.Config, error) {
	conf := &quic.Config{Congestion: o.cc, QLogDir: o.qlog}
	switch o.version {
	case "":
	case versionNames[0]:
		conf.Versions = []quic.Version{quic.Version1}
	case versionNames[1]:
		conf.Versions = []quic.Version{quic.Version2}
	default:
		return nil, fmt.Errorf("--version %q, want %s", o.version, strings.Join(versionNames, " or "))
	}
	if err := conf.Validate(); err != nil {
		return nil, fmt.Errorf("--cc: %w", err)
	}
	return conf, nil
}

func (o *transportOptions) logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if o.debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// openKeyLog opens the file for TLS secrets; without one it returns a writer that forgets.
func (o *transportOptions) openKeyLog() (io.WriteCloser, error) {
	path := o.keylog
	if path == "" {
		path = os.Getenv("SSLKEYLOGFILE")
	}
	if path == "" {
		return nopCloser{io.Discard}, nil
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
