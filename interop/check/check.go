package check

import (
	"fmt"
	"runtime/debug"
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

// Evidence is one observation: what a criterion saw, and where. Evidence whose
// Criterion starts with FactPrefix is a measurement and has no Expected.
type Evidence struct {
	Criterion string
	Trace     string        // file name below Input.Dir, "" if it is not about a trace
	Packet    int           // frame number in that trace, 1-based; 0 = none
	Time      time.Duration // since the first frame of the trace
	Observed  string
	Expected  string
}

// FactPrefix starts the Criterion of evidence that only informs.
const FactPrefix = "fact: "

// Verdict is the result of a run.
type Verdict struct {
	Result string // Succeeded, Failed or Unsupported
	// Reason is one sentence without a stop: the first criterion that did not
	// hold, or how many held.
	Reason string
	// Evidence of a failed run is of the criteria that did not hold, the first
	// one first; of a succeeded run of all of them, and then facts.
	Evidence []Evidence
	// Goodput is the measured value of a measurement that succeeded, in
	// kbit/s; 0 for tests.
	Goodput float64
}

// Judge decides whether a run passed its test. It reads the traces
// sim/trace_node_left.pcap and sim/trace_node_right.pcap, the key logs
// client/keys.log and server/keys.log, and the files. It never panics; a trace
// or directory that cannot be read is a failed verdict that says so. Safe for
// concurrent use.
func Judge(in Input) (v Verdict) {
	defer func() {
		// The traces are made by strangers: our own mistake must not cost a whole matrix.
		if p := recover(); p != nil {
			v = Verdict{Result: Failed, Reason: fmt.Sprintf("BUG: the check itself broke: %v", p), Evidence: []Evidence{{
				Criterion: "the check works", Observed: string(debug.Stack()), Expected: "a verdict",
			}}}
		}
	}()
	if in.Profile != "" && in.Profile != Compat {
		return Verdict{Result: Failed, Reason: fmt.Sprintf("unknown profile %q, want %q", in.Profile, Compat)}
	}
	c, ok := cases[in.Test]
	if !ok {
		return Verdict{Result: Failed, Reason: fmt.Sprintf("no criteria for test %q, known are: %s", in.Test, knownTests())}
	}
	r := newRun(in)
	if c.needKeys && r.keyLog == nil {
		return Verdict{Result: Unsupported, Reason: "no valid key log, and this test cannot be judged without one", Evidence: []Evidence{{
			Criterion: "a key log exists", Observed: r.keyLogNote, Expected: "client/keys.log or server/keys.log with a line " + keyLogMark,
		}}}
	}
	return r.judge(c)
}

func (r *run) judge(c testCase) Verdict {
	var held, broken []Evidence
	var reason string
	for _, k := range c.criteria {
		f := k.check(r)
		e := Evidence{
			Criterion: k.name, Trace: f.trace, Packet: f.frame, Time: f.at, Observed: f.observed, Expected: k.want,
		}
		if f.ok {
			held = append(held, e)
			continue
		}
		if reason == "" {
			reason = fmt.Sprintf("%s: %s, want %s", k.name, f.observed, k.want)
		}
		broken = append(broken, e)
	}
	if len(broken) > 0 {
		return Verdict{Result: Failed, Reason: reason, Evidence: broken}
	}
	v := Verdict{
		Result:   Succeeded,
		Reason:   fmt.Sprintf("all %d criteria of %s hold", len(c.criteria), r.in.Test),
		Evidence: append(held, r.facts()...),
	}
	if c.measure {
		_, bits, ok := r.goodput()
		if !ok {
			return Verdict{Result: Failed, Reason: "goodput: no time passes between the server's first and last 1-RTT packet, want some"}
		}
		v.Goodput = bits / 1000
	}
	return v
}
