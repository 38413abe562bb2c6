package main

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/seed51309289/quiver/interop/backend"
	"github.com/seed51309289/quiver/sockets/doctor"
)

func TestMain(m *testing.M) {
	backend.Main()
	doctor.Main()
	if os.Getenv(asCommand) != "" {
		os.Exit(runWithSignals())
	}
	testscript.Main(m, map[string]func(){
		"quiver":  func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"publish": func() { os.Exit(publishMain()) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true})
}
