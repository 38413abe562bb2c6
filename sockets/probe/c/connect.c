#include "probe.h"

static void connect_open(struct addr a)
{
	int fd = tcp(a);
	did("connect", to(fd, a));
	so_error(fd);
	is("peer as asked", same(peername(fd), a));
	hand(fd, "echo");
	echo(fd);
}

static void connect_open_4(void) { connect_open(four); }
static void connect_open_6(void) { connect_open(six); }

static void getpeername_of(const char *what, int fd)
{
	struct addr a;
	a.len = sizeof a.ss;
	did(what, getpeername(fd, &a.sa, &a.len));
}

static void connect_closed(struct addr a)
{
	int fd = tcp(a);
	did("connect", to(fd, closed(a)));
	so_error(fd);
	getpeername_of("getpeername", fd);
	did("again", to(fd, closed(a)));
	did("to a listener", to(fd, a));
	hand(fd, "echo");
	echo(fd);
}

static void connect_closed_4(void) { connect_closed(four); }
static void connect_closed_6(void) { connect_closed(six); }

static void connect_later(struct addr a)
{
	int fd = pending(a);
	did("connect", to(fd, a));
	say("poll %s", wait_for(fd, ALL, WAIT));
	so_error(fd);
	did("second", to(fd, a));
	did("third", to(fd, a));
	set_nonblock(fd, false);
	hand(fd, "echo");
	echo(fd);
}

static void connect_later_4(void) { connect_later(four); }
static void connect_later_6(void) { connect_later(six); }

static void connect_refused_later(struct addr a)
{
	int fd = pending(a);
	did("connect", to(fd, closed(a)));
	say("poll %s", wait_for(fd, ALL, WAIT));
	so_error(fd);
	so_error(fd);
	say("poll %s", wait_for(fd, ALL, 0));
	send_text("send", "x", fd);
	recv_text("recv", fd, 1, 0);
	getpeername_of("getpeername", fd);
}

static void connect_refused_later_4(void) { connect_refused_later(four); }
static void connect_refused_later_6(void) { connect_refused_later(six); }

static void connect_refused_again(void)
{
	int fd = pending(four);
	did("connect", to(fd, closed(four)));
	say("poll %s", wait_for(fd, ALL, WAIT));
	did("second", to(fd, closed(four)));
	did("third", to(fd, closed(four)));
	say("poll %s", wait_for(fd, ALL, WAIT));
	recv_text("recv", fd, 1, 0);
}

static void connect_pending(void)
{
	int hold[2];
	struct addr at = stuck(hold);
	int fd = pending(at);
	did("connect", to(fd, at));
	did("again", to(fd, at));
	say("poll %s", wait_for(fd, ALL, SILENCE));
	so_error(fd);
	is("has a name", port_of(sockname(fd)) != 0);
	getpeername_of("getpeername", fd);
	send_text("send", "x", fd);
	recv_text("recv", fd, 1, 0);
	did("bind", bind_to(fd, parse("0.0.0.0", 0)));
	did("listen", listen(fd, 1));
	did("shutdown", shutdown(fd, SHUT_WR));
	did("connect elsewhere", to(fd, four));
	say("poll %s", wait_for(fd, ALL, WAIT));
	set_nonblock(fd, false);
	hand(fd, "echo");
	echo(fd);
}

