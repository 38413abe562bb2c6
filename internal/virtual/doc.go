// Package virtual runs connection machines against each other over netsim links on a virtual clock: a client's and a
// server's endpoint, each a Router with its connections, and the network between them. It starts no goroutine of its
// own, opens no socket and reads no clock; a run ends after a bounded number of steps.
//
// # What a seed replays
//
// A seed decides connection IDs, everything else that the core draws, and the fate of every packet: netsim draws for
// the n-th packet of a direction, so two runs with one seed lose the packets of the same numbers. The handshake is that
// of crypto/tls, which draws its keys and nonces from the operating system, so the bytes of two runs differ. Their
// lengths do not, as long as both sides use the certificate of [TLS], an Ed25519 one, whose signatures have one length:
// then the times, sizes and order of all packets are the same from run to run. With a certificate whose signatures vary
// in length, ECDSA for one, that holds only if the random source of the process is replaced, as quictest does.
package virtual
