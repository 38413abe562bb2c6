// Package crypt protects QUIC packets (RFC 9001 §5), and seals what a server
// hands out to recognise later: Retry and address tokens, stateless reset
// tokens. It is pure: keys and randomness are arguments.
package crypt
