package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var optionQuestions = []question{
	{name: "opt-identity", about: "SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_ACCEPTCONN", ask: (*asker).optIdentity},
	{name: "opt-nodelay", about: "TCP_NODELAY, TCP_CORK, TCP_QUICKACK", ask: (*asker).optNodelay},
	{name: "opt-maxseg", about: "TCP_MAXSEG", ask: (*asker).optMaxseg},
	{name: "opt-info", about: "TCP_INFO's state, from new to the end", ask: (*asker).optInfo},
	{name: "opt-congestion", about: "TCP_CONGESTION", ask: (*asker).optCongestion},
	{name: "opt-keepalive", about: "SO_KEEPALIVE and its times", ask: (*asker).optKeepalive},
	{name: "opt-times", about: "TCP_USER_TIMEOUT, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT", ask: (*asker).optTimes},
	{name: "opt-fastopen", about: "TCP_FASTOPEN of a listener", ask: (*asker).optFastopen},
	{name: "opt-ulp", about: "TCP_ULP", ask: (*asker).optULP},
	{name: "opt-buffers", about: "SO_RCVBUF, SO_SNDBUF, TCP_NOTSENT_LOWAT, TCP_WINDOW_CLAMP", ask: (*asker).optBuffers},
	{name: "opt-ip", about: "IP_TOS, IP_TTL, IP_MTU_DISCOVER, IP_OPTIONS, IP_MTU", ask: (*asker).optIP},
	{name: "opt-ipv6", about: "IPV6_V6ONLY, IPV6_TCLASS, IPV6_UNICAST_HOPS", ask: (*asker).optIPv6},
	{name: "opt-socket", about: "flags of SOL_SOCKET", ask: (*asker).optSocket},
	{name: "opt-linger", about: "SO_LINGER is kept", ask: (*asker).optLinger},
	{name: "opt-peercred", about: "SO_PEERCRED of TCP knows nobody; SO_COOKIE is another for each socket", ask: (*asker).optPeercred},
	{name: "opt-bad", about: "options that there are not, and short buffers", ask: (*asker).optBad},
	{name: "opt-mark", about: "SO_MARK needs the right, and a marked socket connects", ask: (*asker).optMark},
	{name: "opt-filter", about: "SO_ATTACH_FILTER on a stream", ask: (*asker).optFilter},
}

func (q *asker) get(what string, fd, level, opt int) {
	v, err := unix.GetsockoptInt(fd, level, opt)
	q.count(what, v, err)
}

// setGet takes down what an option says before, of setting it, and after.
func (q *asker) setGet(what string, fd, level, opt, v int) {
	q.get(what, fd, level, opt)
	q.did("set", unix.SetsockoptInt(fd, level, opt, v))
	q.get("then", fd, level, opt)
}

func (q *asker) optIdentity() {
	ln, _ := q.listen("127.0.0.1", 1)
	for _, s := range []struct {
		what string
		fd   int
	}{{"new", q.stream(q.four)}, {"six", q.socket(unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP)}, {"listener", ln}, {"connected", q.open("echo")}} {
		q.get(s.what+": type", s.fd, unix.SOL_SOCKET, unix.SO_TYPE)
		q.get("protocol", s.fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		q.get("domain", s.fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		q.get("listens", s.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	}
	q.did("set", unix.SetsockoptInt(ln, unix.SOL_SOCKET, unix.SO_TYPE, 2))
}

func (q *asker) optNodelay() {
	fd := q.open("echo")
	q.setGet("TCP_NODELAY", fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	q.setGet("TCP_CORK", fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1)
	q.did("TCP_QUICKACK", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1))
	q.get("then", fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK)
}

func (q *asker) optMaxseg() {
	fd := q.stream(q.four)
	q.get("new", fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
	q.did("set", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1000))
	q.must("connect", unix.Connect(fd, sockaddr(q.four)))
	v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
	q.did("connected", err)
	q.is("at most that", v > 0 && v <= 1000)
	v, err = unix.GetsockoptInt(q.open("echo"), unix.IPPROTO_TCP, unix.TCP_MAXSEG)
	q.did("unset", err)
	q.is("more than 536", v > 536)
	q.did("too small", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1))
}

// tcpStates are those of TCP_INFO.
var tcpStates = []string{"?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"}

func (q *asker) state(what string, fd int) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		q.did(what, err)
		return
	}
	q.say("%s %s", what, tcpStates[info.State])
}

func (q *asker) optInfo() {
	q.state("new", q.stream(q.four))
	ln, _ := q.listen("127.0.0.1", 1)
	q.state("listener", ln)
	at, hold := q.stuck()
	fd := q.pending(at)
	unix.Connect(fd, sockaddr(at))
	q.state("connecting", fd)
	closeAll(hold[:]...)
	fd = q.open("read 1;half;eof")
	q.state("connected", fd)
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	q.must("TCP_INFO", err)
	q.is("has RTT and MSS", info.Rtt > 0 && info.Snd_mss > 0)
	q.send("go", "x", fd)
	q.recv("recv", fd, 1, 0)
	q.state("half", fd)
	fd = q.open("eof;pause 1000")
	q.must("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	until(func() bool {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && tcpStates[info.State] == "FIN_WAIT2"
	})
	q.state("our half", fd)
	fd = q.open("rst")
	settle(fd, unix.POLLHUP)
	q.state("reset", fd)
}

