#include "probe.h"
#include <sys/mman.h>

static void accept_flags(void)
{
	static const int flags[] = {0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC};
	int ln = listener("0.0.0.0", 8, NULL);
	set_nonblock(ln, true);
	for (int i = 0; i < 4; i++) {
		call(ln, "eof");
		poll_one(ln, POLLIN, WAIT);
		int fd = must("accept4", accept4(ln, NULL, NULL, flags[i]));
		say("nonblock %s cloexec %s", fcntl(fd, F_GETFL) & O_NONBLOCK ? "true" : "false", fcntl(fd, F_GETFD) & FD_CLOEXEC ? "true" : "false");
	}
	did("bad flag", accept4(ln, NULL, NULL, 1));
}

static void accept_null(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	for (int i = 0; i < 3; i++)
		call(ln, "eof");
	poll_one(ln, POLLIN, WAIT);
	did("no address", accept(ln, NULL, NULL));
	char b[17] = "################";
	socklen_t len = 4;
	poll_one(ln, POLLIN, WAIT);
	did("short", accept(ln, (struct sockaddr *)b, &len));
	say("size %d, rest %s", (int)len, b + 4);
	poll_one(ln, POLLIN, WAIT);
	len = -1;
	did("negative", accept(ln, (struct sockaddr *)b, &len));
}

static void accept_bad(void)
{
	did("new", accept4(tcp(four), NULL, NULL, 0));
	int fd = tcp(four);
	must("bind", bind_to(fd, parse("127.0.0.1", 0)));
	did("bound", accept4(fd, NULL, NULL, 0));
	did("connected", accept4(open_script("echo"), NULL, NULL, 0));
	did("UDP", accept4(udp(four), NULL, NULL, 0));
	did("bad descriptor", accept4(9999, NULL, NULL, 0));
	did("a file", accept4(must("memfd", memfd_create("x", MFD_CLOEXEC)), NULL, NULL, 0));
}

static void accept_later(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	set_nonblock(ln, true);
	did("accept", accept4(ln, NULL, NULL, 0));
	say("poll %s", wait_for(ln, ALL, 0));
	call(ln, "eof");
	say("poll %s", wait_for(ln, ALL, WAIT));
	did("accept", accept4(ln, NULL, NULL, 0));
	say("poll %s", wait_for(ln, ALL, 0));
	did("accept", accept4(ln, NULL, NULL, 0));
}

