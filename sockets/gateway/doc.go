// Package gateway carries plain TCP connections over the wire of docs/tcpq.md, and what comes over it to plain TCP, for machines and programs
// that have none of it themselves. What comes in on one side of a [Pair] goes out on the other:
//
//	tcp://ADDR     > quic://HOST    whoever connects to ADDR is a stream to HOST
//	socks5://ADDR  > quic://HOST    whoever asks the proxy at ADDR is one, to where it asks for
//	quic://:PORT   > tcp://ADDR     streams become connections to ADDR
//	quic://:PORT   > tcp://         or to where they ask for, as far as Config.AllowTo goes
//
// It needs nothing of the system but sockets. It is no open relay by accident: a pair without a destination of its own has a list of those that
// are allowed, and addresses of the gateway itself are not among them unless they are named as such. A proxy that is not on loopback has users.
package gateway
