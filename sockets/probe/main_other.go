//go:build !linux

package main

import (
	"fmt"
	"io"
)

func run(_ []string, _ io.Reader, _, stderr io.Writer) int {
	fmt.Fprintln(stderr, "probe: error: the questions are about Linux")
	return 1
}
