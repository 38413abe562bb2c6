package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/seed51309289/quiver/quic"
	"github.com/spf13/cobra"
)

// transportOptions are the flags that server and client share.
type transportOptions struct {
	keylog, qlog, congestion string
	debug                    bool
}

func (o *transportOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.keylog, "keylog", os.Getenv("SSLKEYLOGFILE"), "append TLS secrets to `FILE` (default $SSLKEYLOGFILE)")
	f.StringVar(&o.qlog, "qlog", os.Getenv("QLOGDIR"), "write a qlog per connection into `DIR` (default $QLOGDIR)")
	f.StringVar(&o.congestion, "cc", "cubic", "congestion control: `NAME` cubic or newreno")
	f.BoolVarP(&o.debug, "debug", "d", false, "say more on stderr")
	for _, name := range []string{"keylog", "qlog"} {
		f.Lookup(name).DefValue = "" // the help names the variable, not its value here and now
	}
}

// config returns the transport's configuration; its error is the user's.
func (o *transportOptions) config() (*quic.Config, error) {
	c := &quic.Config{QLogDir: o.qlog, Congestion: o.congestion}
	return c, c.Validate()
}

// openKeyLog returns where TLS secrets go: nil for nowhere.
func (o *transportOptions) openKeyLog() (io.WriteCloser, error) {
	if o.keylog == "" {
		return nil, nil
	}
	return os.OpenFile(o.keylog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

func (o *transportOptions) logger(w io.Writer) *slog.Logger {
	level := slog.LevelWarn
	if o.debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
