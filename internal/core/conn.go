package core

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// Conn is one QUIC connection. See the package comment for its contract.
type Conn struct {
	cfg     *Config
	log     *qlog.Log
	epoch   time.Time
	version wire.Version
	client  bool
	vers    versionState

	spaces [recovery.NumSpaces]space
	keys   appKeys
	det    *recovery.Detector
	path   *path   // the one in use
	paths  []*path // all of them, path included; limit: maxPaths

	arrival *arrival // the datagram that is being received
	begun   newPaths

	ids        connIDs
	odcid      ConnID // the client's first destination ID
	retrySCID  ConnID // the ID that a Retry gave, if retried
	retried    bool
	heard      bool   // a packet of the peer was authenticated
	heardOther bool   // a Retry or a Version Negotiation was obeyed
	token      []byte // what a client's Initials carry: of a Retry, or from an earlier connection
	newToken   []byte // what a server gives the client for its next connection; nil = nothing, or acknowledged

	tls        tlsState
	early      early
	peer       peerParams
	haveParams bool
	complete   bool // the TLS handshake is complete
	confirmed  bool // RFC 9001 §4.1.2
	control    control

	streams   streamTable
	flow      connFlow
	datagrams *datagrams // nil = there never was one
	exch      *exchange  // of plugins; nil = this end takes no part, or the peer does not
	ackFreq   ackFrequency
	count     counters
	observed  observed
	ext       *extensions // nil = nothing was ever attached
	pool      chunkPool
	slab      frameSlab

	idle    idleState
	closing closeState
	held    []heldPacket // limit: maxHeldPackets

	events eventQueue
	paced  hook.Instant // when the pacer lets more bytes go; 0 = not held back
	train  int          // size of the datagrams that the one at work follows; 0 = none
	restAt hook.Instant // when silence has lasted long enough to rest; 0 = it rests
	clock  hook.Instant // the latest instant that the driver told
	skipIn int          // packets until a number is skipped
	ackRun int          // packets in a row that carried nothing but an ACK
	fixed  fixedBits
	ranges []wire.AckRange // of the ACK frame being read or written; bounded by the size of one packet
}

// control is the set of control frames of the connection that wait to be sent.
type control uint16

const (
	ctlHandshakeDone control = 1 << iota
	ctlMaxData
	ctlMaxStreams
	ctlStreamsBlocked
	ctlDataBlocked
	ctlNewIDs
	ctlRetire
	ctlPath // a path has a challenge or an answer to send
	ctlPing
	ctlAckFrequency
	ctlNewToken
	ctlExchange
)

// space is one packet number space (RFC 9000 §12.3) with its encryption level.
type space struct {
	*traffic              // nil once discarded, which lasts for the most of a connection's life
	read      *crypt.Keys // nil = not yet, or discarded
	write     *crypt.Keys
	discarded bool
	probes    int // ack-eliciting packets that a PTO wants
}

// traffic is what a space keeps of its packets.
type traffic struct {
	recv recovery.Received
	out  sendBuffer // CRYPTO data
	in   recvBuffer
}

// NewClient starts a connection from local to remote. The first Transmit gives
// the ClientHello.
func NewClient(now Time, cfg *Config, local netip.Addr, remote netip.AddrPort) (*Conn, error) {
	c, err := newConn(now, cfg, true, local, remote)
	if err != nil {
		return nil, err
	}
	c.version = cfg.first()
	c.vers.original = c.version
	if cfg.TokenVersion == c.version && len(cfg.Token) <= maxToken {
		c.token = cfg.Token
	}
	c.odcid.n = initialIDLen
	if err := c.random(c.odcid.b[:initialIDLen]); err != nil {
		return nil, err
	}
	c.ids.remote = []remoteID{{id: c.odcid, used: true}}
	if _, err := c.newLocalID(); err != nil {
		return nil, err
	}
	c.installInitialKeys(c.odcid.Bytes())
	c.path.validated = true // a client does not fear to amplify
	c.log.ConnectionStarted(c.at(now), netip.AddrPortFrom(local, 0), remote, c.ids.firstLocal(), c.odcid.Bytes())
	c.tls.start.ctx = cfg.Context
	c.logStart(c.clock)
	if err := c.startTLS(c.at(now)); err != nil {
		return nil, err
	}
	return c, nil
}

// initialIDLen is the length of a client's first destination ID, in bytes; at
// least 8 (RFC 9000 §7.2).
const initialIDLen = 8

// NewServer accepts a connection that Router announced. Pass the datagram that
// announced it to Receive; drop the Conn if Heard is false after that.
func NewServer(now Time, cfg *Config, in *Incoming) (*Conn, error) {
	c, err := newConn(now, cfg, false, in.Local, in.Remote)
	if err != nil {
		return nil, err
	}
	c.version, c.vers.original = in.Version, in.Version
	c.odcid, c.retried, c.retrySCID = in.OriginalDCID, in.Retried, in.RetrySCID
	c.tls.start.ctx = in.Context
	c.path.socket, c.path.limited, c.path.validated = in.Socket, true, in.Validated
	c.ids.remote = []remoteID{{id: in.SCID, used: true}}
	c.ids.local = []localID{{id: in.DCID, initial: true}}
	c.events.push(Event{Kind: EventIDIssued, ID: in.DCID})
	if _, err := c.newLocalID(); err != nil {
		return nil, err
	}
	c.installInitialKeys(in.DCID.Bytes())
	c.log.ConnectionStarted(c.at(now), netip.AddrPortFrom(in.Local, 0), in.Remote, c.ids.firstLocal(), in.SCID.Bytes())
	c.logStart(c.clock)
	return c, nil
}

