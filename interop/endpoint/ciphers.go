package endpoint

import _ "unsafe" // for go:linkname

// crypto/tls does not let an application choose TLS 1.3 cipher suites; the
// chacha20 test case asks for just that. These are its two preference lists,
// for machines with and without AES instructions. Only the interop endpoint
// touches them, never the quic package.
//
//go:linkname defaultCipherSuitesTLS13 crypto/tls.defaultCipherSuitesTLS13
var defaultCipherSuitesTLS13 []uint16

//go:linkname defaultCipherSuitesTLS13NoAES crypto/tls.defaultCipherSuitesTLS13NoAES
var defaultCipherSuitesTLS13NoAES []uint16

// onlyCiphers limits every TLS connection of this process; the function it
// returns takes that back.
func onlyCiphers(ids []uint16) (restore func()) {
	if ids == nil {
		return func() {}
	}
	aes, noAES := defaultCipherSuitesTLS13, defaultCipherSuitesTLS13NoAES
	defaultCipherSuitesTLS13, defaultCipherSuitesTLS13NoAES = ids, ids
	return func() { defaultCipherSuitesTLS13, defaultCipherSuitesTLS13NoAES = aes, noAES }
}
