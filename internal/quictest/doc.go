// Package quictest runs connection machines against each other, or against a
// scripted peer, on a simulated network and a virtual clock. A seed decides
// everything that chance decides elsewhere, so a run can be had again.
//
// It is for tests, and for the conformance cases of interop.
package quictest
