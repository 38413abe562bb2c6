// Command quicgo is an hq-interop endpoint on the quic-go library, for places where the addresses and directories of that project's own
// interop programs do not exist.
//
//	quicgo server -listen ADDR -certs DIR -www DIR
//	quicgo client -downloads DIR URL...
//
// TESTCASE says what to do; status 127 means that it is not supported. SSLKEYLOGFILE and QLOGDIR are honoured.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
)

const alpn = "hq-interop"

var errUsage = errors.New("usage: quicgo server -listen ADDR -certs DIR -www DIR | quicgo client -downloads DIR URL...")

func main() {
	err := run(os.Args[1:], os.Getenv("TESTCASE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "quicgo: error:", err)
	}
	switch {
	case err == nil:
	case errors.Is(err, errors.ErrUnsupported):
		os.Exit(127)
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		os.Exit(1)
	}
}

func run(args []string, testcase string) error {
	if len(args) == 0 {
		return errUsage
	}
	// The library offers no way to choose the cipher suite or to update keys, so these cases are not here.
	switch testcase {
	case "handshake", "transfer", "longrtt", "multiplexing", "ipv6", "retry":
	default:
		return fmt.Errorf("test case %q: %w", testcase, errors.ErrUnsupported)
	}
	keys, err := keyLog()
	if err != nil {
		return err
	}
	switch args[0] {
	case "server":
		return serve(args[1:], testcase == "retry", keys)
	case "client":
		return fetch(args[1:], keys)
	}
	return errUsage
}

// keyLog returns where to write secrets, or nil.
func keyLog() (io.Writer, error) {
	path := os.Getenv("SSLKEYLOGFILE")
	if path == "" {
		return nil, nil
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

func config() *quic.Config {
	return &quic.Config{Tracer: qlog.DefaultConnectionTracer}
}
