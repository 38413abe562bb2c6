// Package known is what programs of this module keep about TLS peers from one
// run to the next, in one form: pins, sessions to resume, and files that nobody
// else may read.
package known