static void connect_sndtimeo(void)
{
	int hold[2];
	struct addr at = stuck(hold);
	int fd = tcp(at);
	struct timeval tv = {0, 60000};
	did("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	did("connect", to(fd, at));
	did("again", to(fd, at));
}

static void connect_close_pending(void)
{
	int hold[2];
	struct addr at = stuck(hold);
	for (int i = 0; i < 20; i++) {
		int fd = pending(at);
		if (to(fd, at) == 0 || errno != EINPROGRESS)
			did("connect", -1);
		close(fd);
	}
	connect_open(four);
}

static void connect_twice(void)
{
	int fd = open_script("echo");
	did("same", to(fd, four));
	did("other", to(fd, closed(four)));
	echo(fd);
}

static int dissolve(int fd)
{
	struct sockaddr_in none;
	memset(&none, 0, sizeof none);
	return connect(fd, (struct sockaddr *)&none, sizeof none);
}

static void connect_unspec(void)
{
	const char *k = key();
	int fd = open_script("note %s;eof", k);
	did("dissolve", dissolve(fd));
	getpeername_of("getpeername", fd);
	say("the other end has %s", first(noted(k)));
	did("connect", to(fd, four));
	hand(fd, "echo");
	echo(fd);
	did("dissolve a new one", dissolve(tcp(four)));
}

static void connect_bad(void)
{
	struct addr in = parse("127.0.0.1", 1), in6 = parse("::1", 1);
	char big[300];
	memset(big, 0, sizeof big);
	memcpy(big, &in.in, sizeof in.in);
	did("short", connect(tcp(four), &in.sa, 8));
	did("empty", connect(tcp(four), &in.sa, 0));
	did("negative", connect(tcp(four), &in.sa, -1));
	did("long", connect(tcp(four), (struct sockaddr *)big, 200));
	did("6 on 4", connect(tcp(four), &in6.sa, 28));
	did("4 on 6", connect(tcp(in6), &in.sa, 16));
	did("bad pointer", connect(tcp(four), (struct sockaddr *)1, 16));
	did("bad descriptor", to(9999, in));
	did("no socket", to(1, in));
}

static void connect_port_0(void) { did("connect", to(tcp(four), with_port(four, 0))); }

static void connect_unrouted(const char *host)
{
	struct addr a = parse(host, 7);
	did("connect", to(tcp(a), a));
	int fd = pending(a);
	did("non-blocking", to(fd, a));
	so_error(fd);
	say("poll %s", wait_for(fd, ALL, 0));
}

static void connect_unrouted_4(void) { connect_unrouted("203.0.113.1"); }
static void connect_unrouted_6(void) { connect_unrouted("2001:db8::1"); }

static void connect_any(void)
{
	static const char *const hosts[] = {"0.0.0.0", "::"};
	for (int i = 0; i < 2; i++) {
		struct addr at, from;
		int ln = listener(hosts[i], 8, &at), fd = tcp(at);
		did(hosts[i], to(fd, at));
		say("peer %s", host_text(peername(fd)));
		int conn = take(ln, &from);
		say("from %s", host_text(unmapped(from)));
		is("accepted its own", same(from, sockname(fd)) && same(sockname(conn), peername(fd)));
	}
}

static void connect_loopback(void)
{
	struct addr at, from;
	int ln = listener("0.0.0.0", 8, &at);
	struct addr a = parse("127.9.9.9", port_of(at));
	int fd = tcp(a);
	did("connect", to(fd, a));
	say("peer %s", host_text(peername(fd)));
	int conn = take(ln, &from);
	say("from %s", host_text(from));
	say("accepted at %s", host_text(sockname(conn)));
	did("nobody there", to(tcp(a), with_port(a, 1)));
}

static void connect_own(void)
{
	struct addr own = sockname(open_script("echo")), at, from;
	int ln = listener("0.0.0.0", 8, &at);
	struct addr a = with_port(own, port_of(at));
	int fd = tcp(a);
	did("connect", to(fd, a));
	take(ln, &from);
	is("from the same address", same_host(from, own));
	is("from its name", same(from, sockname(fd)));
	did("closed port", to(tcp(a), with_port(own, 1)));
}

static void connect_broadcast(void)
{
	static const char *const hosts[] = {"255.255.255.255", "224.0.0.1", "239.1.2.3", "ff02::1"};
	for (int i = 0; i < 4; i++) {
		struct addr a = parse(hosts[i], 7);
		did(hosts[i], to(tcp(a), a));
	}
	int fd = tcp(four);
	set(fd, SOL_SOCKET, SO_BROADCAST, 1);
	did("with SO_BROADCAST", to(fd, parse("255.255.255.255", 7)));
}

static void connect_mapped(void)
{
	char host[100];
	snprintf(host, sizeof host, "::ffff:%s", host_text(four));
	struct addr a = parse(host, port_of(four));
	int fd = tcp(a);
	did("connect", to(fd, a));
	is("peer as asked", same(peername(fd), a));
	is("name is mapped", is_mapped(sockname(fd)));
	hand(fd, "echo");
	echo(fd);
	did("closed port", to(tcp(a), closed(a)));
	fd = tcp(a);
	must("IPV6_V6ONLY", set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	did("with IPV6_V6ONLY", to(fd, a));
}

static void connect_scope(void)
{
	struct addr a = parse("fe80::1", 7);
	did("connect", to(tcp(a), a));
}

static void connect_self(void)
{
	int fd = tcp(four);
	must("bind", bind_to(fd, parse("127.0.0.1", 0)));
	did("connect", to(fd, sockname(fd)));
	is("peer is itself", same(peername(fd), sockname(fd)));
	echo(fd);
	did("shutdown", shutdown(fd, SHUT_WR));
	recv_text("recv", fd, 1, 0);
}

static void connect_fastopen(void)
{
	int fd = tcp(four);
	did("sendto", sendto(fd, "echo\n", 5, MSG_FASTOPEN, &four.sa, four.len));
	is("peer as asked", same(peername(fd), four));
	echo(fd);
	fd = tcp(four);
	did("TCP_FASTOPEN_CONNECT", set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
	did("connect", to(fd, four));
	hand(fd, "echo");
	echo(fd);
	struct addr none = closed(four);
	did("closed port", sendto(tcp(four), "x", 1, MSG_FASTOPEN, &none.sa, none.len));
}

const struct question connect_questions[] = {
	{"connect-open-4", connect_open_4, 0},
	{"connect-open-6", connect_open_6, 0},
	{"connect-closed-4", connect_closed_4, 0},
	{"connect-closed-6", connect_closed_6, 0},
	{"connect-nb-open-4", connect_later_4, 0},
	{"connect-nb-open-6", connect_later_6, 0},
	{"connect-nb-closed-4", connect_refused_later_4, 0},
	{"connect-nb-closed-6", connect_refused_later_6, 0},
	{"connect-nb-closed-again", connect_refused_again, 0},
	{"connect-pending", connect_pending, 0},
	{"connect-sndtimeo", connect_sndtimeo, 0},
	{"connect-close-pending", connect_close_pending, 0},
	{"connect-twice", connect_twice, 0},
	{"connect-unspec", connect_unspec, 0},
	{"connect-bad", connect_bad, 0},
	{"connect-port-0", connect_port_0, 0},
	{"connect-unrouted-4", connect_unrouted_4, 0},
	{"connect-unrouted-6", connect_unrouted_6, 0},
	{"connect-any", connect_any, 0},
	{"connect-127.9.9.9", connect_loopback, 0},
	{"connect-own-address", connect_own, 0},
	{"connect-broadcast", connect_broadcast, 0},
	{"connect-mapped", connect_mapped, 0},
	{"connect-scope", connect_scope, 0},
	{"connect-self", connect_self, 0},
	{"connect-fastopen", connect_fastopen, 0},
	{0},
};
