package core

import (
	"cmp"
	"slices"

	"github.com/seed51309289/quiver/hook"
)

// part is the interface of package hook that an operation calls.
type part struct {
	name string
	in   func(hook.Extension) bool // whether an extension has it
}

func partOf[T any](name string) part {
	return part{name, func(x hook.Extension) bool { _, ok := x.(T); return ok }}
}

// parts tells of every operation which interface it calls.
var parts = [hook.NumOps]part{
	hook.OpAttach:          partOf[hook.Extension]("Extension"),
	hook.OpDetach:          partOf[hook.Extension]("Extension"),
	hook.OpStateChanged:    partOf[hook.States]("States"),
	hook.OpTimer:           partOf[hook.Timers]("Timers"),
	hook.OpTakeEvent:       partOf[hook.EventTaker]("EventTaker"),
	hook.OpAppCall:         partOf[hook.Callee]("Callee"),
	hook.OpReceiveDatagram: partOf[hook.ReceivedDatagrams]("ReceivedDatagrams"),
	hook.OpReceivePayload:  partOf[hook.ReceivedPayloads]("ReceivedPayloads"),
	hook.OpReceiveDone:     partOf[hook.ReceivedPackets]("ReceivedPackets"),
	hook.OpFrameProcess:    partOf[hook.Frames]("Frames"),
	hook.OpFrameWrite:      partOf[hook.Frames]("Frames"),
	hook.OpFrameFate:       partOf[hook.Frames]("Frames"),
	hook.OpPacketBegin:     partOf[hook.Packets]("Packets"),
	hook.OpSendPayload:     partOf[hook.SentPayloads]("SentPayloads"),
	hook.OpPacketSent:      partOf[hook.SentPackets]("SentPackets"),
	hook.OpCongestionInit:  partOf[hook.CongestionReplacer]("CongestionReplacer"),
	hook.OpCongestionAck:   partOf[hook.CongestionReplacer]("CongestionReplacer"),
	hook.OpCongestionLoss:  partOf[hook.CongestionReplacer]("CongestionReplacer"),
	hook.OpCongestionSent:  partOf[hook.CongestionReplacer]("CongestionReplacer"),
	hook.OpCongestionUndo:  partOf[hook.CongestionReplacer]("CongestionReplacer"),
	hook.OpCongestionRound: partOf[hook.CongestionReplacer]("CongestionReplacer"),
	hook.OpCongestionMTU:   partOf[hook.CongestionReplacer]("CongestionReplacer"),
	hook.OpAckPolicy:       partOf[hook.AckPolicy]("AckPolicy"),
	hook.OpAckRequest:      partOf[hook.AckRequester]("AckRequester"),
	hook.OpRTTSample:       partOf[hook.RTTSamples]("RTTSamples"),
	hook.OpPacketLost:      partOf[hook.LostPackets]("LostPackets"),
	hook.OpPacketAcked:     partOf[hook.AckedPackets]("AckedPackets"),
	hook.OpStreamNext:      partOf[hook.StreamScheduler]("StreamScheduler"),
	hook.OpStreamEvent:     partOf[hook.Streams]("Streams"),
	hook.OpDataSent:        partOf[hook.SentData]("SentData"),
	hook.OpDataReceived:    partOf[hook.DeliveredData]("DeliveredData"),
}

// bound is a hook of an extension, found by its type when it was attached.
type bound[T any] struct {
	*attached
	to    T
	order int
}

// hooks are those of one operation, in their order; bounded by hook.MaxExtensions.
type hooks[T any] []bound[T]

// table holds the hooks of a connection. It is made anew when something is
// attached or detached, and never changed.
type table struct {
	states          hooks[hook.States]
	datagrams       hooks[hook.ReceivedDatagrams]
	payloads        hooks[hook.ReceivedPayloads]
	received        hooks[hook.ReceivedPackets]
	plans           hooks[hook.Packets]
	sealing         hooks[hook.SentPayloads]
	sent            hooks[hook.SentPackets]
	acked           hooks[hook.AckedPackets]
	lost            hooks[hook.LostPackets]
	rtts            hooks[hook.RTTSamples]
	streams         hooks[hook.Streams]
	dataSent        hooks[hook.SentData]
	dataDelivered   hooks[hook.DeliveredData]
	ackPolicy       hooks[hook.AckPolicy]
	ackRequest      hooks[hook.AckRequester]
	streamScheduler hooks[hook.StreamScheduler]
	congestion      hooks[hook.CongestionReplacer]
}

// rebuild makes the table of what is attached.
func (x *extensions) rebuild() {
	t := new(table)
	for _, a := range x.list {
		for _, h := range a.info.Hooks {
			t.add(a, h)
		}
	}
	t.sort()
	x.table = t
	x.applyAckPolicy()
	x.applyCongestion()
}

// add takes up a hook. Those that only their own extension has are not here.
func (t *table) add(a *attached, h hook.HookDecl) {
	switch h.Op {
	case hook.OpStateChanged:
		bind(&t.states, a, h)
	case hook.OpReceiveDatagram:
		bind(&t.datagrams, a, h)
	case hook.OpReceivePayload:
		bind(&t.payloads, a, h)
	case hook.OpReceiveDone:
		bind(&t.received, a, h)
	case hook.OpPacketBegin:
		bind(&t.plans, a, h)
	case hook.OpSendPayload:
		bind(&t.sealing, a, h)
	case hook.OpPacketSent:
		bind(&t.sent, a, h)
	case hook.OpPacketAcked:
		bind(&t.acked, a, h)
	case hook.OpPacketLost:
		bind(&t.lost, a, h)
	case hook.OpRTTSample:
		bind(&t.rtts, a, h)
	case hook.OpStreamEvent:
		bind(&t.streams, a, h)
	case hook.OpDataSent:
		bind(&t.dataSent, a, h)
	case hook.OpDataReceived:
		bind(&t.dataDelivered, a, h)
	case hook.OpAckPolicy:
		bind(&t.ackPolicy, a, h)
	case hook.OpAckRequest:
		bind(&t.ackRequest, a, h)
	case hook.OpStreamNext:
		bind(&t.streamScheduler, a, h)
	default:
		if parts[h.Op].name == parts[hook.OpCongestionInit].name && len(t.congestion) == 0 {
			bind(&t.congestion, a, h)
		}
	}
}

func bind[T any](list *hooks[T], a *attached, h hook.HookDecl) {
	*list = append(*list, bound[T]{a, a.do.(T), h.Order})
}

func (t *table) sort() {
	inOrder(t.states)
	inOrder(t.datagrams)
	inOrder(t.payloads)
	inOrder(t.received)
	inOrder(t.plans)
	inOrder(t.sealing)
	inOrder(t.sent)
	inOrder(t.acked)
	inOrder(t.lost)
	inOrder(t.rtts)
	inOrder(t.streams)
	inOrder(t.dataSent)
	inOrder(t.dataDelivered)
	inOrder(t.ackPolicy)
	inOrder(t.streamScheduler)
}

// inOrder sorts hooks by their Order, and as they were attached within it.
func inOrder[T any](list hooks[T]) {
	slices.SortStableFunc(list, func(a, b bound[T]) int { return cmp.Compare(a.order, b.order) })
}
