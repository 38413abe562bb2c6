// Package endpoint is Quiver's client and server under the interop runner's
// contract: HTTP/0.9 over QUIC ("hq-interop") and HTTP/3, files from one
// directory to another, the environment of the runner's containers, its exit
// codes. The commands `quiver server` and `quiver client` are the same Server
// and Client with flags.
package endpoint
