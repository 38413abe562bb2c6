package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// put makes an executable file.
func put(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestPeersAreRegisteredWhereTheirProgramsAre(t *testing.T) {
	cache, bin := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("PATH", bin)
	names := func() string {
		r, err := loadRegistry(nil)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, i := range r.All() {
			list = append(list, i.Name)
		}
		return strings.Join(list, " ")
	}
	if got, want := names(), "quiver quic-go go-x-net"; got != want {
		t.Errorf("where nothing is found: %s, want %s", got, want)
	}
	put(t, filepath.Join(bin, "chromium"))
	put(t, filepath.Join(cache, "quiver", "peers", "debian-trixie-ngtcp2-"+runtime.GOARCH, "usr", "bin", "gtlsclient"))
	if got, want := names(), "quiver quic-go go-x-net ngtcp2 chromium"; got != want {
		t.Errorf("where both are found: %s, want %s", got, want)
	}
	r, err := loadRegistry(nil)
	if err != nil {
		t.Fatal(err)
	}
	if run := r.Lookup("chromium").Exec.Client.Run; run[2] != filepath.Join(bin, "chromium") {
		t.Errorf("chromium runs %q, want the program that was found", run)
	}
	if n := r.Lookup("ngtcp2"); !n.Plays("client") || !n.Plays("server") || len(n.Speaks) != 1 || n.Speaks[0] != "h3" {
		t.Errorf("ngtcp2 = %+v, want both roles and HTTP/3 alone", n)
	}
}
