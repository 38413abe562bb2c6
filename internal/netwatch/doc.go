// Package netwatch tells when this host reaches a peer from another address than
// before: because that address is gone, or because a better way came up. A QUIC
// connection then moves; see quic.Conn.Migrate.
//
// The kernel tells of every change of addresses, routes and links (Linux,
// rtnetlink(7)), and there are many that concern nobody here. So its messages are
// not interpreted: when they come to a rest, the kernel is asked which address it
// would use for each peer.
package netwatch
