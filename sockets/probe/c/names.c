#include "probe.h"

static int getpeername_rc(int fd)
{
	struct addr a;
	a.len = sizeof a.ss;
	return getpeername(fd, &a.sa, &a.len);
}

static void names_new(void)
{
	static const int families[] = {AF_INET, AF_INET6};
	for (int i = 0; i < 2; i++) {
		int fd = make_socket(families[i], SOCK_STREAM, 0);
		say("%s", host_port_text(sockname(fd)));
		did("getpeername", getpeername_rc(fd));
	}
}

static void names_bound(void)
{
	int fd = tcp(four);
	must("bind", bind_to(fd, parse("127.0.0.1", 0)));
	say("%s", host_text(sockname(fd)));
	is("has a port", port_of(sockname(fd)) != 0);
	did("getpeername", getpeername_rc(fd));
	must("listen", listen(fd, 1));
	did("of a listener", getpeername_rc(fd));
}

static void names_short(void)
{
	static const int sizes[] = {0, 4, 8, 16, 100};
	int fd = open_script("echo");
	char b[110];
	socklen_t len;
	for (int i = 0; i < 5; i++) {
		memset(b, '#', sizeof b);
		len = sizes[i];
		must("getpeername", getpeername(fd, (struct sockaddr *)b, &len));
		int untouched = 0;
		for (size_t k = 0; k < sizeof b; k++)
			untouched += b[k] == '#';
		say("%d: %d and %d untouched", sizes[i], (int)len, untouched);
	}
	len = -1;
	did("negative", getsockname(fd, (struct sockaddr *)b, &len));
	len = 16;
	did("no buffer", getsockname(fd, (struct sockaddr *)1, &len));
	did("bad descriptor", getsockname(9999, (struct sockaddr *)b, &len));
}

static void names_connected(struct addr a)
{
	int fd = dial(a, "names;eof");
	agree(line(fd), sockname(fd), peername(fd));
	is("peer as asked", same(peername(fd), a));
}

static void names_connected_4(void) { names_connected(four); }
static void names_connected_6(void) { names_connected(six); }

static void names_called(void)
{
	struct addr at, from;
	int ln = listener("0.0.0.0", 8, &at), conn = called(ln, &from, "names,eof");
	is("peer of accept and getpeername", same(from, peername(conn)));
	is("our port", port_of(sockname(conn)) == port_of(at));
	is("its address", same_host(from, four));
	agree(line(conn), sockname(conn), from);
}

static void names_called_any(void)
{
	struct addr from;
	int ln = listener("::", 8, NULL), conn = called(ln, &from, "names,eof");
	is("mapped", is_mapped(from) && is_mapped(sockname(conn)));
	agree(line(conn), sockname(conn), from);
}

static void names_later(void)
{
	int fd = open_script("eof;pause 500");
	struct addr name = sockname(fd), peer = peername(fd);
	must("shutdown", shutdown(fd, SHUT_WR));
	is("same after shutdown", same(sockname(fd), name) && same(peername(fd), peer));
	fd = open_script("rst");
	name = sockname(fd);
	settle(fd, POLLHUP);
	is("same after a reset", same(sockname(fd), name));
	did("getpeername", getpeername_rc(fd));
}

static void names_from_bound(void)
{
	int fd = tcp(four);
	must("bind", bind_to(fd, parse("0.0.0.0", 0)));
	int port = port_of(sockname(fd));
	did("connect", to(fd, four));
	is("same port", port_of(sockname(fd)) == port);
	is("an address", !same_host(sockname(fd), parse("0.0.0.0", 0)));
	hand(fd, "names;eof");
	agree(line(fd), sockname(fd), peername(fd));
	fd = tcp(four);
	did("IP_BIND_ADDRESS_NO_PORT", set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
	must("bind", bind_to(fd, parse("0.0.0.0", 0)));
	is("no port yet", port_of(sockname(fd)) == 0);
	did("connect", to(fd, four));
	is("port now", port_of(sockname(fd)) != 0);
}

static void names_local(void)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	for (int i = 0; i < 2; i++) {
		struct addr at, from;
		int ln = listener(hosts[i], 8, &at), fd = tcp(at);
		must("connect", to(fd, at));
		int conn = take(ln, &from);
		is(hosts[i], same(from, sockname(fd)) && same(sockname(conn), at) && same(peername(fd), at));
	}
}

const struct question name_questions[] = {
	{"names-new", names_new, 0},
	{"names-bound", names_bound, 0},
	{"names-short", names_short, 0},
	{"names-connected-4", names_connected_4, 0},
	{"names-connected-6", names_connected_6, 0},
	{"names-called", names_called, 0},
	{"names-called-any", names_called_any, 0},
	{"names-later", names_later, 0},
	{"names-from-bound", names_from_bound, 0},
	{"names-local", names_local, 0},
	{0},
};
