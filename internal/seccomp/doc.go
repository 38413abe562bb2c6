// Package seccomp lets one process answer chosen system calls of another: it builds the filter, installs it, receives
// the notifications of the kernel and answers them, with an errno, a number, a descriptor, or "go on".
// Linux on amd64 and arm64, without cgo; elsewhere every call fails with errors.ErrUnsupported.
//
//	Filter     which calls: rules → a program for the kernel. Pure.
//	Install    on the calling thread, which every process it starts inherits; returns the Listener.
//	Serve      threads that receive, and call the handler, until no process with the filter is left.
//	Call       one notification: its arguments, the caller's memory and sockets, and exactly one answer.
//	Supported  what the kernel can do of this, found by trying.
//
// # What it is not
//
// It is no sandbox. Whoever wants to get past the filter can: memory may change between a look at it and the call
// (seccomp_unotify(2), NOTES), descriptors may come from elsewhere, and system calls of a foreign ABI are judged by
// fixed rules (see Filter.Assemble). It serves programs that do not know of it, not programs that fight it.
//
// # What must be known
//
// A handler answers at once and never waits for another process or for the network: the caller is deaf to signals
// meanwhile. A stopped or dead supervisor is told apart by the kernel: calls that wait for a stopped one wait on, calls
// to a dead one fail with ENOSYS.
//
// The thread that installed the filter has it for good. It must be thrown away, by ending a goroutine that is locked to
// it, and must not be the process's main thread, which the runtime never ends: use OnThread.
package seccomp
