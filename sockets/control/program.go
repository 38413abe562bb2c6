package control

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

// Version is what Program.Version says: it changes when a member changes its
// meaning or goes, not when one is added.
const Version = 1

// What one Program holds. Whoever has more gives the first ones and says in the
// LeftOut fields how many are missing; Publish cuts what is longer all the same.
const (
	MaxPeers     = 1024 // limit: of Program.Peers
	MaxConns     = 4096 // limit: of Program.Conns
	MaxListeners = 1024 // limit: of Program.Listeners and Program.UDP
	MaxText      = 2048 // limit: bytes of every text, and of Command in all; Policy has maxPolicy
	maxPolicy    = 64 << 10
)

// maxAnswer bounds what a reader takes from a socket, in bytes. limit: more than
// the JSON of a full Program is an error.
const maxAnswer = 32 << 20

// Kinds of supervisors.
const (
	Run     = "run"     // quiver run: a program and its children
	Gateway = "gateway" // quiver gateway: listeners and forwards of its own
)

// Ways of a connection.
const (
	QUIC   = "quic"   // a stream
	TCP    = "tcp"    // relayed in plain TCP
	Native = "native" // within the program: its own listener took it
)

// Directions of a connection, seen from the program.
const (
	Out = "out" // the program called connect
	In  = "in"  // the program called accept
)

// A Program is what one supervisor says about itself at one moment. Times that
// are zero, and durations and texts that are empty, are not known.
type Program struct {
	Version int      `json:"version"`
	PID     int      `json:"pid"`               // of the supervisor; 0 = Publish fills in its own
	Child   int      `json:"child,omitempty"`   // the process that quiver run started; 0 = none, or it is over
	UID     int      `json:"uid"`               // who runs it; readers believe the owner of the directory
	Network string   `json:"network,omitempty"` // name of the network namespace, as in /proc/PID/ns/net; Publish fills it in
	Command []string `json:"command"`           // with arguments
	Kind    string   `json:"kind"`              // Run or Gateway
	Mode    string   `json:"mode,omitempty"`    // of a run: inside or outside
	Policy  string   `json:"policy,omitempty"`  // in the syntax of policy files

	UDP       []netip.AddrPort `json:"udp"` // own addresses, of clients' sockets too
	Started   time.Time        `json:"started,omitzero"`
	Processes int              `json:"processes"` // under supervision; -1 = unknown

	Listeners []Listener `json:"listeners"`
	Peers     []Peer     `json:"peers"`
	Conns     []Conn     `json:"conns"` // open ones
	Counters  Counters   `json:"counters"`

	// How many there are beyond those listed.
	ListenersLeftOut int `json:"listeners_left_out,omitempty"`
	PeersLeftOut     int `json:"peers_left_out,omitempty"`
	ConnsLeftOut     int `json:"conns_left_out,omitempty"`
}

// A Listener is a socket on which the program, or a gateway, waits.
type Listener struct {
	TCP  netip.AddrPort `json:"tcp"`
	UDP  uint16         `json:"udp,omitempty"` // port at which QUIC for it comes in; 0 = none
	Via  string         `json:"via"`           // QUIC, TCP, "quic+tcp" or Native
	Rule string         `json:"rule,omitempty"`
}

// A Peer is the far end of a QUIC connection.
type Peer struct {
	Address   netip.AddrPort `json:"address"`
	Direction string         `json:"direction"`          // Out: we dialled it, In: it dialled us
	Identity  string         `json:"identity,omitempty"` // how we know it: a name, a SPIFFE ID, sha256:…
	State     string         `json:"state"`              // connecting, open, closing, …
	Since     time.Time      `json:"since,omitzero"`

	RTT              time.Duration `json:"rtt_ns"`     // smoothed
	MinRTT           time.Duration `json:"min_rtt_ns"` //
	CongestionWindow int           `json:"congestion_window_bytes"`
	PacketsSent      uint64        `json:"packets_sent"`
	PacketsLost      uint64        `json:"packets_lost"`
	BytesSent        uint64        `json:"bytes_sent"` // of UDP payload
	BytesReceived    uint64        `json:"bytes_received"`

	StreamsOpen  int    `json:"streams_open"`
	StreamsTotal uint64 `json:"streams_total"`
	ZeroRTT      bool   `json:"zero_rtt"`   // the handshake carried early data, and the server took it
	Migrations   int    `json:"migrations"` // how often it, or we, went on from another address
}

// Loss returns the share of packets sent that were lost, from 0 to 1.
func (p *Peer) Loss() float64 {
	if p.PacketsSent == 0 {
		return 0
	}
	return float64(p.PacketsLost) / float64(p.PacketsSent)
}

