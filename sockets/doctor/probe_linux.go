package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/seed51309289/quiver/internal/fabric"
	"golang.org/x/sys/unix"
)

// probeFacts are what probe finds out, as yet untried, but for those of the fabric.
func probeFacts() []Fact {
	return []Fact{{Name: "program-memory", What: "a bind to an address that this host lacks fails"}}
}

// probe tries what needs privileges, of root or of a user namespace, and writes
// the facts. It runs in a process of its own.
func probe(w io.Writer) int {
	facts := probeFacts()
	facts[0] = programMemory(facts[0])
	facts = append(facts, fabricFacts(fabric.Supported())...)
	if err := json.NewEncoder(w).Encode(facts); err != nil {
		return 1
	}
	return 0
}

// fabricHints are what to do where a feature of the fabric is missing.
var fabricHints = map[string]string{
	"nftables":      "as root: modprobe nf_tables; the kernel needs CONFIG_NF_TABLES_INET, and for one that goes with its owner Linux 5.12",
	"packet-socket": "as root: modprobe af_packet; the kernel needs CONFIG_PACKET",
	"routing-rules": "such a connect fails a moment later; the kernel needs CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES",
	"hold-ipv6":     "IPv6 is switched off here (sysctl net.ipv6.conf.all.disable_ipv6), or the kernel has none",
}

// fabricFacts are those of the kernel's part in the network of a program.
func fabricFacts(s fabric.Support) []Fact {
	var facts []Fact
	for _, feature := range s.Features {
		f := Fact{Name: "fabric-" + feature.Name, What: feature.What, Since: feature.Since, Hint: fabricHints[feature.Name]}
		if feature.Needed {
			f.Need = ByAll
		}
		if f.Hint == "" && f.Since != "" {
			f.Hint = "it came with Linux " + f.Since
		}
		if feature.Err == fabric.ErrUntried {
			f.Found, f.Hint = "not tried: it stands on what is missing", ""
			facts = append(facts, f)
			continue
		}
		facts = append(facts, f.tried(feature.Err))
	}
	return facts
}

// programMemory looks into the memory of a process that was started here, as a
// supervisor does to see what address a program binds to.
func programMemory(f Fact) Fact {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := again(ctx, idleName)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return f.tried(err)
	}
	if err := cmd.Start(); err != nil {
		return f.tried(err)
	}
	defer func() {
		stdin.Close()
		cmd.Wait()
	}()
	var b [1]byte
	local := []unix.Iovec{{Base: &b[0], Len: 1}}
	_, err = unix.ProcessVMReadv(cmd.Process.Pid, local, []unix.RemoteIovec{{Base: 0, Len: 1}}, 0)
	if err == unix.EFAULT { // permitted; nothing is at 0
		return f.there("")
	}
	if scope := readFile("/proc/sys/kernel/yama/ptrace_scope"); scope == "2" || scope == "3" {
		return f.missing("Yama forbids it (sysctl kernel.yama.ptrace_scope is "+scope+")", "as root: sysctl -w kernel.yama.ptrace_scope=1, which after 3 takes a reboot")
	}
	return f.missing(fmt.Sprintf("process_vm_readv: %v", err), fmt.Sprintf("user %d may not look into its own processes; a filter around may forbid it", os.Geteuid()))
}
