package hook

import "fmt"

// Op is a protocol operation: a place in the life of a connection at which an extension may watch, or act in the core's stead. The numbers are
// those of the WebAssembly ABI (docs/plugin-abi.md); one is never used again for something else.
type Op uint8

// The operations. Those that replace decide something; the others watch.
const (
	OpAttach       Op = 1 // every extension: it begins
	OpStateChanged Op = 2 // the connection went from one State to another
	OpDetach       Op = 3 // it ends
	OpTimer        Op = 4 // a timer of its own has passed
	OpAppCall      Op = 5 // the application calls it
	OpTakeEvent    Op = 6 // the peer's half sent a message

	OpReceiveDatagram Op = 20 // a UDP datagram arrived
	OpReceivePayload  Op = 21 // a 1-RTT packet was opened: its frames
	OpReceiveDone     Op = 22 // a 1-RTT packet was processed

	OpFrameProcess Op = 31 // a frame of its own arrived
	OpFrameWrite   Op = 32 // a frame of its own that it reserved has room
	OpFrameFate    Op = 33 // what became of one that was sent

	OpPacketBegin Op = 40 // a 1-RTT packet is about to be filled
	OpSendPayload Op = 41 // a 1-RTT packet was filled: its frames
	OpPacketSent  Op = 42 // a 1-RTT packet is on its way

	OpCongestionInit  Op = 50 // a path begins: window and rate
	OpCongestionAck   Op = 51 // an acknowledgment
	OpCongestionLoss  Op = 52 // loss, or marks of congestion
	OpCongestionSent  Op = 53 // a packet left
	OpCongestionUndo  Op = 54 // the last loss was none
	OpCongestionRound Op = 57 // all acknowledgments of one round trip, instead of OpCongestionAck
	OpCongestionMTU   Op = 58 // the path carries larger datagrams

	OpAckPolicy    Op = 62 // when to acknowledge
	OpRTTSample    Op = 63 // a round-trip time was measured
	OpPacketLost   Op = 64 // a 1-RTT packet was declared lost
	OpPacketAcked  Op = 65 // a 1-RTT packet was acknowledged
	OpAckRequest   Op = 66 // what to ask of the peer's acknowledgments
	OpStreamNext   Op = 70 // which stream sends next
	OpStreamEvent  Op = 80 // a stream was opened, finished, reset, forgotten
	OpDataSent     Op = 81 // stream data was sent for the first time
	OpDataReceived Op = 82 // stream data was acknowledged by the peer
)

// Operations whose numbers are given, and whose hooks come later. Nothing may be attached to them.
const (
	OpParameterWrite   Op = 10 // transport parameters
	OpParameterRead    Op = 11
	OpFrameParse       Op = 30 // frames of extensions carry their length, so nobody need parse them
	OpPad              Op = 43 // padding
	OpCongestionPTO    Op = 55
	OpCongestionIdle   Op = 56
	OpCongestionResume Op = 59 // careful resume
	OpLossDetect       Op = 60
	OpProbeTimeout     Op = 61
	OpPathSelect       Op = 71 // multipath
	OpPathEvent        Op = 72
	OpECNMark          Op = 73
	OpLogEvent         Op = 90
	NumOps             Op = 96 // all are below
)

// Anchor says where at an operation a hook sits.
type Anchor uint8

// The anchors.
const (
	Before  Anchor = 1 << iota // watches before the core acts
	Replace                    // acts in the core's stead
	After                      // watches after the core acted
)

