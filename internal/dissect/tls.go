package dissect

import (
	"encoding/binary"

	"github.com/seed51309289/quiver/internal/wire"
)

// TLS handshake message types (RFC 8446 §4).
const (
	TLSClientHello         = 1
	TLSServerHello         = 2
	TLSNewSessionTicket    = 4
	TLSEncryptedExtensions = 8
	TLSCertificate         = 11
	TLSCertificateVerify   = 15
	TLSFinished            = 20
)

// TLS extensions that are looked at.
const (
	extServerName   = 0
	extALPN         = 16
	extPreSharedKey = 41
	extEarlyData    = 42
	extQUICParams   = 57 // RFC 9001 §8.2
)

// Transport parameter IDs that people look up in Params (RFC 9000 §18.2).
const (
	ParamInitialMaxStreamsBidi = 0x08
	ParamInitialMaxStreamsUni  = 0x09
)

// Message is one TLS handshake message.
type Message struct {
	Type       uint8
	Level      wire.PacketType // of the packets that carried it
	FromClient bool
	Length     int // bytes, header included
	Frame      int // number of the frame that completed it
}

// ClientHello is what a client offered.
type ClientHello struct {
	Random    [32]byte
	Suites    []uint16 // bounded by one message
	SNI       string
	ALPN      []string
	Resumes   bool // offers a pre-shared key
	EarlyData bool
	Params    Params
	Frame     int // number of the frame that completed it
}

// ServerHello is what a server chose.
type ServerHello struct {
	Suite    uint16
	Resumes  bool // accepted a pre-shared key
	Frame    int
	helloAsk bool // a HelloRetryRequest
}

// EncryptedExtensions is what a server added under protection.
type EncryptedExtensions struct {
	ALPN      string
	EarlyData bool // accepted
	Params    Params
	Frame     int
}

// Params are transport parameters as they were sent.
type Params struct {
	List   []Param      // bounded by one message
	Parsed *wire.Params // nil if Err is not nil
	Err    error        // why they are not valid
}

// Param is one transport parameter.
type Param struct {
	ID    uint64
	Value []byte
}

// Int returns the integer value of parameter id and whether it was sent as one.
func (p *Params) Int(id uint64) (v uint64, ok bool) {
	for _, q := range p.List {
		if q.ID == id {
			v, n := wire.ConsumeVarint(q.Value)
			return v, n == len(q.Value) && n > 0
		}
	}
	return 0, false
}

func parseParams(b []byte, fromServer bool) (p Params) {
	p.Parsed, p.Err = wire.ParseParams(b, fromServer)
	for r := (cursor{b: b}); len(r.b) > 0; {
		id := r.varint()
		value := r.take(r.varint())
		if r.bad {
			break
		}
		p.List = append(p.List, Param{id, value})
	}
	return p
}

// The random of a ServerHello that is a HelloRetryRequest (RFC 8446 §4.1.3).
var helloRetryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// parseClientHello reads the body of a ClientHello (RFC 8446 §4.1.2).
func parseClientHello(b []byte) (*ClientHello, bool) {
	r := cursor{b: b}
	h := &ClientHello{}
	r.take(2) // legacy_version
	copy(h.Random[:], r.take(32))
	r.vector8() // legacy_session_id
	for s := (cursor{b: r.vector16()}); len(s.b) >= 2; {
		h.Suites = append(h.Suites, s.uint16())
	}
	r.vector8() // legacy_compression_methods
	eachExtension(r.vector16(), func(id uint16, body []byte) {
		switch id {
		case extServerName:
			h.SNI = parseSNI(body)
		case extALPN:
			h.ALPN = parseALPN(body)
		case extPreSharedKey:
			h.Resumes = true
		case extEarlyData:
			h.EarlyData = true
		case extQUICParams:
			h.Params = parseParams(body, false)
		}
	})
	return h, !r.bad
}

// parseServerHello reads the body of a ServerHello (RFC 8446 §4.1.3).
func parseServerHello(b []byte) (*ServerHello, bool) {
	r := cursor{b: b}
	h := &ServerHello{}
	r.take(2) // legacy_version
	random := r.take(32)
	r.vector8() // legacy_session_id_echo
	h.Suite = r.uint16()
	r.take(1) // legacy_compression_method
	eachExtension(r.vector16(), func(id uint16, _ []byte) {
		if id == extPreSharedKey {
			h.Resumes = true
		}
	})
	if !r.bad {
		h.helloAsk = [32]byte(random) == helloRetryRandom
	}
	return h, !r.bad
}

// parseEncryptedExtensions reads the body of an EncryptedExtensions (RFC 8446 §4.3.1).
func parseEncryptedExtensions(b []byte) (*EncryptedExtensions, bool) {
	r := cursor{b: b}
	e := &EncryptedExtensions{}
	eachExtension(r.vector16(), func(id uint16, body []byte) {
		switch id {
		case extALPN:
			if names := parseALPN(body); len(names) > 0 {
				e.ALPN = names[0]
			}
		case extEarlyData:
			e.EarlyData = true
		case extQUICParams:
			e.Params = parseParams(body, true)
		}
	})
	return e, !r.bad
}

func eachExtension(b []byte, f func(id uint16, body []byte)) {
	for r := (cursor{b: b}); len(r.b) > 0; {
		id := r.uint16()
		body := r.vector16()
		if r.bad {
			return
		}
		f(id, body)
	}
}

func parseSNI(b []byte) string {
	list := cursor{b: b}
	r := cursor{b: list.vector16()}
	if kind := r.take(1); kind == nil || kind[0] != 0 {
		return ""
	}
	return string(r.vector16())
}

func parseALPN(b []byte) (names []string) {
	list := cursor{b: b}
	for r := (cursor{b: list.vector16()}); len(r.b) > 0; {
		name := r.vector8()
		if r.bad {
			return names
		}
		names = append(names, string(name))
	}
	return names
}

// cursor walks over bytes; after the first short read it is bad and empty.
type cursor struct {
	b   []byte
	bad bool
}

func (r *cursor) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *cursor) uint16() uint16 {
	p := r.take(2)
	if p == nil {
		return 0
	}
	return binary.BigEndian.Uint16(p)
}

func (r *cursor) varint() uint64 {
	v, n := wire.ConsumeVarint(r.b)
	if n < 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *cursor) vector8() []byte {
	p := r.take(1)
	if p == nil {
		return nil
	}
	return r.take(uint64(p[0]))
}

func (r *cursor) vector16() []byte { return r.take(uint64(r.uint16())) }
