package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"os"
)

// ResetKey returns the key of stateless resets at a UDP port (RFC 9000
// §10.3.2). It is the same in every run of this machine that has that port, so
// that the next one can tell peers that their connections to the former are
// over; at other ports, which are other processes', it is another. ok is false
// if our key is not this machine's own: others may have it too, and could be
// made to reset what is ours.
func (id *Identity) ResetKey(port uint16) (key [32]byte, ok bool) {
	if id.opts.Cert != "" || id.state.dir == "" {
		return key, false
	}
	secret, err := x509.MarshalPKCS8PrivateKey(id.own.PrivateKey)
	if err != nil {
		return key, false
	}
	machine, _ := os.Hostname() // a home directory may be that of many
	info := string(binary.BigEndian.AppendUint16([]byte("quiver stateless reset"), port)) + machine
	b, err := hkdf.Key(sha256.New, secret, nil, info, len(key))
	if err != nil {
		return key, false
	}
	return [32]byte(b), true
}
