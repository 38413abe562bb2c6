package endpoint

import (
	"crypto/tls"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// Exit codes of the contract.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUnsupported = 127
)

// testCase is how a TESTCASE changes an endpoint's behaviour.
type testCase struct {
	conf          quic.Config
	ciphers       []uint16 // the only ones to offer or take; nil = all
	retry         bool     // server: prove every client's address
	connPerURL    bool     // client: a fresh connection for each file
	http3         bool     // client: HTTP/3 instead of HTTP/0.9
	resume        bool     // client: the first file, then the rest on a connection that resumes
	early         bool     // client: that asks for them in early data
	updateKeys    bool     // update keys early
	justNegotiate bool     // client: done when the version was refused
	forget        bool     // server: restart in the middle; client: survive that
	prefer        bool     // server: announce a preferred address
	exchange      bool     // server: offer a plugin; client: take it
}

// patient are timeouts for networks that lose a third of all packets.
var patient = quic.Config{HandshakeTimeout: 60 * time.Second, MaxIdleTimeout: 60 * time.Second}

// narrow has small windows, so that a file of a megabyte needs them to grow.
var narrow = quic.Limits{InitialStreamReceiveWindow: 64 << 10, InitialConnectionReceiveWindow: 96 << 10}

// preferV2 begins in version 1 and goes on in version 2 if the other side has it.
var preferV2 = quic.Config{Versions: []quic.Version{quic.Version2, quic.Version1}}

// quiet sends no probes of the path MTU, which would count as 1-RTT data.
var quiet = quic.Config{MaxDatagramSize: -1}

// cases are the test cases that we support; roles have their own.
var cases = map[string]map[string]testCase{
	"client": {
		"handshake": {conf: patient},
		// The PING tells a server where its client is now when an address translator
		// forgot it while only the server had something to say.
		"transfer":           {conf: quic.Config{Limits: narrow, MaxIdleTimeout: 60 * time.Second, KeepAlivePeriod: 2 * time.Second}},
		"chacha20":           {ciphers: []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}},
		"retry":              {},
		"resumption":         {resume: true},
		"zerortt":            {conf: quiet, resume: true, early: true},
		"http3":              {http3: true},
		"multiconnect":       {conf: patient, connPerURL: true},
		"keyupdate":          {updateKeys: true},
		"v2":                 {conf: preferV2},
		"v2-keyupdate":       {conf: preferV2, updateKeys: true},
		"ecn":                {},
		"versionnegotiation": {conf: quic.Config{Versions: []quic.Version{0x1a2a3a4a}}, justNegotiate: true},
		// The PING reaches the server's second life when its first had acknowledged all.
		"stateless-reset": {conf: quic.Config{KeepAlivePeriod: 500 * time.Millisecond}, forget: true},
		"plugin-exchange": {conf: patient, exchange: true},
	},
	"server": {
		"handshake":           {conf: patient},
		"transfer":            {conf: patient},
		"chacha20":            {ciphers: []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}},
		"retry":               {retry: true},
		"resumption":          {},
		"zerortt":             {conf: quic.Config{Allow0RTT: true}},
		"http3":               {},
		"multiconnect":        {conf: patient},
		"keyupdate-server":    {updateKeys: true},
		"v2":                  {conf: preferV2},
		"v2-keyupdate":        {conf: preferV2}, // follows the client
		"ecn":                 {},
		"versionnegotiation":  {},
		"mtu-blackhole":       {conf: patient},
		"connectionmigration": {conf: patient, prefer: true},
		"stateless-reset":     {forget: true},
		"plugin-exchange":     {conf: patient, exchange: true},
	},
}
