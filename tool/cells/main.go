// Cells counts the verdicts of interop runs in which one implementation takes
// part, as client or as server:
//
//	go run ./tool/cells [-of quiver] [-known FILE] RESULT.json...
//
// It names every cell that failed or was not run, and ends with a line such as
// "30 passed, 0 failed, 5 unsupported". FILE lists failures that are the peer's,
// a line each: test, client, server, and why. They are named and not counted,
// and may pass all the same. The exit status is 0 when none failed and some
// passed, 1 otherwise, 2 for a command line or a file that cannot be understood.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("cells", flag.ContinueOnError)
	flags.SetOutput(stderr)
	of := flags.String("of", "quiver", "the implementation")
	knownFile := flags.String("known", "", "the file of failures that are the peer's")
	if flags.Parse(args) != nil {
		return 2
	}
	if flags.NArg() == 0 {
		fmt.Fprintln(stderr, "cells: error: no file, want result.json of one or more runs")
		return 2
	}
	known, err := readKnown(*knownFile)
	if err != nil {
		fmt.Fprintf(stderr, "cells: error: %v\n", err)
		return 2
	}
	var sum tally
	for _, path := range flags.Args() {
		r, err := read(path)
		if err != nil {
			fmt.Fprintf(stderr, "cells: error: %v\n", err)
			return 2
		}
		r.count(*of, path, known, &sum, stdout)
	}
	fmt.Fprintf(stdout, "%d passed, %d failed, %d unsupported\n", sum.passed, sum.failed, sum.unsupported)
	if sum.failed > 0 || sum.passed == 0 {
		return 1
	}
	return 0
}

// result is what we read of result.json.
type result struct {
	Servers      []string `json:"servers"`
	Clients      []string `json:"clients"`
	Results      [][]cell `json:"results"`      // by client, then by server
	Measurements [][]cell `json:"measurements"` // likewise; only those that were run
}

type cell struct {
	Name   string  `json:"name"`
	Result *string `json:"result"` // nil = not run
	Reason string  `json:"reason"`
	Log    string  `json:"log"`
}

type tally struct{ passed, failed, unsupported int }

func read(path string) (*result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if got, want := len(r.Results), len(r.Servers)*len(r.Clients); got != want {
		return nil, fmt.Errorf("%s: %d pairs, want %d: every client with every server", path, got, want)
	}
	return &r, nil
}

// count adds the cells of one run to sum and names those that did not pass.
func (r *result) count(of, path string, known map[place]string, sum *tally, out io.Writer) {
	for i, pair := range r.Results {
		client, server := r.Clients[i/len(r.Servers)], r.Servers[i%len(r.Servers)]
		if client != of && server != of {
			continue
		}
		if i < len(r.Measurements) {
			pair = append(pair[:len(pair):len(pair)], r.Measurements[i]...)
		}
		for _, c := range pair {
			why, isKnown := known[place{c.Name, client, server}]
			switch {
			case c.Result != nil && *c.Result == "succeeded":
				sum.passed++
			case c.Result != nil && *c.Result == "unsupported":
				sum.unsupported++
			case c.Result != nil && isKnown:
				fmt.Fprintf(out, "%s: %s, client %s, server %s: known: %s\n", path, c.Name, client, server, why)
			default:
				sum.failed++
				fmt.Fprintf(out, "%s: %s, client %s, server %s: %s\n", path, c.Name, client, server, c.why())
			}
		}
	}
}

// A place is a cell of the matrix.
type place struct{ test, client, server string }

// readKnown reads the file of known failures; "" is none.
func readKnown(path string) (map[place]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	known := map[place]string{}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 4 {
			return nil, fmt.Errorf("%s: %q, want test, client, server and why", path, strings.TrimSpace(line))
		}
		known[place{words[0], words[1], words[2]}] = strings.Join(words[3:], " ")
	}
	return known, nil
}

func (c *cell) why() string {
	switch {
	case c.Result == nil && c.Reason == "":
		return "not run"
	case c.Result == nil:
		return "not run: " + c.Reason
	}
	return *c.Result + ": " + c.Reason
}
