package bench

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// loadAverage returns the machine's load over the last minute, 0 if unknown.
func loadAverage() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

// countersOf reads the counters of the network namespace of process pid. What
// else happens there counts, too; a veth link has a namespace of its own.
func countersOf(pid int) Counters {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/snmp", pid))
	if err != nil {
		return Counters{}
	}
	return parseCounters(string(b))
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// cryptoFlags are the processor's abilities that ciphers depend on.
var cryptoFlags = []string{"aes", "pclmulqdq", "vaes", "vpclmulqdq", "avx2", "avx512f", "sha_ni", "pmull", "sha2"}

// processor returns the model and those of its flags that matter.
func processor() (model string, flags []string) {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", nil
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "model name":
			model = strings.TrimSpace(value)
		case "flags", "Features":
			flags = flags[:0]
			for _, f := range strings.Fields(value) {
				if slices.Contains(cryptoFlags, f) {
					flags = append(flags, f)
				}
			}
		}
	}
	return model, flags
}
