// Quiver is a QUIC toolkit. See quiver help.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/seed51309289/quiver/interop/backend"
	"github.com/seed51309289/quiver/sockets/doctor"
)

func main() {
	backend.Main() // does not return in the processes that a sandbox is made of
	doctor.Main()  // nor does this in those in which something is tried
	os.Exit(runWithSignals())
}

// runWithSignals runs the command line; the first interrupt ends the context, the second ends the process.
func runWithSignals() int {
	ctx, stop := endedBy(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// run executes one command line and returns the exit status: 0 done, 1 failed, 2 wrong usage, 127 test case unsupported.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	s := statusOf(err)
	if s.err != nil {
		fmt.Fprintf(stderr, "quiver: error: %v\n", s.err)
	}
	if s.hint != "" {
		fmt.Fprintf(stderr, "quiver: hint: %s\n", s.hint)
	}
	return s.code
}
