//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "sockets: running programs over QUIC needs Linux")
	os.Exit(1)
}
