// Command ngtcp2 starts gtlsclient and gtlsserver of a Debian tree as endpoints of the interop runner. They speak HTTP/3 only.
//
//	ngtcp2 server -root DIR -listen ADDR -certs DIR -www DIR -qlog DIR
//	ngtcp2 client -root DIR -downloads DIR -qlog DIR URL...
//
// TESTCASE says what to do; status 127 means that it is not supported. The programs honour SSLKEYLOGFILE themselves. They run with the
// libraries of their own tree, so that neither a change of root nor a privilege is needed.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

var errUsage = errors.New("usage: ngtcp2 server -root DIR -listen ADDR -certs DIR -www DIR -qlog DIR | ngtcp2 client -root DIR -downloads DIR -qlog DIR URL...")

func main() {
	err := run(os.Args[1:], os.Getenv("TESTCASE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "ngtcp2: error:", err)
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
	switch args[0] {
	case "server":
		return serve(args[1:], testcase)
	case "client":
		return fetch(args[1:], testcase)
	}
	return errUsage
}

// onlyChaCha is GnuTLS's own default but for the ciphers.
const onlyChaCha = "--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"

// quiet keeps the programs from printing every byte.
var quiet = []string{"-q", "--no-quic-dump", "--no-http-dump"}

// command returns program, which is below root, with the loader and the libraries of that tree.
func command(root, program string, args ...string) (*exec.Cmd, error) {
	loader, err := only(root, "usr/lib*/ld-linux*.so.*", "usr/lib/*/ld-linux*.so.*", "lib*/ld-linux*.so.*")
	if err != nil {
		return nil, err
	}
	libraries, err := only(root, "usr/lib/*-linux-gnu*")
	if err != nil {
		return nil, err
	}
	path, err := only(root, "usr/bin/"+program, "usr/sbin/"+program)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(loader, append([]string{"--library-path", libraries, path}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd, nil
}

// only returns the first file that one of the patterns finds below root.
func only(root string, patterns ...string) (string, error) {
	for _, p := range patterns {
		if found, _ := filepath.Glob(filepath.Join(root, p)); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("no %s below %s", patterns[0], root)
}
