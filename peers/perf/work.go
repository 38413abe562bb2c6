package perf

// Kinds of Work.
const (
	Down      = "down"      // N bytes from the server, on Streams streams together
	Up        = "up"        // N bytes to the server, on Streams streams together
	PingPong  = "pingpong"  // N times 1 KiB there and back, on one stream
	Request   = "rr"        // N requests and responses of 1 KiB, a stream each, Streams in flight
	Handshake = "handshake" // N connections, each for one byte, Streams at the same time
	Resumed   = "resumed"   // the same, with resumption
	Idle      = "idle"      // N connections that stay
)

// Work is what a client does.
type Work struct {
	Kind    string
	N       uint64
	Streams int
}

// Result is what a client reports.
type Result struct {
	N        uint64  `json:"n"`       // bytes, operations or connections
	Seconds  float64 `json:"seconds"` // from the first to the last of them; a connection's setup does not count where it is not the work
	P50, P99 float64 // of single operations, in microseconds; 0 = not measured
	Memory   Memory  `json:"memory"`
}

// Memory is what a process holds and did.
type Memory struct {
	Heap       uint64 `json:"heap"`  // bytes of live objects
	Stacks     uint64 `json:"stack"` // bytes
	RSS        uint64 `json:"rss"`   // bytes; 0 = unknown
	Goroutines int    `json:"goroutines"`
	Mallocs    uint64 `json:"mallocs"` // since the start
	GCs        uint32 `json:"gcs"`     // since the start
}
