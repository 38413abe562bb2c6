package fabric

import (
	"os"
)

// copied are the settings of the host that a program notices: the ports that it may have, and the defaults of its sockets. A fabric has
// those of a new namespace otherwise.
var copied = []string{
	"net/ipv4/ip_local_port_range", "net/ipv4/ip_local_reserved_ports", "net/ipv4/ip_unprivileged_port_start",
	"net/ipv4/tcp_syn_retries", "net/ipv4/tcp_synack_retries", "net/ipv4/tcp_fin_timeout", "net/ipv4/tcp_tw_reuse",
	"net/ipv4/tcp_keepalive_time", "net/ipv4/tcp_keepalive_intvl", "net/ipv4/tcp_keepalive_probes", "net/ipv4/tcp_retries2",
	"net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_congestion_control", "net/ipv4/tcp_fastopen", "net/ipv4/tcp_notsent_lowat",
	"net/ipv4/tcp_abort_on_overflow", "net/ipv4/tcp_max_syn_backlog", "net/core/somaxconn", "net/ipv6/bindv6only",
	"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/lo/disable_ipv6",
}

// set are those by which every address can be used.
var set = map[string]string{
	"net/ipv4/ip_nonlocal_bind": "1", "net/ipv6/ip_nonlocal_bind": "1",
	"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/lo/rp_filter": "0",
	"net/ipv4/conf/all/accept_local": "1", "net/ipv4/conf/lo/accept_local": "1",
	"net/ipv4/icmp_ratelimit": "0", "net/ipv6/icmp/ratelimit": "0",
	// Nothing is far away here: a connection keeps its speed after a silence, and no peer is remembered by its address.
	"net/ipv4/tcp_slow_start_after_idle": "0", "net/ipv4/tcp_no_metrics_save": "1",
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

// writeSysctls sets them for the namespace of the calling thread. What this kernel does not have, or does not let us set, stays.
func writeSysctls(values map[string]string) {
	for name, value := range values {
		os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	}
}
