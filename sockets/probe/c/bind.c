#include "probe.h"
#include <ifaddrs.h>
#include <net/if.h>

static void bind_zero(void)
{
	int a = tcp(four), b = tcp(four);
	did("one", bind_to(a, parse("127.0.0.1", 0)));
	did("two", bind_to(b, parse("127.0.0.1", 0)));
	is("ports", port_of(sockname(a)) != 0 && port_of(sockname(a)) != port_of(sockname(b)));
}

static void bind_in_use(void)
{
	int fd[3] = {tcp(four), tcp(four), tcp(four)};
	must("bind", bind_to(fd[0], parse("127.0.0.1", 0)));
	struct addr at = sockname(fd[0]);
	did("bound", bind_to(fd[1], at));
	for (int i = 0; i < 3; i++)
		must("SO_REUSEADDR", set(fd[i], SOL_SOCKET, SO_REUSEADDR, 1));
	did("both with SO_REUSEADDR", bind_to(fd[1], at));
	did("one listens", listen(fd[0], 1));
	did("the other", listen(fd[1], 1));
	did("a third binds", bind_to(fd[2], at));
	close(fd[0]);
	close(fd[1]);
	did("after close", bind_to(fd[2], at));
}

static void bind_in_use_any(void)
{
	static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:127.0.0.3"};
	struct addr at;
	listener("127.0.0.1", 1, &at);
	for (int i = 0; i < 7; i++) {
		struct addr a = parse(hosts[i], port_of(at));
		int fd = tcp(a);
		did(hosts[i], bind_to(fd, a));
		close(fd);
	}
}

