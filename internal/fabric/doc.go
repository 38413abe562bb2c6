// Package fabric makes network namespaces in which every address that the host
// can reach is local, and nothing gets out. A program's TCP sockets live there:
// what it connects to is held, before anything answers, until we join it to a
// socket of ours at the address that it wanted; what comes from elsewhere is
// connected to its listeners from the address where it came from. To the
// program, and to the kernel, these are TCP connections like all others.
package fabric
