package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// A plan is what a client does: connections one after another, each with options and URLs of its own.
type plan []step

type step struct {
	options []string
	urls    []string
}

// clientPlans are what each test case asks of a client. Directory is one for files that it keeps between its connections.
var clientPlans = map[string]func(urls []string, directory string) plan{
	"handshake":    once(),
	"transfer":     once(),
	"retry":        once(),
	"http3":        once(),
	"ecn":          once(),
	"chacha20":     once(onlyChaCha),
	"keyupdate":    once("--key-update=100ms"),
	"v2":           once("--available-versions=v2,v1", "--preferred-versions=v2,v1"),
	"v2-keyupdate": once("--available-versions=v2,v1", "--preferred-versions=v2,v1", "--key-update=100ms"),
	"multiconnect": func(urls []string, _ string) (p plan) {
		for _, u := range urls {
			p = append(p, step{urls: []string{u}})
		}
		return p
	},
	"resumption": func(urls []string, directory string) plan { return resume(urls, directory, "--disable-early-data") },
	"zerortt":    func(urls []string, directory string) plan { return resume(urls, directory, "--no-pmtud") },
}

func once(options ...string) func([]string, string) plan {
	return func(urls []string, _ string) plan { return plan{{options, urls}} }
}

// resume fetches the first file, waits for a ticket, and fetches the others in a second connection.
func resume(urls []string, directory string, second ...string) plan {
	keep := []string{"--session-file=" + filepath.Join(directory, "session"), "--tp-file=" + filepath.Join(directory, "tp")}
	return plan{
		{append(keep[:2:2], "--wait-for-ticket", "--no-pmtud"), urls[:1]},
		{append(keep[:2:2], second...), urls[1:]},
	}
}

func fetch(args []string, testcase string) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	root := flags.String("root", "", "Debian tree")
	downloads := flags.String("downloads", "/downloads", "directory to save to")
	qlog := flags.String("qlog", "/logs/qlog/", "directory for qlogs")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	plan, ok := clientPlans[testcase]
	if !ok {
		return fmt.Errorf("test case %q: %w", testcase, errors.ErrUnsupported)
	}
	if flags.NArg() == 0 {
		return errUsage
	}
	directory, err := os.MkdirTemp("", "ngtcp2-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	for _, s := range plan(flags.Args(), directory) {
		if err := s.run(*root, *downloads, *qlog); err != nil {
			return err
		}
	}
	return missing(flags.Args(), *downloads)
}

// run makes one connection.
func (s *step) run(root, downloads, qlog string) error {
	if len(s.urls) == 0 {
		return nil
	}
	u, err := url.Parse(s.urls[0])
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	args := append(append([]string{}, quiet...), "--download="+downloads, "--qlog-dir="+qlog, "--exit-on-all-streams-close", "--timeout=60s",
		"--handshake-timeout=60s")
	args = append(append(args, s.options...), u.Hostname(), port)
	cmd, err := command(root, "gtlsclient", append(args, s.urls...)...)
	if err != nil {
		return err
	}
	return cmd.Run()
}

// missing names a file that did not arrive: the program's own exit status is 0 even when there was no connection.
func missing(urls []string, downloads string) error {
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(downloads, filepath.Base(u.Path))); err != nil {
			return err
		}
	}
	return nil
}