// A Conn is one TCP connection of the program.
type Conn struct {
	App       netip.AddrPort `json:"app"`            // the program's end
	Dest      netip.AddrPort `json:"dest"`           // the other end, as the program sees it
	Name      string         `json:"name,omitempty"` // host name of Dest, where one was given
	Direction string         `json:"direction"`      // Out or In
	Via       string         `json:"via"`            // QUIC, TCP or Native
	State     string         `json:"state"`          // connecting, open, closing, …
	Since     time.Time      `json:"since,omitzero"`
	BytesUp   uint64         `json:"bytes_up"`          // from the program
	BytesDown uint64         `json:"bytes_down"`        // to the program
	PID       int            `json:"pid,omitempty"`     // of the owner; 0 = unknown
	Command   string         `json:"command,omitempty"` // of the owner
	Rule      string         `json:"rule,omitempty"`    // of the policy, that decided
}

// Counters count since the start.
type Counters struct {
	Conns     uint64 `json:"conns"`     // that were established, open ones among them
	Held      uint64 `json:"held"`      // SYNs held, each once
	Refused   uint64 `json:"refused"`   // connections refused to the program or to peers
	Fallbacks uint64 `json:"fallbacks"` // connections that would have been QUIC and became TCP
	Dropped   uint64 `json:"dropped"`   // SYNs lost because we were too slow
	Trapped   uint64 `json:"trapped"`   // system calls answered
	BytesUp   uint64 `json:"bytes_up"`  // of all connections, ended ones too
	BytesDown uint64 `json:"bytes_down"`
}

// trim cuts p to the limits and counts what it leaves out. Slices of the caller
// are not written to.
func (p *Program) trim() {
	p.Listeners, p.ListenersLeftOut = first(p.Listeners, MaxListeners, p.ListenersLeftOut)
	p.Peers, p.PeersLeftOut = first(p.Peers, MaxPeers, p.PeersLeftOut)
	p.Conns, p.ConnsLeftOut = first(p.Conns, MaxConns, p.ConnsLeftOut)
	p.UDP, _ = first(p.UDP, MaxListeners, 0)
	p.Command = trimCommand(p.Command)
	p.Kind, p.Mode, p.Network = shorten(p.Kind, MaxText), shorten(p.Mode, MaxText), shorten(p.Network, MaxText)
	p.Policy = shorten(p.Policy, maxPolicy)
	for i := range p.Listeners {
		l := &p.Listeners[i]
		l.Via, l.Rule = shorten(l.Via, MaxText), shorten(l.Rule, MaxText)
	}
	for i := range p.Peers {
		r := &p.Peers[i]
		r.Direction, r.Identity, r.State = shorten(r.Direction, MaxText), shorten(r.Identity, MaxText), shorten(r.State, MaxText)
	}
	for i := range p.Conns {
		c := &p.Conns[i]
		for _, text := range []*string{&c.Name, &c.Direction, &c.Via, &c.State, &c.Command, &c.Rule} {
			*text = shorten(*text, MaxText)
		}
	}
}

// first returns a copy of the first n of list, and how many are left out when
// already as many were. An empty list is not nil: in JSON it is [].
func first[T any](list []T, n, already int) ([]T, int) {
	out := max(len(list)-n, 0)
	return append(make([]T, 0, len(list)-out), list[:len(list)-out]...), max(already, 0) + out
}

// trimCommand cuts a command line to MaxText bytes in all.
func trimCommand(args []string) []string {
	out, room := []string{}, MaxText
	for _, arg := range args {
		if len(arg) > room || room == 0 {
			return append(out, shorten(arg, room))
		}
		out = append(out, arg)
		room -= len(arg) + 1
	}
	return out
}

// shorten cuts text to n bytes, of which the last say that it was longer.
func shorten(text string, n int) string {
	const mark = "…"
	if len(text) <= n {
		return text
	}
	cut := max(n-len(mark), 0)
	for cut > 0 && text[cut]&0xc0 == 0x80 { // within a character
		cut--
	}
	return text[:cut] + mark
}

// readProgram reads what a socket answered.
func readProgram(r io.Reader) (Program, error) {
	var p Program
	limited := &io.LimitedReader{R: r, N: maxAnswer + 1}
	err := json.NewDecoder(limited).Decode(&p)
	switch {
	case limited.N <= 0:
		return Program{}, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	case err != nil:
		return Program{}, fmt.Errorf("answer is no program: %w", err)
	case p.Version != Version:
		return Program{}, fmt.Errorf("answer is of version %d, want %d: it comes from another release of quiver", p.Version, Version)
	}
	p.trim()
	return p, nil
}

// byPID puts programs in the order in which they are listed.
func byPID(list []Program) {
	slices.SortStableFunc(list, func(a, b Program) int { return a.PID - b.PID })
}
