package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
)

// endedBy returns a context that ends with the first of these signals. Those that this process was started to ignore stay ignored, as under
// nohup and in the background of a script. The caller calls stop when the signals shall do again what they do by default.
func endedBy(ctx context.Context, signals ...os.Signal) (ended context.Context, stop context.CancelFunc) {
	signals = slices.DeleteFunc(signals, signal.Ignored)
	if len(signals) == 0 { // which would mean all
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, signals...)
}