// ops says of each operation its name in manifests and its anchor: each has the one that makes sense. 0 = comes later.
var ops = [NumOps]struct {
	name   string
	anchor Anchor
}{
	OpAttach:          {"attach", Replace},
	OpStateChanged:    {"state_changed", After},
	OpDetach:          {"detach", Replace},
	OpTimer:           {"timer", Replace},
	OpAppCall:         {"app_call", Replace},
	OpTakeEvent:       {"take_event", After},
	OpReceiveDatagram: {"rx_datagram_meta", After},
	OpReceivePayload:  {"rx_payload", Before},
	OpReceiveDone:     {"rx_done", After},
	OpFrameProcess:    {"frame_process", Replace},
	OpFrameWrite:      {"frame_write", Replace},
	OpFrameFate:       {"frame_fate", After},
	OpPacketBegin:     {"tx_packet_begin", Before},
	OpSendPayload:     {"tx_payload", Before},
	OpPacketSent:      {"tx_sent", After},
	OpCongestionInit:  {"cc_init", Replace},
	OpCongestionAck:   {"cc_ack", Replace},
	OpCongestionLoss:  {"cc_loss", Replace},
	OpCongestionSent:  {"cc_sent", Replace},
	OpCongestionUndo:  {"cc_spurious", Replace},
	OpCongestionRound: {"cc_round", Replace},
	OpCongestionMTU:   {"cc_mtu", Replace},
	OpAckPolicy:       {"ack_policy", Replace},
	OpRTTSample:       {"rtt_sample", After},
	OpPacketLost:      {"packet_lost", After},
	OpPacketAcked:     {"packet_acked", After},
	OpAckRequest:      {"ack_request", Replace},
	OpStreamNext:      {"stream_next", Replace},
	OpStreamEvent:     {"stream_event", After},
	OpDataSent:        {"app_data_sent", After},
	OpDataReceived:    {"app_data_delivered", After},

	OpParameterWrite:   {"tp_write", 0},
	OpParameterRead:    {"tp_read", 0},
	OpFrameParse:       {"frame_parse", 0},
	OpPad:              {"tx_pad", 0},
	OpCongestionPTO:    {"cc_pto", 0},
	OpCongestionIdle:   {"cc_idle_restart", 0},
	OpCongestionResume: {"cc_resume", 0},
	OpLossDetect:       {"loss_detect", 0},
	OpProbeTimeout:     {"pto_duration", 0},
	OpPathSelect:       {"path_select", 0},
	OpPathEvent:        {"path_event", 0},
	OpECNMark:          {"ecn_mark", 0},
	OpLogEvent:         {"log_event", 0},
}

// String returns the name that manifests use.
func (o Op) String() string {
	if o < NumOps && ops[o].name != "" {
		return ops[o].name
	}
	return fmt.Sprintf("op %d", uint8(o))
}

// Known reports whether the number belongs to an operation, present or to come.
func (o Op) Known() bool { return o < NumOps && ops[o].name != "" }

// Anchor returns where hooks of the operation sit, 0 if none can be attached yet.
func (o Op) Anchor() Anchor {
	if !o.Known() {
		return 0
	}
	return ops[o].anchor
}

// Solo reports whether at most one extension of a connection may own the operation, and cannot share it by deferring: its answers build on
// each other.
func (o Op) Solo() bool { return o >= OpCongestionInit && o <= OpCongestionResume || o == OpAckRequest }

// Shared reports whether extensions that all may defer (HookDecl.Chain) can own the operation together.
func (o Op) Shared() bool { return o == OpAckPolicy || o == OpStreamNext }

// Ops returns all operations, those to come included, in order.
func Ops() []Op {
	var all []Op
	for o := range NumOps {
		if o.Known() {
			all = append(all, o)
		}
	}
	return all
}

// ParseOp finds an operation by its name.
func ParseOp(name string) (Op, bool) {
	for o := range NumOps {
		if o.Known() && ops[o].name == name {
			return o, true
		}
	}
	return 0, false
}

// String returns before, replace or after.
func (a Anchor) String() string {
	switch a {
	case Before:
		return "before"
	case Replace:
		return "replace"
	case After:
		return "after"
	}
	return fmt.Sprintf("anchor %d", uint8(a))
}

// ParseAnchor finds an anchor by its name.
func ParseAnchor(name string) (Anchor, bool) {
	for _, a := range []Anchor{Before, Replace, After} {
		if a.String() == name {
			return a, true
		}
	}
	return 0, false
}
