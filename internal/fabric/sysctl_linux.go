package fabric

import (
	"maps"
	"os"
	"slices"
)

// copied are the settings of the host that a program notices: the ports that it may have, and the defaults of its sockets. A fabric has
// those of a new namespace otherwise. What concerns the way to others (ECN, RTO, MTU probing, memory of all sockets) stays.
var copied = []string{
	"net/core/somaxconn",
	"net/ipv4/ip_local_port_range", "net/ipv4/ip_local_reserved_ports", "net/ipv4/ip_unprivileged_port_start", "net/ipv4/ip_default_ttl",
	"net/ipv4/ip_nonlocal_bind", "net/ipv6/ip_nonlocal_bind",
	"net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_notsent_lowat", "net/ipv4/tcp_autocorking",
	"net/ipv4/tcp_keepalive_time", "net/ipv4/tcp_keepalive_intvl", "net/ipv4/tcp_keepalive_probes",
	"net/ipv4/tcp_syn_retries", "net/ipv4/tcp_synack_retries", "net/ipv4/tcp_retries1", "net/ipv4/tcp_retries2", "net/ipv4/tcp_orphan_retries",
	"net/ipv4/tcp_fin_timeout", "net/ipv4/tcp_max_syn_backlog", "net/ipv4/tcp_abort_on_overflow", "net/ipv4/tcp_syncookies",
	"net/ipv4/tcp_congestion_control", "net/ipv4/tcp_fastopen", "net/ipv4/tcp_window_scaling", "net/ipv4/tcp_stdurg",
	"net/ipv6/bindv6only", "net/ipv6/conf/default/hop_limit",
	"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6", "net/ipv6/conf/lo/disable_ipv6",
}

// set are those that differ, because nothing is far away here.
var set = map[string]string{
	"net/ipv4/tcp_slow_start_after_idle": "0", // a connection keeps its speed after a silence
	"net/ipv4/tcp_no_metrics_save":       "1", // no peer is remembered by its address
	"net/mptcp/enabled":                  "0", // see Socket; Go takes TCP then
	// A peer that connects again from the same port comes again to a socket of ours which may wait for late packets still. There are none;
	// time stamps, which this needs, are always on.
	"net/ipv4/tcp_timestamps":     "1",
	"net/ipv4/tcp_tw_reuse":       "1",
	"net/ipv4/tcp_tw_reuse_delay": "1", // ms; Linux 6.14
}

// readHostSysctls reads what is copied, on a thread of the host.
func readHostSysctls() map[string]string {
	out := map[string]string{}
	for _, name := range copied {
		if value, err := os.ReadFile("/proc/sys/" + name); err == nil {
			out[name] = string(value)
		}
	}
	return out
}

// writeSysctls sets them for the namespace of the calling thread, and returns what this kernel did not let us set. It says nothing of what
// it does not have.
func writeSysctls(values map[string]string) map[string]error {
	failed := map[string]error{}
	for _, name := range slices.Sorted(maps.Keys(values)) { // "all" comes before the names of interfaces
		path, value := "/proc/sys/"+name, []byte(values[name])
		if now, err := os.ReadFile(path); err != nil || string(now) == string(value) {
			continue
		}
		if err := os.WriteFile(path, value, 0); err != nil {
			failed[name] = err
		}
	}
	return failed
}
