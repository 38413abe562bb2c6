// Package sockets runs programs that know only TCP so that their connections
// are streams of QUIC: quiver run.
//
// The program's sockets are real TCP sockets of the kernel, in a private
// network namespace, the fabric, in which every address is local and nothing
// answers by itself. What the program connects to is held there; the
// supervisor opens a stream to the far side (package tunnel) and joins both
// when that side has accepted. What comes from far away is connected to the
// program's listener from its real address. So names, options, readiness,
// half-closes and resets are the kernel's, not ours. How connections go, over
// QUIC, over plain TCP, or over whichever works, is the policy's (package
// policy); who the other end is, the identity's (package identity).
//
// The program is started with a filter of system calls (seccomp) that brings
// some calls to the supervisor: socket for what is to live in the other
// namespace, listen, and bind. No trapped call ever waits for the network.
//
// None of this is a sandbox: a program that means to can leave it.
package sockets
