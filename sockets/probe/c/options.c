#include "probe.h"
#include <linux/filter.h>

static void opt_identity(void)
{
	struct {
		const char *what;
		int fd;
	} s[] = {{"new: type", tcp(four)},
		 {"six: type", make_socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP)},
		 {"listener: type", listener("127.0.0.1", 1, NULL)},
		 {"connected: type", open_script("echo")}};
	for (int i = 0; i < 4; i++) {
		get(s[i].what, s[i].fd, SOL_SOCKET, SO_TYPE);
		get("protocol", s[i].fd, SOL_SOCKET, SO_PROTOCOL);
		get("domain", s[i].fd, SOL_SOCKET, SO_DOMAIN);
		get("listens", s[i].fd, SOL_SOCKET, SO_ACCEPTCONN);
	}
	did("set", set(s[2].fd, SOL_SOCKET, SO_TYPE, 2));
}

static void opt_nodelay(void)
{
	int fd = open_script("echo");
	set_get("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_get("TCP_CORK", fd, IPPROTO_TCP, TCP_CORK, 1);
	did("TCP_QUICKACK", set(fd, IPPROTO_TCP, TCP_QUICKACK, 1));
	get("then", fd, IPPROTO_TCP, TCP_QUICKACK);
}

static int value(int fd, int level, int opt)
{
	int v = -1;
	socklen_t len = sizeof v;
	return getsockopt(fd, level, opt, &v, &len) < 0 ? -1 : v;
}

static void opt_maxseg(void)
{
	int fd = tcp(four);
	get("new", fd, IPPROTO_TCP, TCP_MAXSEG);
	did("set", set(fd, IPPROTO_TCP, TCP_MAXSEG, 1000));
	must("connect", to(fd, four));
	int v = value(fd, IPPROTO_TCP, TCP_MAXSEG);
	did("connected", v);
	is("at most that", v > 0 && v <= 1000);
	v = value(open_script("echo"), IPPROTO_TCP, TCP_MAXSEG);
	did("unset", v);
	is("more than 536", v > 536);
	did("too small", set(fd, IPPROTO_TCP, TCP_MAXSEG, 1));
}

static const char *const tcp_states[] = {"?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"};

static struct tcp_info info(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof i;
	memset(&i, 0, sizeof i);
	must("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	return i;
}

static void state(const char *what, int fd) { say("%s %s", what, tcp_states[info(fd).tcpi_state]); }

static void opt_info(void)
{
	int hold[2];
	state("new", tcp(four));
	state("listener", listener("127.0.0.1", 1, NULL));
	struct addr at = stuck(hold);
	int fd = pending(at);
	to(fd, at);
	state("connecting", fd);
	close(hold[0]);
	close(hold[1]);
	fd = open_script("read 1;half;eof");
	state("connected", fd);
	struct tcp_info i = info(fd);
	is("has RTT and MSS", i.tcpi_rtt > 0 && i.tcpi_snd_mss > 0);
	send_text("go", "x", fd);
	recv_text("recv", fd, 1, 0);
	state("half", fd);
	fd = open_script("eof;pause 1000");
	must("shutdown", shutdown(fd, SHUT_WR));
	for (long deadline = now_ms() + WAIT; info(fd).tcpi_state != 5 && now_ms() < deadline; nap(1))
		;
	state("our half", fd);
	fd = open_script("rst");
	settle(fd, POLLHUP);
	state("reset", fd);
}

static const char *congestion(int fd)
{
	static char name[3][17];
	static int next;
	char *s = name[next++ % 3];
	socklen_t len = 16;
	memset(s, 0, 17);
	must("TCP_CONGESTION", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, s, &len));
	return s;
}

static int set_name(int fd, int opt, const char *name) { return setsockopt(fd, IPPROTO_TCP, opt, name, strlen(name)); }

static void opt_congestion(void)
{
	int fd = tcp(four);
	is("the system's", !strcmp(congestion(fd), system_text("net/ipv4/tcp_congestion_control")));
	did("reno", set_name(fd, TCP_CONGESTION, "reno"));
	say("then %s", congestion(fd));
	did("none of that name", set_name(fd, TCP_CONGESTION, "nonesuch"));
	did("connect", to(fd, four));
	say("then %s", congestion(fd));
}

static void system_number(const char *what, const char *name, int fd, int opt)
{
	char s[100];
	snprintf(s, sizeof s, "%s the system's", what);
	is(s, value(fd, IPPROTO_TCP, opt) == atoi(system_text(name)));
}

static void opt_keepalive(void)
{
	static const int opts[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};
	int fd = open_script("echo");
	set_get("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	system_number("TCP_KEEPIDLE", "net/ipv4/tcp_keepalive_time", fd, TCP_KEEPIDLE);
	system_number("TCP_KEEPINTVL", "net/ipv4/tcp_keepalive_intvl", fd, TCP_KEEPINTVL);
	system_number("TCP_KEEPCNT", "net/ipv4/tcp_keepalive_probes", fd, TCP_KEEPCNT);
	for (int i = 0; i < 3; i++) {
		did("set", set(fd, IPPROTO_TCP, opts[i], 9));
		get("then", fd, IPPROTO_TCP, opts[i]);
		did("0", set(fd, IPPROTO_TCP, opts[i], 0));
	}
	echo(fd);
}

static void opt_times(void)
{
	int fd = tcp(four);
	set_get("TCP_USER_TIMEOUT", fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	did("negative", set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1));
	system_number("TCP_SYNCNT", "net/ipv4/tcp_syn_retries", fd, TCP_SYNCNT);
	did("set", set(fd, IPPROTO_TCP, TCP_SYNCNT, 3));
	get("then", fd, IPPROTO_TCP, TCP_SYNCNT);
	system_number("TCP_LINGER2", "net/ipv4/tcp_fin_timeout", fd, TCP_LINGER2);
	did("set", set(fd, IPPROTO_TCP, TCP_LINGER2, 7));
	get("then", fd, IPPROTO_TCP, TCP_LINGER2);
	set_get("TCP_DEFER_ACCEPT", fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
}

static void opt_fastopen(void)
{
	struct addr at;
	int ln = listener("127.0.0.1", 8, &at);
	did("set", set(ln, IPPROTO_TCP, TCP_FASTOPEN, 5));
	get("then", ln, IPPROTO_TCP, TCP_FASTOPEN);
	did("sendto", sendto(tcp(at), "abc", 3, MSG_FASTOPEN, &at.sa, at.len));
	recv_text("recv", take(ln, NULL), 10, 0);
}

/* tls sets it and returns 0 or the errno. */
static int tls(int fd) { return set_name(fd, TCP_ULP, "tls") < 0 ? errno : 0; }

static void opt_ulp(void)
{
	int fd = tcp(four), unconnected = tls(fd);
	char b[16], list[200];
	socklen_t len = sizeof b;
	did("none of that name", set_name(fd, TCP_ULP, "nonesuch"));
	did("get", getsockopt(fd, IPPROTO_TCP, TCP_ULP, b, &len));
	int connected = tls(open_script("echo"));
	snprintf(list, sizeof list, " %s ", system_text("net/ipv4/tcp_available_ulp"));
	if (strstr(list, " tls "))
		is("tls as the system has it", unconnected == ENOTCONN && connected == 0);
	else
		is("tls as the system has it", unconnected == ENOENT && connected == ENOENT);
}

static void opt_buffers(void)
{
	static const struct {
		const char *what;
		int level, opt, set;
	} o[] = {{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 50000}, {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 40000},
		 {"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 30000}, {"TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000},
		 {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 10}};
	int fd = tcp(four), middle = 0;
	for (int i = 0; i < 5; i++) {
		did(o[i].what, set(fd, o[i].level, o[i].opt, o[i].set));
		get("then", fd, o[i].level, o[i].opt);
	}
	must("SO_RCVLOWAT", set(fd, SOL_SOCKET, SO_RCVLOWAT, 1));
	must("connect", to(fd, four));
	get("connected", fd, SOL_SOCKET, SO_RCVBUF);
	hand(fd, "send 200000;eof");
	recv_pattern("recv", fd, 200000);
	sscanf(system_text("net/ipv4/tcp_rmem"), "%*d %d", &middle);
	is("default as the system's", middle <= value(open_script("eof"), SOL_SOCKET, SO_RCVBUF));
}

static void opt_ip(void)
{
	int fd = tcp(four);
	char b[40];
	socklen_t len = sizeof b;
	set_get("IP_TOS", fd, IPPROTO_IP, IP_TOS, 0x10);
	set_get("IP_TTL", fd, IPPROTO_IP, IP_TTL, 9);
	set_get("IP_MTU_DISCOVER", fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	did("IP_MTU", value(fd, IPPROTO_IP, IP_MTU));
	fd = open_script("echo");
	did("IP_OPTIONS", getsockopt(fd, IPPROTO_IP, IP_OPTIONS, b, &len));
	say("size %d", (int)len);
	int v = value(fd, IPPROTO_IP, IP_MTU);
	did("IP_MTU", v);
	is("at least 1280", v >= 1280);
	did("IP_TOS", set(fd, IPPROTO_IP, IP_TOS, 0x08));
	echo(fd);
}

static void opt_ipv6(void)
{
	int fd = make_socket(AF_INET6, SOCK_STREAM, 0);
	set_get("IPV6_V6ONLY", fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	set_get("IPV6_TCLASS", fd, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	set_get("IPV6_UNICAST_HOPS", fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
	did("on IPv4", set(tcp(four), IPPROTO_IPV6, IPV6_V6ONLY, 1));
	did("IP_TOS on IPv6", set(fd, IPPROTO_IP, IP_TOS, 0x10));
}

static void opt_socket(void)
{
	static const struct {
		const char *what;
		int opt;
	} o[] = {{"SO_REUSEADDR", SO_REUSEADDR}, {"SO_REUSEPORT", SO_REUSEPORT}, {"SO_BROADCAST", SO_BROADCAST}, {"SO_OOBINLINE", SO_OOBINLINE},
		 {"SO_DONTROUTE", SO_DONTROUTE}, {"SO_TIMESTAMP", SO_TIMESTAMP}, {"SO_PRIORITY", SO_PRIORITY}};
	int fd = tcp(four);
	for (int i = 0; i < 7; i++)
		set_get(o[i].what, fd, SOL_SOCKET, o[i].opt, 1);
	get("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
}

static void opt_linger(void)
{
	int fd = open_script("echo");
	struct linger l = {1, 3}, off = {0, 0};
	socklen_t len = sizeof l;
	did("set", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
	did("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	say("size %d, on %d, %ds", (int)len, l.l_onoff, l.l_linger);
	did("short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
	did("off", setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off));
	echo(fd);
}

static void opt_peercred(void)
{
	int fd = open_script("echo");
	struct ucred c;
	socklen_t len = sizeof c;
	must("SO_PEERCRED", getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len));
	say("pid %d, uid %d, gid %d", c.pid, (int)c.uid, (int)c.gid);
	uint64_t a = 0, b = 0;
	len = sizeof a;
	did("SO_COOKIE", getsockopt(fd, SOL_SOCKET, SO_COOKIE, &a, &len));
	must("SO_COOKIE", getsockopt(tcp(four), SOL_SOCKET, SO_COOKIE, &b, &len));
	is("unlike", a != 0 && b != 0 && a != b);
}

static void opt_bad(void)
{
	int fd = tcp(four), v;
	char b[5] = "####";
	socklen_t len = sizeof v;
	did("get", getsockopt(fd, SOL_SOCKET, 9999, &v, &len));
	did("set", set(fd, SOL_SOCKET, 9999, 1));
	did("TCP", set(fd, IPPROTO_TCP, 9999, 1));
	did("level", set(fd, 9999, 1, 1));
	did("short", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, b, 2));
	did("nowhere", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, (void *)1, 4));
	len = 1;
	did("short get", getsockopt(fd, SOL_SOCKET, SO_TYPE, b, &len));
	say("size %d, rest %s", (int)len, b + 1);
	len = -1;
	did("negative get", getsockopt(fd, SOL_SOCKET, SO_TYPE, b, &len));
	did("bad descriptor", set(9999, SOL_SOCKET, SO_REUSEADDR, 1));
	did("no socket", set(1, SOL_SOCKET, SO_REUSEADDR, 1));
}

static void opt_mark(void)
{
	int fd = tcp(four), rc = set(fd, SOL_SOCKET, SO_MARK, 7);
	bool can = may(NET_ADMIN) || may(NET_RAW);
	if (can ? rc == 0 : rc < 0 && errno == EPERM)
		say("set as its rights are");
	else
		did("set", rc);
	did("connect", to(fd, four));
	hand(fd, "echo");
	echo(fd);
}

static void opt_filter(void)
{
	int fd = open_script("echo");
	struct sock_filter all[] = {{BPF_RET | BPF_K, 0, 0, 0xffffffff}};
	struct sock_fprog p = {1, all};
	did("attach", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p));
	echo(fd);
	did("detach", set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0));
	echo(fd);
}

const struct question option_questions[] = {
	{"opt-identity", opt_identity, 0},
	{"opt-nodelay", opt_nodelay, 0},
	{"opt-maxseg", opt_maxseg, 0},
	{"opt-info", opt_info, 0},
	{"opt-congestion", opt_congestion, 0},
	{"opt-keepalive", opt_keepalive, 0},
	{"opt-times", opt_times, 0},
	{"opt-fastopen", opt_fastopen, 0},
	{"opt-ulp", opt_ulp, 0},
	{"opt-buffers", opt_buffers, 0},
	{"opt-ip", opt_ip, 0},
	{"opt-ipv6", opt_ipv6, 0},
	{"opt-socket", opt_socket, 0},
	{"opt-linger", opt_linger, 0},
	{"opt-peercred", opt_peercred, 0},
	{"opt-bad", opt_bad, 0},
	{"opt-mark", opt_mark, 0},
	{"opt-filter", opt_filter, 0},
	{0},
};
