package quic

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
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
	return withKeyLog(atLeastTLS13(config)), nil
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

// listenerTLS is serverTLS, with callbacks that find in a ClientHelloInfo what
// they find under TLS over TCP. All connections of a Listener share it, and with
// it the keys of their tickets.
func listenerTLS(config *tls.Config) (*tls.Config, error) {
	config, err := serverTLS(config)
	if err != nil {
		return nil, err
	}
	return ownSessions(withConn(config)), nil
}

// connKey is what TLS callbacks find a server's *Conn by, in their context.
type connKey struct{}

// setConn gives callbacks a Conn to ask for addresses.
func setConn(hello *tls.ClientHelloInfo) {
	if c, ok := hello.Context().Value(connKey{}).(*Conn); ok {
		hello.Conn = &addrConn{c.LocalAddr(), c.RemoteAddr()}
	}
}

// withConn returns config, or a copy whose callbacks call setConn. nil stays
// nil. A copy of what GetConfigForClient returned keeps the keys for tickets
// that were set; if none were, crypto/tls takes those of the first configuration.
func withConn(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	config = withKeyLog(atLeastTLS13(config))
	choose, certificate := config.GetConfigForClient, config.GetCertificate
	if choose == nil && certificate == nil {
		return config
	}
	config = config.Clone()
	if choose != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			setConn(hello)
			chosen, err := choose(hello)
			return withConn(chosen), err
		}
	}
	if certificate != nil {
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			setConn(hello)
			return certificate(hello)
		}
	}
	return config
}

// keyLog writes one line at a time: crypto/tls sees to that among its own, and
// we write lines for 0-RTT beside it.
type keyLog struct{ w io.Writer }

var keyLogMu sync.Mutex // guards the writers of all keyLogs; a leaf

func (k keyLog) Write(line []byte) (int, error) {
	keyLogMu.Lock()
	defer keyLogMu.Unlock()
	return k.w.Write(line)
}

// withKeyLog returns config, or a copy whose key log we can write, too.
func withKeyLog(config *tls.Config) *tls.Config {
	if config.KeyLogWriter == nil {
		return config
	}
	if _, done := config.KeyLogWriter.(keyLog); done {
		return config
	}
	config = config.Clone()
	config.KeyLogWriter = keyLog{config.KeyLogWriter}
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
