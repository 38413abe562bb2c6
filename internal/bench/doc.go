// Package bench measures Quiver against other stacks on loopback: server and
// client are processes of their own, the stacks take turns in every round, and
// what is compared is the CPU time of both processes, as a ratio within a
// round. Wall-clock figures of a shared machine mean little; ratios hold.
//
// The protocol is that of draft-banks-quic-performance (ALPN "perf"): the
// client sends the wanted length as 8 bytes on a bidirectional stream, the
// server answers with as many bytes.
package bench
