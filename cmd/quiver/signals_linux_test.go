package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestASignalThatIsIgnoredEndsNothing(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	ctx, stop := endedBy(t.Context(), syscall.SIGHUP, syscall.SIGUSR1)
	defer stop()
	alone, stopAlone := endedBy(t.Context(), syscall.SIGHUP)
	defer stopAlone()
	syscall.Kill(os.Getpid(), syscall.SIGHUP) // comes before the next, if it comes: its number is lower
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("SIGUSR1 did not end the context")
	}
	if cause := context.Cause(ctx).Error(); !strings.Contains(cause, "user defined signal 1") {
		t.Errorf("ended by %q, want SIGUSR1", cause)
	}
	if alone.Err() != nil {
		t.Error("a context that only SIGHUP ends has ended")
	}
}