func (q *asker) optCongestion() {
	fd := q.stream(q.four)
	have, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	q.must("get", err)
	q.is("the system's", have == system("net/ipv4/tcp_congestion_control"))
	q.did("reno", unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno"))
	have, _ = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	q.say("then %s", have)
	q.did("none of that name", unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "nonesuch"))
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	have, _ = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	q.say("then %s", have)
}

// system is what a file of /proc/sys says.
func system(name string) string {
	b, _ := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(b))
}

func (q *asker) systemNumber(what, name string, fd, opt int) {
	want, _ := strconv.Atoi(system(name))
	v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, opt)
	if err != nil {
		q.did(what, err)
		return
	}
	q.is(what+" the system's", v == want)
}

func (q *asker) optKeepalive() {
	fd := q.open("echo")
	q.setGet("SO_KEEPALIVE", fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	q.systemNumber("TCP_KEEPIDLE", "net/ipv4/tcp_keepalive_time", fd, unix.TCP_KEEPIDLE)
	q.systemNumber("TCP_KEEPINTVL", "net/ipv4/tcp_keepalive_intvl", fd, unix.TCP_KEEPINTVL)
	q.systemNumber("TCP_KEEPCNT", "net/ipv4/tcp_keepalive_probes", fd, unix.TCP_KEEPCNT)
	for _, opt := range []int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
		q.did("set", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, opt, 9))
		q.get("then", fd, unix.IPPROTO_TCP, opt)
		q.did("0", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, opt, 0))
	}
	q.echo(fd)
}

func (q *asker) optTimes() {
	fd := q.stream(q.four)
	q.setGet("TCP_USER_TIMEOUT", fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 5000)
	q.did("negative", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, -1))
	q.systemNumber("TCP_SYNCNT", "net/ipv4/tcp_syn_retries", fd, unix.TCP_SYNCNT)
	q.did("set", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 3))
	q.get("then", fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT)
	q.systemNumber("TCP_LINGER2", "net/ipv4/tcp_fin_timeout", fd, unix.TCP_LINGER2)
	q.did("set", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_LINGER2, 7))
	q.get("then", fd, unix.IPPROTO_TCP, unix.TCP_LINGER2)
	q.setGet("TCP_DEFER_ACCEPT", fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1)
}

func (q *asker) optFastopen() {
	ln, at := q.listen("127.0.0.1", 8)
	q.did("set", unix.SetsockoptInt(ln, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 5))
	q.get("then", ln, unix.IPPROTO_TCP, unix.TCP_FASTOPEN)
	fd := q.stream(at)
	q.did("sendto", unix.Sendto(fd, []byte("abc"), unix.MSG_FASTOPEN, sockaddr(at)))
	conn, _ := q.accept(ln)
	q.recv("recv", conn, 10, 0)
}

func (q *asker) optULP() {
	fd := q.stream(q.four)
	unconnected := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_ULP, "tls")
	q.did("none of that name", unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_ULP, "nonesuch"))
	_, err := rawGetsockopt(fd, unix.IPPROTO_TCP, unix.TCP_ULP, make([]byte, 16), 16)
	q.did("get", err)
	err = unix.SetsockoptString(q.open("echo"), unix.IPPROTO_TCP, unix.TCP_ULP, "tls")
	has := strings.Contains(" "+system("net/ipv4/tcp_available_ulp")+" ", " tls ")
	if has {
		q.is("tls as the system has it", unconnected == unix.ENOTCONN && err == nil)
	} else {
		q.is("tls as the system has it", unconnected == unix.ENOENT && err == unix.ENOENT)
	}
}

