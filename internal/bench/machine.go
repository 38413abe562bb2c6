package bench

import (
	"runtime"
	"strconv"
	"strings"
)

// Machine is what a measurement was made on.
type Machine struct {
	Kernel     string   `json:"kernel"`
	Processor  string   `json:"processor"`
	Flags      []string `json:"flags"`
	Processors int      `json:"processors"`
	GOMAXPROCS int      `json:"gomaxprocs"` // of processes that are not pinned; the others have 1
	Go         string   `json:"go"`
}

// ThisMachine describes the machine.
func ThisMachine() Machine {
	m := Machine{Kernel: kernel(), Processors: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	m.Processor, m.Flags = processor()
	return m
}

// Counters are those of a kernel's UDP, both directions of both ends where they
// share a network namespace. A train that GSO or GRO made counts as one.
type Counters struct {
	In      uint64 `json:"udp_in"`
	Out     uint64 `json:"udp_out"`
	Dropped uint64 `json:"udp_dropped"` // for lack of room in a receive buffer
}

func (c Counters) since(before Counters) Counters {
	return Counters{c.In - before.In, c.Out - before.Out, c.Dropped - before.Dropped}
}

// parseCounters reads /proc/net/snmp: two lines for each protocol, names and values.
func parseCounters(text string) Counters {
	var c Counters
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, f := range fields[:min(len(fields), len(names))] {
			v, _ := strconv.ParseUint(f, 10, 64)
			switch names[i] {
			case "InDatagrams":
				c.In = v
			case "OutDatagrams":
				c.Out = v
			case "RcvbufErrors":
				c.Dropped = v
			}
		}
	}
	return c
}