static void bind_rebind(void)
{
	for (int far = 0; far < 2; far++) {
		struct addr at = parse(far ? "0.0.0.0" : "127.0.0.1", 0);
		int ln = tcp(at), conn;
		must("SO_REUSEADDR", set(ln, SOL_SOCKET, SO_REUSEADDR, 1));
		must("bind", bind_to(ln, at));
		must("listen", listen(ln, 8));
		at = sockname(ln);
		if (far) {
			conn = called(ln, NULL, "echo");
		} else {
			must("connect", to(tcp(at), at));
			conn = take(ln, NULL);
		}
		must("shutdown", shutdown(conn, SHUT_WR)); /* ours ends first: it is the one that waits */
		if (far)
			recv_text("recv", conn, 1, 0);
		close(conn);
		close(ln);
		int fd = tcp(at);
		did("plainly", bind_to(fd, at));
		must("SO_REUSEADDR", set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
		did("with SO_REUSEADDR", bind_to(fd, at));
		did("listen", listen(fd, 8));
		if (far)
			echo(called(fd, NULL, "echo"));
	}
}

static int shared(struct addr a)
{
	int fd = tcp(a);
	must("SO_REUSEPORT", set(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	return fd;
}

static void bind_reuseport(void)
{
	enum { MANY = 40 };
	struct addr at = parse("0.0.0.0", 0);
	int a = shared(at);
	did("one", bind_to(a, at));
	at = sockname(a);
	int b = shared(at);
	did("two", bind_to(b, at));
	did("without", bind_to(tcp(at), at));
	did("listen", listen(a, 200));
	did("listen", listen(b, 200));
	char script[1000] = "";
	for (int i = 0; i < MANY; i++)
		sprintf(script + strlen(script), "%sback %d eof", i ? ";" : "", port_of(at));
	close(open_script("%s", script));
	int got[2] = {0, 0};
	for (int i = 0; i < MANY; i++) {
		struct pollfd p[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
		must("poll", poll(p, 2, WAIT));
		for (int k = 0; k < 2; k++)
			if (p[k].revents) {
				close(must("accept", accept4(p[k].fd, NULL, NULL, 0)));
				got[k]++;
				break;
			}
	}
	is("all came", got[0] + got[1] == MANY);
	is("to both", got[0] > 0 && got[1] > 0);
}

static void bind_foreign(const char *host, int level, int freebind)
{
	struct addr a = parse(host, 0);
	int fd = tcp(a);
	did("bind", bind_to(fd, a));
	did("port 7777", bind_to(fd, with_port(a, 7777)));
	did("FREEBIND", set(fd, level, freebind, 1));
	did("bind", bind_to(fd, a));
}

static void bind_foreign_4(void) { bind_foreign("203.0.113.9", IPPROTO_IP, IP_FREEBIND); }
static void bind_foreign_6(void) { bind_foreign("2001:db8::9", IPPROTO_IPV6, IPV6_FREEBIND); }

static void bind_own(void)
{
	struct addr own = with_port(sockname(open_script("echo")), 0);
	int ln = tcp(own);
	did("bind", bind_to(ln, own));
	is("address", same_host(sockname(ln), own));
	did("listen", listen(ln, 8));
	echo(called(ln, NULL, "echo"));
	int fd = tcp(own);
	did("bind", bind_to(fd, own));
	did("connect", to(fd, four));
	is("address", same_host(sockname(fd), own));
	hand(fd, "echo");
	echo(fd);
}

static void bind_bad(void)
{
	struct addr in = parse("127.0.0.1", 0), in6 = parse("::1", 0);
	char none[16] = {0};
	did("short", bind(tcp(four), &in.sa, 8));
	did("empty", bind(tcp(four), &in.sa, 0));
	did("negative", bind(tcp(four), &in.sa, -1));
	did("6 on 4", bind(tcp(four), &in6.sa, 28));
	did("4 on 6", bind(tcp(in6), &in.sa, 16));
	did("bad pointer", bind(tcp(four), (struct sockaddr *)1, 16));
	did("bad descriptor", bind_to(9999, in));
	did("no family, any address", bind(tcp(four), (struct sockaddr *)none, 16));
	int fd = tcp(four);
	did("once", bind_to(fd, in));
	did("twice", bind_to(fd, in));
	did("connected", bind_to(open_script("echo"), in));
}

static void bind_low(void)
{
	struct addr a = parse("127.0.0.1", 611);
	rightly("bind", NET_BIND_SERVICE, bind_to(tcp(a), a), EACCES);
}

static void bind_v6only(void)
{
	struct addr at, from;
	int ln = listener("0.0.0.0", 8, &at), fd = make_socket(AF_INET6, SOCK_STREAM, 0);
	must("IPV6_V6ONLY", set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	did("6", bind_to(fd, parse("::", port_of(at))));
	did("listen", listen(fd, 8));
	struct addr a = parse("127.0.0.1", port_of(at));
	did("127.0.0.1", to(tcp(a), a));
	a = parse("::1", port_of(at));
	did("::1", to(tcp(a), a));
	take(ln, &from);
	say("from %s", host_text(from));
	take(fd, &from);
	say("from %s", host_text(from));
	did("after bind", set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
}

static void bind_multicast(void)
{
	static const char *const hosts[] = {"224.0.0.1", "255.255.255.255", "127.255.255.255", "127.77.0.1", "ff02::1", "::ffff:203.0.113.9"};
	for (int i = 0; i < 6; i++) {
		struct addr a = parse(hosts[i], 0);
		did(hosts[i], bind_to(tcp(a), a));
	}
}

static int bind_to_device(int fd, const char *name) { return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, strlen(name)); }

static void bind_device(void)
{
	struct addr at;
	int ln = listener("127.0.0.1", 8, &at);
	did("listener", bind_to_device(ln, "lo"));
	int fd = tcp(at);
	did("lo", bind_to_device(fd, "lo"));
	char name[IFNAMSIZ] = "", what[64];
	socklen_t len = sizeof name;
	int rc = getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len);
	snprintf(what, sizeof what, "get %s", name);
	did(what, rc);
	did("connect", to(fd, at));
	did("none of that name", bind_to_device(tcp(at), "none0"));
}

/* device_of names the interface with that address; every one of 127.0.0.0/8 is lo's. */
static const char *device_of(struct addr a)
{
	static char name[IFNAMSIZ] = "none";
	struct ifaddrs *list, *i;
	must("getifaddrs", getifaddrs(&list));
	for (i = list; i; i = i->ifa_next) {
		struct addr b;
		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		memset(&b, 0, sizeof b);
		b.len = i->ifa_addr->sa_family == AF_INET ? sizeof b.in : sizeof b.in6;
		memcpy(&b.ss, i->ifa_addr, b.len);
		bool local = a.sa.sa_family == AF_INET && ntohl(a.in.sin_addr.s_addr) >> 24 == 127 && i->ifa_flags & IFF_LOOPBACK;
		if (same_host(a, b) || local)
			snprintf(name, sizeof name, "%s", i->ifa_name);
	}
	freeifaddrs(list);
	return name;
}

static void bind_device_uplink(void)
{
	const char *device = device_of(sockname(open_script("echo")));
	int fd = tcp(four);
	did("bind", bind_to_device(fd, device));
	did("connect", to(fd, four));
	hand(fd, "echo");
	echo(fd);
}

const struct question bind_questions[] = {
	{"bind-zero", bind_zero, 0},
	{"bind-in-use", bind_in_use, 0},
	{"bind-in-use-any", bind_in_use_any, 0},
	{"bind-rebind", bind_rebind, 0},
	{"bind-reuseport", bind_reuseport, 0},
	{"bind-foreign-4", bind_foreign_4, 0},
	{"bind-foreign-6", bind_foreign_6, 0},
	{"bind-own", bind_own, 0},
	{"bind-bad", bind_bad, 0},
	{"bind-low", bind_low, 0},
	{"bind-v6only", bind_v6only, 0},
	{"bind-multicast", bind_multicast, 0},
	{"bind-device", bind_device, 0},
	{"bind-device-uplink", bind_device_uplink, 0},
	{0},
};
