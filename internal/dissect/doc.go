// Package dissect turns a packet capture and a TLS key log into an index of
// what QUIC endpoints said to each other: datagrams, packets, frames,
// connections and TLS handshake messages.
//
// It goes over a trace once. A packet whose keys are not known yet waits for
// them, and what no key opens stays in the index with a note that says why.
// Everything a trace can make grow has a named limit, and no bytes make it
// panic.
//
// # Limitations
//
// IP fragments are skipped (QUIC forbids them, RFC 9000 §14), VLAN tags are
// not understood, and checksums are not verified.
package dissect
