// Package policy decides how each TCP connection of a program travels: as a QUIC stream, as plain TCP, the one or else the other, or not at
// all; and over what its listeners are reached. A policy comes from a file ([Parse]) or from the flags of a command ([FromFlags]), is a
// value that does not change, and answers without allocating; only the addresses of the host names in it are refreshed ([Policy.Resolve]).
//
// Rules are read from top to bottom and the first that matches decides. A rule that an earlier one leaves nothing to is an error, so a file
// that was written for "the most specific wins" does not load and mean something else. What no rule decides goes over QUIC: nothing leaves
// in the clear that a rule does not send there.
//
// Whether a destination is the program's own listener is not known here; such connections stay native whatever a policy says. The language
// of files is in docs/policy.md.
package policy
