package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"ngtcp2"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), args, &out, &errs); status != 2 || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("run(%q) = %d with %q and %q on stderr, want 2 with an explanation", args, status, &out, &errs)
		}
	}
}

func TestFailureSaysWhy(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir()) // without debootstrap and apt-get
	var out, errs bytes.Buffer
	if status := run(t.Context(), nil, &out, &errs); status != 1 || !strings.HasPrefix(errs.String(), "peers: error: ") {
		t.Errorf("run without any tool = %d with %q on stderr, want 1 with the reason", status, &errs)
	}
}
