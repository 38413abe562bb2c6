package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// serverOptions are the options of gtlsserver for each test case.
var serverOptions = map[string]func() ([]string, error){
	"handshake":          none,
	"transfer":           none,
	"multiconnect":       none,
	"resumption":         none,
	"zerortt":            none,
	"http3":              none,
	"ecn":                none,
	"versionnegotiation": none,
	"chacha20":           always(onlyChaCha),
	"retry":              always("-V"),
	"v2":                 always("--preferred-versions=v2,v1", "--available-versions=v2,v1"),
	"v2-keyupdate":       always("--preferred-versions=v2,v1", "--available-versions=v2,v1"),
	"connectionmigration": func() ([]string, error) {
		v4, err := ownAddress("server4", "4443")
		if err != nil {
			return nil, err
		}
		v6, err := ownAddress("server6", "4443")
		return []string{"--preferred-ipv4-addr=" + v4, "--preferred-ipv6-addr=" + v6}, err
	},
}

func none() ([]string, error) { return nil, nil }

func always(options ...string) func() ([]string, error) {
	return func() ([]string, error) { return options, nil }
}

// ownAddress returns the address that name stands for, with another port than the one that clients know.
func ownAddress(name, port string) (string, error) {
	addrs, err := net.LookupHost(name)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(addrs[0], port), nil
}

// serve becomes the server.
func serve(args []string, testcase string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	root := flags.String("root", "", "Debian tree")
	listen := flags.String("listen", ":443", "address to listen on")
	certs := flags.String("certs", "/certs", "directory of cert.pem and priv.key")
	www := flags.String("www", "/www", "directory of the files to serve")
	qlog := flags.String("qlog", "/logs/qlog/", "directory for qlogs")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	find, ok := serverOptions[testcase]
	if !ok {
		return fmt.Errorf("test case %q: %w", testcase, errors.ErrUnsupported)
	}
	options, err := find()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(*listen)
	if err != nil {
		return err
	}
	if host == "" {
		host = "*"
	}
	all := append(append([]string{}, quiet...), "--htdocs="+*www, "--qlog-dir="+*qlog, "--timeout=60s")
	all = append(append(all, options...), host, port, filepath.Join(*certs, "priv.key"), filepath.Join(*certs, "cert.pem"))
	cmd, err := command(*root, "gtlsserver", all...)
	if err != nil {
		return err
	}
	return syscall.Exec(cmd.Path, cmd.Args, os.Environ())
}
