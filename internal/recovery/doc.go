// Package recovery is the part of a connection that knows what arrived: it tracks sent and received packets, measures round trips, finds
// losses, says when to acknowledge and when to probe, and decides how much may be in flight, how fast it leaves and how large datagrams
// may be (RFC 9002, and RFC 9000 §13 and §14).
//
// A Detector serves a connection, a Path each of its network paths, a Received each packet number space. The package is pure: time is
// an argument, nothing is started, nothing blocks. In steady state no call allocates.
//
// # Limitations
//
// A packet declared lost that is acknowledged later is not recognised: the reduction of the window is not undone.
package recovery