static void accept_timeout(void)
{
	int ln = listener("127.0.0.1", 8, NULL);
	struct timeval tv = {0, SILENCE * 1000};
	must("SO_RCVTIMEO", setsockopt(ln, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	long start = now_ms();
	did("accept", accept4(ln, NULL, NULL, 0));
	is("after the time", now_ms() - start >= SILENCE * 9 / 10);
}

static void accept_after_reset(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	const char *k = key();
	call(ln, "note %s,send 3,rst", k);
	noted(k);
	int conn = take(ln, NULL);
	say("poll %s", settle(conn, POLLHUP));
	for (int i = 0; i < 3; i++)
		recv_text("recv", conn, 10, 0);
}

static void accept_inherits(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	must("setsockopt", set(ln, IPPROTO_TCP, TCP_NODELAY, 1));
	must("setsockopt", set(ln, SOL_SOCKET, SO_KEEPALIVE, 1));
	must("setsockopt", set(ln, IPPROTO_TCP, TCP_KEEPIDLE, 77));
	must("setsockopt", set(ln, SOL_SOCKET, SO_REUSEADDR, 1));
	must("setsockopt", set(ln, IPPROTO_TCP, TCP_USER_TIMEOUT, 1234));
	must("setsockopt", set(ln, IPPROTO_IP, IP_TTL, 33));
	int conn = called(ln, NULL, "eof");
	get("TCP_NODELAY", conn, IPPROTO_TCP, TCP_NODELAY);
	get("SO_KEEPALIVE", conn, SOL_SOCKET, SO_KEEPALIVE);
	get("TCP_KEEPIDLE", conn, IPPROTO_TCP, TCP_KEEPIDLE);
	get("SO_REUSEADDR", conn, SOL_SOCKET, SO_REUSEADDR);
	get("TCP_USER_TIMEOUT", conn, IPPROTO_TCP, TCP_USER_TIMEOUT);
	get("IP_TTL", conn, IPPROTO_IP, IP_TTL);
	get("SO_ACCEPTCONN", conn, SOL_SOCKET, SO_ACCEPTCONN);
}

static void accept_data_waits(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	const char *k = key();
	call(ln, "note %s,say early,half,eof", k);
	int conn = take(ln, NULL);
	say("poll %s", settle(conn, POLLRDHUP));
	recv_text("recv", conn, 10, 0);
	recv_text("recv", conn, 10, 0);
	send_text("send", "late", conn);
	close(conn);
	say("the other end has %s", brief(noted(k)));
}

static void listen_states(void)
{
	struct addr at;
	int ln = listener("127.0.0.1", 1, &at);
	did("twice", listen(ln, 8));
	did("connect", to(ln, four));
	recv_text("recv", ln, 1, 0);
	send_text("send", "x", ln);
	int fd = tcp(at);
	did("unbound", listen(fd, 1));
	is("has a port", port_of(sockname(fd)) != 0);
	did("negative backlog", listen(fd, -1));
	did("connected", listen(open_script("echo"), 1));
	did("UDP", listen(udp(four), 1));
	did("bad descriptor", listen(9999, 1));
	did("bind again", bind_to(ln, parse("127.0.0.1", 0)));
}

static void listen_backlog(void)
{
	struct addr at;
	int fds[6], connected = 0;
	listener("127.0.0.1", 2, &at);
	for (int i = 0; i < 6; i++) {
		fds[i] = pending(at);
		if (to(fds[i], at) == 0 || errno != EINPROGRESS)
			did("connect", -1);
	}
	nap(SILENCE);
	for (int i = 0; i < 6; i++)
		connected += poll_one(fds[i], POLLOUT, 0) == POLLOUT;
	say("of 6 with a backlog of 2 are connected %d", connected);
}

static void listen_close(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	const char *k = key();
	char on[200];
	snprintf(on, sizeof on, "%s-on", k);
	call(ln, "mark %s,note %s,eof", on, k);
	noted(on);
	poll_one(ln, POLLIN, WAIT);
	did("close", close(ln));
	say("the other end has %s", first(noted(k)));
}

static void listen_shutdown(void)
{
	struct addr at;
	int ln = listener("127.0.0.1", 8, &at);
	did("shutdown", shutdown(ln, SHUT_RD));
	did("accept", accept4(ln, NULL, NULL, 0));
	say("poll %s", wait_for(ln, ALL, 0));
	did("connect", to(tcp(at), at));
	did("listen again", listen(ln, 8));
	did("connect", to(tcp(at), at));
}

static void ask_back(const char *what, int port)
{
	const char *k = key();
	close(open_script("back %d note %s,echo", port, k));
	say("%s %s", what, noted(k));
}

static void listen_closed_refuses(void)
{
	int fd = tcp(four);
	must("bind", bind_to(fd, parse("0.0.0.0", 0)));
	int port = port_of(sockname(fd));
	ask_back("bound:", port);
	must("listen", listen(fd, 8));
	int conn = called(fd, NULL, "echo");
	echo(conn);
	close(conn);
	close(fd);
	ask_back("closed:", port);
}

static void listen_one_address(void)
{
	static const char *const hosts[] = {"127.0.0.2", "::1", "127.0.0.1"};
	struct addr at;
	listener("127.0.0.1", 8, &at);
	for (int i = 0; i < 3; i++) {
		struct addr a = parse(hosts[i], port_of(at));
		did(hosts[i], to(tcp(a), a));
	}
}

static void listen_defer_accept(void)
{
	struct addr at;
	int ln = listener("127.0.0.1", 8, &at);
	did("set", set(ln, IPPROTO_TCP, TCP_DEFER_ACCEPT, 2));
	int fd = tcp(at);
	did("connect", to(fd, at));
	say("before data %s", wait_for(ln, POLLIN, SILENCE));
	send_text("send", "abc", fd);
	say("after data %s", wait_for(ln, POLLIN, WAIT));
	recv_text("recv", take(ln, NULL), 10, 0);
}

static void listen_many(void)
{
	enum { MANY = 30 };
	struct addr at, froms[MANY];
	int ln = listener("0.0.0.0", 200, &at), names = 0;
	char script[1000] = "";
	for (int i = 0; i < MANY; i++)
		sprintf(script + strlen(script), "%sback %d say hello", i ? ";" : "", port_of(at));
	close(open_script("%s", script));
	for (int i = 0; i < MANY; i++) {
		bool another = true;
		int conn = take(ln, &froms[i]);
		for (int k = 0; k < i; k++)
			another = another && !same(froms[i], froms[k]);
		names += another;
		if (strcmp(line(conn), "hello"))
			say("no hello");
		close(conn);
	}
	say("names %d", names);
}

const struct question listen_questions[] = {
	{"accept-flags", accept_flags, 0},
	{"accept-null", accept_null, 0},
	{"accept-bad", accept_bad, 0},
	{"accept-nb", accept_later, 0},
	{"accept-rcvtimeo", accept_timeout, 0},
	{"accept-after-reset", accept_after_reset, 0},
	{"accept-inherits", accept_inherits, 0},
	{"accept-data-waits", accept_data_waits, 0},
	{"listen-states", listen_states, 0},
	{"listen-backlog", listen_backlog, 0},
	{"listen-close", listen_close, 0},
	{"listen-shutdown", listen_shutdown, 0},
	{"listen-closed-refuses", listen_closed_refuses, 0},
	{"listen-one-address", listen_one_address, 0},
	{"listen-defer-accept", listen_defer_accept, 0},
	{"listen-many", listen_many, 0},
	{0},
};
