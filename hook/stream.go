package hook

// StreamScheduler decides which stream sends its new data next: OpStreamNext. The built-in one lets the streams take turns from packet to packet.
// Data that is sent again, and the end of a stream without data, do not wait for it.
type StreamScheduler interface {
	// NextStream returns an index into s.Ready, or Defer.
	NextStream(s *StreamsReady) int
}

// MaxReady is how many streams a scheduler chooses from, which bounds the work per packet.
const MaxReady = 48

// StreamsReady is what a StreamScheduler chooses from.
type StreamsReady struct {
	Now   Instant
	Room  int           // bytes left in the packet
	Ready []ReadyStream // in the order in which they have waited; at least one, at most MaxReady; valid during the call
}

// ReadyStream is a stream with data that was never sent, and that flow control lets go.
type ReadyStream struct {
	ID    uint64
	Bytes uint64 // that wait
	Sent  uint64 // that were sent
	Fin   bool   // no more will come
}

// Streams is told what happens to streams: OpStreamEvent.
type Streams interface {
	StreamEvent(now Instant, stream uint64, e StreamEvent)
}

// StreamEvent is a turn in the life of a stream.
type StreamEvent uint8

// The events of a stream.
const (
	StreamOpened  StreamEvent = iota // by either side
	StreamFinSent                    // its last byte was sent for the first time
	StreamFinRead                    // the application read to its end
	StreamReset                      // one direction was given up, by either side
	StreamOver                       // both directions are over
)

// SentData is told of stream data when it is first sent: OpDataSent.
type SentData interface {
	DataSent(now Instant, stream, offset uint64, n int, fin bool)
}

// DeliveredData is told of stream data that the peer acknowledged: OpDataReceived. Some may be told twice.
type DeliveredData interface {
	DataDelivered(now Instant, stream, offset uint64, n int, fin bool)
}
