// Package dissecttest builds packet captures of QUIC connections for tests:
// real TLS handshakes, really protected packets, and a test may change any of
// it before it is sealed.
package dissecttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/seed51309289/quiver/internal/wire"
)

// Side is an end of a connection.
type Side int

// The sides.
const (
	Client Side = 0
	Server Side = 1
)

// Handshake is a finished TLS 1.3 handshake: what both sides said and the
// secrets that came of it. Slices may be replaced before packets are made.
type Handshake struct {
	Random [32]byte // client random
	Suite  uint16

	// CRYPTO data by side, of the Initial and the Handshake level.
	Initial   [2][]byte
	Handshake [2][]byte

	HandshakeSecret [2][]byte
	TrafficSecret   [2][]byte
	EarlySecret     []byte // made up: nil until a test sets it
}

// Config says what a handshake is about.
type Config struct {
	Params [2]wire.Params // transport parameters by side
	ALPN   string
	// PostQuantum makes a ClientHello that needs two datagrams.
	PostQuantum bool
}

// DefaultConfig is an ordinary connection for small files.
func DefaultConfig() Config {
	c := Config{ALPN: "hq-interop"}
	for i := range c.Params {
		p := wire.DefaultParams()
		p.InitialSCID = []byte{}
		p.MaxData, p.MaxStreamLocal, p.MaxStreamRemote, p.MaxStreamUni = 1<<20, 1<<20, 1<<20, 1<<20
		p.MaxStreamsBidi, p.MaxStreamsUni = 100, 100
		c.Params[i] = p
	}
	return c
}

// NewHandshake runs the handshake in this process.
func NewHandshake(c Config) (*Handshake, error) {
	cert, err := certificate()
	if err != nil {
		return nil, err
	}
	curves := []tls.CurveID{tls.X25519}
	if c.PostQuantum {
		curves = []tls.CurveID{tls.X25519MLKEM768, tls.X25519}
	}
	common := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{c.ALPN}, CurvePreferences: curves, SessionTicketsDisabled: true}
	clientConf, serverConf := common.Clone(), common.Clone()
	clientConf.ServerName, clientConf.InsecureSkipVerify = "server4", true
	serverConf.Certificates = []tls.Certificate{*cert}
	conns := [2]*tls.QUICConn{
		tls.QUICClient(&tls.QUICConfig{TLSConfig: clientConf}), tls.QUICServer(&tls.QUICConfig{TLSConfig: serverConf}),
	}
	h := &Handshake{}
	for i, conn := range conns {
		conn.SetTransportParameters(wire.AppendParams(nil, &c.Params[i]))
		if err := conn.Start(context.Background()); err != nil {
			return nil, err
		}
		defer conn.Close()
	}
	// Each round carries what one side wrote to the other; a handshake takes four.
	for range 8 {
		for i := range conns {
			if err := h.drain(conns, Side(i)); err != nil {
				return nil, err
			}
		}
	}
	if len(h.TrafficSecret[Client]) == 0 || len(h.TrafficSecret[Server]) == 0 {
		return nil, fmt.Errorf("handshake did not finish")
	}
	copy(h.Random[:], h.Initial[Client][6:38])
	return h, nil
}

func (h *Handshake) drain(conns [2]*tls.QUICConn, side Side) error {
	for {
		e := conns[side].NextEvent()
		switch e.Kind {
		case tls.QUICNoEvent:
			return nil
		case tls.QUICWriteData:
			h.wrote(side, e.Level, e.Data)
			if err := conns[1-side].HandleData(e.Level, e.Data); err != nil {
				return err
			}
		case tls.QUICSetWriteSecret:
			h.Suite = e.Suite
			secret := append([]byte(nil), e.Data...)
			if e.Level == tls.QUICEncryptionLevelHandshake {
				h.HandshakeSecret[side] = secret
			} else if e.Level == tls.QUICEncryptionLevelApplication {
				h.TrafficSecret[side] = secret
			}
		}
	}
}

func (h *Handshake) wrote(side Side, level tls.QUICEncryptionLevel, data []byte) {
	switch level {
	case tls.QUICEncryptionLevelInitial:
		h.Initial[side] = append(h.Initial[side], data...)
	case tls.QUICEncryptionLevelHandshake:
		h.Handshake[side] = append(h.Handshake[side], data...)
	}
}

// KeyLog returns the handshake's key log in NSS format.
func (h *Handshake) KeyLog() []byte {
	var b []byte
	line := func(label string, secret []byte) {
		if secret != nil {
			b = fmt.Appendf(b, "%s %x %x\n", label, h.Random, secret)
		}
	}
	line("CLIENT_EARLY_TRAFFIC_SECRET", h.EarlySecret)
	line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", h.HandshakeSecret[Client])
	line("SERVER_HANDSHAKE_TRAFFIC_SECRET", h.HandshakeSecret[Server])
	line("CLIENT_TRAFFIC_SECRET_0", h.TrafficSecret[Client])
	line("SERVER_TRAFFIC_SECRET_0", h.TrafficSecret[Server])
	return b
}

// Offer replaces the cipher suites of the ClientHello. The handshake is over,
// so nobody misses the old transcript.
func (h *Handshake) Offer(suites ...uint16) {
	hello := h.Initial[Client]
	at := 4 + 2 + 32 + 1 + int(hello[38]) // after the session ID
	old := 2 + int(binary.BigEndian.Uint16(hello[at:]))
	list := binary.BigEndian.AppendUint16(nil, uint16(2*len(suites)))
	for _, s := range suites {
		list = binary.BigEndian.AppendUint16(list, s)
	}
	edited := append([]byte(nil), hello[:at]...)
	edited = append(append(edited, list...), hello[at+old:]...)
	size := len(edited) - 4
	edited[1], edited[2], edited[3] = byte(size>>16), byte(size>>8), byte(size)
	h.Initial[Client] = edited
}

// Choose replaces the suite that the server chose, for the packets too. The
// new one must have the hash of the old one.
func (h *Handshake) Choose(suite uint16) {
	hello := append([]byte(nil), h.Initial[Server]...)
	at := 4 + 2 + 32 + 1 + int(hello[38])
	binary.BigEndian.PutUint16(hello[at:], suite)
	h.Initial[Server], h.Suite = hello, suite
}

// certificate is made once: it only has to be there.
var certificate = sync.OnceValues(func() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"server4"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
})
