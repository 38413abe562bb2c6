//go:build !linux

package perf

func residentBytes() uint64 { return 0 }
