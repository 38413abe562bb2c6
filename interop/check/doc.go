// Package check judges a run of the interop matrix from what it left behind:
// the two packet traces, the key logs and the downloaded files.
//
// A test case is a list of criteria, each one sentence and one small function.
// A verdict carries evidence: which packet of which trace, what was seen there
// and what the criterion wants. No input makes Judge panic.
package check
