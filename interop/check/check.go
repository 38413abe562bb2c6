package check

import (
	"fmt"
	"time"
)

// Values of Verdict.Result.
const (
	Succeeded   = "succeeded"
	Failed      = "failed"
	Unsupported = "unsupported"
)

// Compat is the profile that judges as the public interop matrix does.
const Compat = "compat"

// Input is one finished run.
type Input struct {
	Test    string // name of the test case
	Profile string // "" means Compat
	// Dir is the directory of the run: it holds sim/, client/ and server/.
	Dir       string
	WWW       string   // directory of the files that the server served
	Downloads string   // directory into which the client wrote
	Files     []string // names of the files that the client was asked to fetch
}

// Evidence is one observation: what a criterion saw, and where.
type Evidence struct {
	Criterion string
	Trace     string        // file name below Dir, "" if it is not about a trace
	Packet    int           // frame number in that trace, 1-based; 0 = none
	Time      time.Duration // since the start of the trace
	Observed  string
	Expected  string // "" for a fact
}

// Verdict is the result of a run.
type Verdict struct {
	Result string // Succeeded, Failed or Unsupported
	// Reason is one sentence: the first criterion that did not hold, or for a
	// succeeded run how many did.
	Reason   string
	Evidence []Evidence
}

// Judge decides whether a run passed its test. It reads the traces
// sim/trace_node_left.pcap and sim/trace_node_right.pcap, the key logs
// client/keys.log and server/keys.log, and the files. It never panics; a trace
// or directory that cannot be read is a failed verdict that says so. Safe for
// concurrent use.
func Judge(in Input) Verdict {
	return Verdict{Result: Failed, Reason: fmt.Sprintf("No criteria for test %q.", in.Test)}
}
