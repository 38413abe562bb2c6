// Peers makes foreign programs ready that need more than the Go command: the
// Debian tree with ngtcp2's HTTP/3 client and server.
//
//	go run ./tool/peers [-mirror URL]
//
// It needs root and debootstrap, takes about a minute once, and keeps the tree
// in the user's cache directory, where 'quiver interop run' finds it: then the
// implementation ngtcp2 is registered. Without -mirror it takes the mirror that
// this machine's apt uses.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/seed51309289/quiver/peers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	mirror := flags.String("mirror", "", "mirror of Debian (default that of this machine's apt)")
	if flags.Parse(args) != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "peers: error: argument %q: want options only\n", flags.Arg(0))
		return 2
	}
	root, err := peers.BuildNGTCP2(ctx, *mirror, "", stderr)
	if err != nil {
		fmt.Fprintf(stderr, "peers: error: %v\n", err)
		return 1
	}
	fmt.Fprintln(stdout, root)
	return 0
}