func newConn(now Time, cfg *Config, client bool, local netip.Addr, remote netip.AddrPort) (*Conn, error) {
	if len(cfg.Versions) == 0 {
		return nil, fmt.Errorf("no QUIC version configured")
	}
	c := &Conn{cfg: cfg, log: cfg.Log, client: client, epoch: now.Add(-1)}
	c.tls.start = new(tlsStart)
	c.peer = absentParams()
	c.path = &path{local: local, remote: remote}
	c.path.rec = c.newRecovery(0)
	c.path.rec.Resume(cfg.SavedPath)
	c.path.spin = c.newSpin()
	c.paths = []*path{c.path}
	c.det = recovery.NewDetector(recovery.Config{Client: client, Forget: c.forgetSent}, c.path.rec)
	for i := range c.spaces {
		c.spaces[i].traffic = new(traffic)
		c.spaces[i].recv.Init(recovery.SpaceID(i), maxAckDelay, cfg.AckPolicy)
	}
	c.streams.max = [2]uint64{cfg.MaxStreamsBidi, cfg.MaxStreamsUni}
	c.streams.window = c.streams.max
	c.flow.window, c.flow.max = cfg.ConnWindow, cfg.ConnWindow
	c.ids.peerLimit = 2
	c.skipIn = firstSkip
	c.keys.lastNumber = wire.MaxVarint
	if cfg.Plugins {
		c.exch = &exchange{next: [2]uint64{0, 1}}
	}
	c.idle.start(c.at(now), cfg)
	return c, nil
}

func mtuMax(configured int) int {
	if configured <= wire.MinInitialDatagram {
		return -1
	}
	return min(configured, maxDatagram)
}

// maxDatagram is the largest datagram we send: the length fields of frames
// have two bytes.
const maxDatagram = 16000

// at turns the driver's time into the connection's. It is never 0 and never
// runs backwards, although the driver's may: it reads its clock before it has
// the connection to itself.
func (c *Conn) at(now Time) hook.Instant {
	c.clock = max(c.clock, hook.Instant(now.Sub(c.epoch)))
	return c.clock
}

// when is the reverse of at; 0 gives the zero Time.
func (c *Conn) when(i hook.Instant) Time {
	if i.IsZero() {
		return Time{}
	}
	return c.epoch.Add(time.Duration(i))
}

func (c *Conn) random(p []byte) error {
	if _, err := io.ReadFull(c.cfg.Rand, p); err != nil {
		return fmt.Errorf("random source: %w", err)
	}
	return nil
}

func (c *Conn) installInitialKeys(dcid []byte) {
	c.vers.other, c.vers.read, c.vers.write = 0, nil, nil
	client, server := crypt.NewInitial(c.version, dcid)
	s := &c.spaces[recovery.Initial]
	if c.client {
		s.write, s.read = client, server
	} else {
		s.write, s.read = server, client
	}
}

// NextEvent returns the oldest piece of news, or false.
func (c *Conn) NextEvent() (Event, bool) {
	e, ok := c.events.pop()
	if ok && e.Kind == EventDrained {
		c.release() // now, when nobody is in the middle of a packet
	}
	if ok && e.Kind == EventExtension && !e.Extension.Detached {
		c.ext.news--
	}
	if ok && e.Stream != nil {
		switch e.Kind {
		case EventReadable:
			e.Stream.postedReadable = false
		case EventWritable:
			e.Stream.postedWritable = false
		}
	}
	return e, ok
}

// NeedsTransmit reports whether a command of the application left a control
// frame to send, so that Transmit is due although no data was written.
func (c *Conn) NeedsTransmit() bool {
	return c.control != 0 || !c.streams.control.empty() || c.ext != nil && (c.ext.work || c.ext.wants())
}

// AckDue reports whether an acknowledgment must leave now.
func (c *Conn) AckDue(now Time) bool {
	return c.closing.state == stateOpen && c.spaces[recovery.AppData].recv.WantAck(c.at(now))
}

// Heard reports whether any packet of the peer was authenticated. A server's
// Conn that heard nothing after its first datagram is to be dropped.
func (c *Conn) Heard() bool { return c.heard }

// Answered reports whether a client has any answer: Heard, or a Retry or Version
// Negotiation that it obeyed.
func (c *Conn) Answered() bool { return c.heard || c.heardOther }

// Established reports whether the handshake is complete.
func (c *Conn) Established() bool { return c.complete }

// Confirmed reports whether the handshake is confirmed (RFC 9001 §4.1.2).
func (c *Conn) Confirmed() bool { return c.confirmed }

// Handshaking reports whether TLS still has work to do, which may take long.
func (c *Conn) Handshaking() bool { return !c.complete && c.closing.err == nil }

// Err returns why the connection ended, or nil.
func (c *Conn) Err() error { return c.closing.err }

// Version returns the version in use.
func (c *Conn) Version() wire.Version { return c.version }
