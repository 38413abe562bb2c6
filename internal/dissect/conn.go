package dissect

import (
	"bytes"
	"net/netip"

	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/wire"
)

// role is an end of a connection.
type role uint8

const (
	client role = 0
	server role = 1
)

func (r role) other() role { return 1 - r }

// Levels of CRYPTO streams and packet number spaces.
const (
	levelInitial = iota
	levelHandshake
	levelApp
	levels
)

func levelOf(t wire.PacketType) int {
	switch t {
	case wire.PacketInitial:
		return levelInitial
	case wire.PacketHandshake:
		return levelHandshake
	}
	return levelApp
}

// Conn is one connection of a trace. A client that starts again with a new
// random connection ID (after Version Negotiation, say) makes a new one.
type Conn struct {
	Index        int            // in Trace.Conns
	Version      wire.Version   // negotiated: what the server went on in, or that of the client's first packet
	Client       netip.AddrPort // where the first Initial came from
	Server       netip.AddrPort // and where it went
	OriginalDCID []byte         // destination of the client's first Initial
	RetrySCIDs   [][]byte       // source IDs of valid Retry packets; limit: maxInitialIDs

	// What TLS said; nil while not seen. The first hello is kept after a HelloRetryRequest.
	ClientHello         *ClientHello
	ServerHello         *ServerHello
	EncryptedExtensions *EncryptedExtensions
	Messages            []Message // limit: maxMessages
	HasSecrets          bool      // the key log knows this connection

	original   wire.Version // of the client's first packet
	secrets    *secrets
	idCount    int
	initialIDs [][]byte      // connection IDs of which Initial keys are derived, oldest first; limit: maxInitialIDs
	initial    []initialKeys // limit: maxInitialIDs, in two versions
	ends       [2]end
	waiting    []waiting // limit: maxWaitingPackets, of all connections
}

// end is what is known about one role of a connection.
type end struct {
	idLen     int // length of the connection IDs that it chose, -1 = unknown
	pair      addrPair
	largest   [levels]int64
	crypto    [levels]cryptoStream
	handshake *crypt.Keys
	early     *crypt.Keys
	traffic   []*crypt.Keys // by key generation; limit: maxGenerations
	current   int           // index in traffic
	offers    []offer       // plugins that it offered; limit: maxOffers
}

type initialKeys struct {
	version wire.Version
	id      []byte
	keys    [2]*crypt.Keys
}

// addrPair is a direction between two addresses.
type addrPair struct{ src, dst netip.AddrPort }

// ref leads to an end of a connection.
type ref struct {
	conn *Conn
	to   role
}

func newConn(index int, v wire.Version, dcid []byte, src, dst netip.AddrPort) *Conn {
	c := &Conn{Index: index, Version: v, original: v, Client: src, Server: dst, OriginalDCID: bytes.Clone(dcid)}
	for i := range c.ends {
		c.ends[i].idLen = -1
		for l := range c.ends[i].largest {
			c.ends[i].largest[l] = -1
		}
	}
	c.initialIDs = [][]byte{c.OriginalDCID}
	return c
}

// Message returns the first TLS message of a type that one side sent, or nil.
func (c *Conn) Message(fromClient bool, kind uint8) *Message {
	for i := range c.Messages {
		if m := &c.Messages[i]; m.FromClient == fromClient && m.Type == kind {
			return m
		}
	}
	return nil
}

// knowsInitialID reports whether id is a source of Initial keys.
func (c *Conn) knowsInitialID(id []byte) bool {
	for _, k := range c.initialIDs {
		if bytes.Equal(k, id) {
			return true
		}
	}
	return false
}

// addRetry notes that the client will go on with the Retry's connection ID.
func (c *Conn) addRetry(scid []byte) {
	if c.knowsInitialID(scid) || len(c.initialIDs) >= maxInitialIDs {
		return
	}
	id := bytes.Clone(scid)
	c.RetrySCIDs = append(c.RetrySCIDs, id)
	c.initialIDs = append(c.initialIDs, id)
}

// initialKeys returns the Initial keys of an ID, made once.
func (c *Conn) initialKeysOf(v wire.Version, id []byte, from role) *crypt.Keys {
	for i := range c.initial {
		if k := &c.initial[i]; k.version == v && bytes.Equal(k.id, id) {
			return k.keys[from]
		}
	}
	ck, sk := crypt.NewInitial(v, id)
	c.initial = append(c.initial, initialKeys{v, id, [2]*crypt.Keys{ck, sk}})
	return c.initial[len(c.initial)-1].keys[from]
}

// learn takes the TLS messages that became whole on one CRYPTO stream.
func (c *Conn) learn(from role, level int, t wire.PacketType, frame int) {
	for {
		msg, ok := c.ends[from].crypto[level].nextMessage()
		if !ok {
			return
		}
		if len(c.Messages) < maxMessages {
			c.Messages = append(c.Messages, Message{
				Type: msg[0], Level: t, FromClient: from == client, Length: len(msg), Frame: frame,
			})
		}
		c.learnMessage(from, level, msg, frame)
	}
}

func (c *Conn) learnMessage(from role, level int, msg []byte, frame int) {
	kind, body := msg[0], msg[4:]
	switch {
	case from == client && level == levelInitial && kind == TLSClientHello && c.ClientHello == nil:
		if h, ok := parseClientHello(body); ok {
			h.Frame = frame
			c.ClientHello = h
		}
	case from == server && level == levelInitial && kind == TLSServerHello && c.ServerHello == nil:
		if h, ok := parseServerHello(body); ok && !h.helloAsk {
			h.Frame = frame
			c.ServerHello = h
		}
	case from == server && level == levelHandshake && kind == TLSEncryptedExtensions && c.EncryptedExtensions == nil:
		if e, ok := parseEncryptedExtensions(body); ok {
			e.Frame = frame
			c.EncryptedExtensions = e
		}
	}
}