func (q *asker) optBuffers() {
	fd := q.stream(q.four)
	for _, o := range []struct {
		what            string
		level, opt, set int
	}{
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 50_000},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 40_000},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 30_000},
		{"TCP_WINDOW_CLAMP", unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, 20_000},
		{"SO_RCVLOWAT", unix.SOL_SOCKET, unix.SO_RCVLOWAT, 10},
	} {
		q.did(o.what, unix.SetsockoptInt(fd, o.level, o.opt, o.set))
		q.get("then", fd, o.level, o.opt)
	}
	q.must("SO_RCVLOWAT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1))
	q.must("connect", unix.Connect(fd, sockaddr(q.four)))
	q.get("connected", fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	q.hand(fd, "send 200000;eof")
	q.recvPattern("recv", fd, 200_000)
	other := q.open("eof")
	q.is("default as the system's", q.middle("net/ipv4/tcp_rmem") <= q.value(other, unix.SO_RCVBUF))
}

func (q *asker) middle(name string) int {
	f := strings.Fields(system(name))
	if len(f) != 3 {
		return 0
	}
	v, _ := strconv.Atoi(f[1])
	return v
}

func (q *asker) value(fd, opt int) int {
	v, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	return v
}

func (q *asker) optIP() {
	fd := q.stream(q.four)
	q.setGet("IP_TOS", fd, unix.IPPROTO_IP, unix.IP_TOS, 0x10)
	q.setGet("IP_TTL", fd, unix.IPPROTO_IP, unix.IP_TTL, 9)
	q.setGet("IP_MTU_DISCOVER", fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
	q.did("IP_MTU", err)
	fd = q.open("echo")
	size, err := rawGetsockopt(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, make([]byte, 40), 40)
	q.did("IP_OPTIONS", err)
	q.say("size %d", size)
	v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
	q.did("IP_MTU", err)
	q.is("at least 1280", v >= 1280)
	q.did("IP_TOS", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x08))
	q.echo(fd)
}

func (q *asker) optIPv6() {
	fd := q.socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	q.setGet("IPV6_V6ONLY", fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	q.setGet("IPV6_TCLASS", fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0x20)
	q.setGet("IPV6_UNICAST_HOPS", fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 9)
	q.did("on IPv4", unix.SetsockoptInt(q.stream(q.four), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
	q.did("IP_TOS on IPv6", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x10))
}

func (q *asker) optSocket() {
	fd := q.stream(q.four)
	for _, o := range []struct {
		what string
		opt  int
	}{
		{"SO_REUSEADDR", unix.SO_REUSEADDR}, {"SO_REUSEPORT", unix.SO_REUSEPORT}, {"SO_BROADCAST", unix.SO_BROADCAST},
		{"SO_OOBINLINE", unix.SO_OOBINLINE}, {"SO_DONTROUTE", unix.SO_DONTROUTE}, {"SO_TIMESTAMP", unix.SO_TIMESTAMP},
		{"SO_PRIORITY", unix.SO_PRIORITY},
	} {
		q.setGet(o.what, fd, unix.SOL_SOCKET, o.opt, 1)
	}
	q.get("SO_ERROR", fd, unix.SOL_SOCKET, unix.SO_ERROR)
}

func (q *asker) optLinger() {
	fd := q.open("echo")
	b := make([]byte, 8)
	q.did("set", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3}))
	size, err := rawGetsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, b, 8)
	q.did("get", err)
	q.say("size %d, on %d, %ds", size, b[0], b[4])
	q.did("short", rawSetsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, b, 4))
	q.did("off", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{}))
	q.echo(fd)
}

func (q *asker) optPeercred() {
	fd := q.open("echo")
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	q.must("SO_PEERCRED", err)
	q.say("pid %d, uid %d, gid %d", cred.Pid, int32(cred.Uid), int32(cred.Gid))
	a, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	q.did("SO_COOKIE", err)
	b, _ := unix.GetsockoptUint64(q.stream(q.four), unix.SOL_SOCKET, unix.SO_COOKIE)
	q.is("unlike", a != 0 && b != 0 && a != b)
}

func (q *asker) optBad() {
	fd := q.stream(q.four)
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, 9999)
	q.did("get", err)
	q.did("set", unix.SetsockoptInt(fd, unix.SOL_SOCKET, 9999, 1))
	q.did("TCP", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, 9999, 1))
	q.did("level", unix.SetsockoptInt(fd, 9999, 1, 1))
	q.did("short", rawSetsockopt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, make([]byte, 2), 2))
	q.did("nowhere", rawSetsockopt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, nil, 4))
	b := []byte("####")
	size, err := rawGetsockopt(fd, unix.SOL_SOCKET, unix.SO_TYPE, b, 1)
	q.did("short get", err)
	q.say("size %d, rest %s", size, b[1:])
	_, err = rawGetsockopt(fd, unix.SOL_SOCKET, unix.SO_TYPE, b, -1)
	q.did("negative get", err)
	q.did("bad descriptor", unix.SetsockoptInt(9999, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	q.did("no socket", unix.SetsockoptInt(1, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
}

func (q *asker) optMark() {
	fd := q.stream(q.four)
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 7)
	if err == nil && may(unix.CAP_NET_ADMIN) || err == unix.EPERM && !may(unix.CAP_NET_ADMIN) && !may(unix.CAP_NET_RAW) {
		q.say("set as its rights are")
	} else {
		q.did("set", err)
	}
	q.did("connect", unix.Connect(fd, sockaddr(q.four)))
	q.hand(fd, "echo")
	q.echo(fd)
}

func (q *asker) optFilter() {
	fd := q.open("echo")
	all := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}}
	q.did("attach", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &all[0]}))
	q.echo(fd)
	q.did("detach", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
	q.echo(fd)
}
