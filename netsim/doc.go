// Package netsim is a seeded network in user space: one link between a left side (the client) and a
// right side (the server), with delay, bandwidth, a queue, loss, corruption, duplication, reordering,
// MTU, CE marking, blackouts and NAT rebinding.
//
// The model is pure. A [Sim] is a function of a [Scenario], a seed and the packets given to it: it owns
// no goroutine, clock or socket. Around it stand three shells:
//
//   - [RunVeth] relays between two network interfaces in real time (Linux, packet sockets);
//   - [RunUDP] relays between two UDP sockets in real time, for machines without namespaces;
//   - [Network] gives in-memory net.PacketConn values, for tests in testing/synctest bubbles.
//
// Every random choice is a function of (seed, direction, purpose, number of the packet), so the same seed
// gives the same drop pattern even when the timing of two runs differs.
//
// # Limitations
//
// The NAT of scenario rebind translates UDP only; ICMP errors that quote a translated packet are not rewritten.
// The relays generate no ICMP (time exceeded, packet too big): a packet that cannot pass is dropped and noted.
package netsim
