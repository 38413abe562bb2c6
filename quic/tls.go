package quic

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

var (
	errNoALPN = errors.New("tls.Config needs NextProtos: QUIC requires ALPN (RFC 9001 §8.1)")
	errNoCert = errors.New("tls.Config needs a certificate: got none of Certificates, GetCertificate and GetConfigForClient")
	errOldTLS = errors.New("tls.Config allows no TLS 1.3, which QUIC requires (RFC 9001 §4.2): MaxVersion is below it")
)

// clientTLS checks config and returns it, or a copy that is fit for QUIC.
func clientTLS(config *tls.Config) (*tls.Config, error) {
	if config == nil || len(config.NextProtos) == 0 {
		return nil, errNoALPN
	}
	if config.MaxVersion != 0 && config.MaxVersion < tls.VersionTLS13 {
		return nil, errOldTLS
	}
	return atLeastTLS13(config), nil
}

// serverTLS is clientTLS for a server, which may leave the choices for later:
// to GetConfigForClient.
func serverTLS(config *tls.Config) (*tls.Config, error) {
	if config != nil && config.GetConfigForClient != nil {
		return atLeastTLS13(config), nil
	}
	out, err := clientTLS(config)
	if err == nil && len(config.Certificates) == 0 && config.GetCertificate == nil {
		err = errNoCert
	}
	return out, err
}

// atLeastTLS13 returns config if it allows nothing older than TLS 1.3, else a
// copy: programs that speak TLS over TCP, too, say less (RFC 9001 §4.2).
func atLeastTLS13(config *tls.Config) *tls.Config {
	if config.MinVersion >= tls.VersionTLS13 {
		return config
	}
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	return config
}

// withAddrs gives the callbacks of a server's configuration a Conn to ask for
// addresses, as they find under TLS over TCP. nil stays nil.
func withAddrs(config *tls.Config, conn net.Conn) *tls.Config {
	if config == nil {
		return nil
	}
	config = atLeastTLS13(config)
	choose, certificate := config.GetConfigForClient, config.GetCertificate
	if choose == nil && certificate == nil {
		return config
	}
	config = config.Clone()
	if choose != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			hello.Conn = conn
			chosen, err := choose(hello)
			return withAddrs(chosen, conn), err
		}
	}
	if certificate != nil {
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			hello.Conn = conn
			return certificate(hello)
		}
	}
	return config
}

// addrConn is a net.Conn that has addresses and nothing to read or write.
type addrConn struct{ local, remote net.Addr }

var errAddrConn = errors.New("quic: the Conn of a ClientHelloInfo has only addresses")

func (c *addrConn) LocalAddr() net.Addr              { return c.local }
func (c *addrConn) RemoteAddr() net.Addr             { return c.remote }
func (c *addrConn) Read([]byte) (int, error)         { return 0, errAddrConn }
func (c *addrConn) Write([]byte) (int, error)        { return 0, errAddrConn }
func (c *addrConn) Close() error                     { return errAddrConn }
func (c *addrConn) SetDeadline(time.Time) error      { return errAddrConn }
func (c *addrConn) SetReadDeadline(time.Time) error  { return errAddrConn }
func (c *addrConn) SetWriteDeadline(time.Time) error { return errAddrConn }
