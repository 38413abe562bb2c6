#include "probe.h"
#include <netpacket/packet.h>
#include <sys/resource.h>

static void socket_types(void)
{
	static const int families[] = {AF_INET, AF_INET6}, protos[] = {0, IPPROTO_TCP};
	static const int flags[] = {0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK};
	for (int f = 0; f < 2; f++)
		for (int p = 0; p < 2; p++)
			for (int k = 0; k < 4; k++) {
				int fd = must("socket", socket(families[f], SOCK_STREAM | flags[k], protos[p]));
				int fl = fcntl(fd, F_GETFL), fdfl = fcntl(fd, F_GETFD);
				if (fl != (O_RDWR | (flags[k] & SOCK_NONBLOCK)) || (fdfl == 1) != !!(flags[k] & SOCK_CLOEXEC))
					say("%d %d %#x has %#x %#x", families[f], protos[p], flags[k], fl, fdfl);
			}
	say("16 kinds");
}

static void socket_mptcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ENOPROTOOPT)) {
		leave("this kernel has no MPTCP");
		return;
	}
	did("socket", fd);
	did("connect", to(fd, four));
	is("peer as asked", same(peername(fd), four));
	hand(fd, "echo");
	echo(fd);
	fd = make_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	did("refused", to(fd, closed(four)));
	int ln = make_socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP);
	did("bind", bind_to(ln, parse("::", 0)));
	did("listen", listen(ln, 8));
	struct addr from;
	int conn = called(ln, &from, "echo");
	is("its address", same_host(unmapped(from), four));
	echo(conn);
}

static void socket_mptcp_protocol(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ENOPROTOOPT))
		leave("this kernel has no MPTCP");
	else
		get("protocol", fd, SOL_SOCKET, SO_PROTOCOL);
}

static void socket_ours(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 261);
	did("socket", fd);
	if (fd >= 0) {
		did("connect", to(fd, four));
		hand(fd, "echo");
		echo(fd);
	}
}

static void socket_bad(void)
{
	static const struct {
		const char *what;
		int family, type, protocol;
	} s[] = {{"family 99", 99, SOCK_STREAM, 0}, {"family -1", -1, SOCK_STREAM, 0}, {"type 9", AF_INET, 9, 0}, {"type 99", AF_INET, 99, 0},
		 {"flag", AF_INET, SOCK_STREAM | 0x10000, 0}, {"protocol 999", AF_INET, SOCK_STREAM, 999}, {"protocol -1", AF_INET, SOCK_STREAM, -1},
		 {"stream UDP", AF_INET, SOCK_STREAM, IPPROTO_UDP}, {"datagram TCP", AF_INET, SOCK_DGRAM, IPPROTO_TCP},
		 {"six stream UDP", AF_INET6, SOCK_STREAM, IPPROTO_UDP}};
	int p[2];
	for (size_t i = 0; i < sizeof s / sizeof *s; i++)
		did(s[i].what, socket(s[i].family, s[i].type, s[i].protocol));
	did("pair", socketpair(AF_INET, SOCK_STREAM, 0, p));
}

static void socket_raw(void)
{
	rightly("raw", NET_RAW, socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), EPERM);
	rightly("six raw", NET_RAW, socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6), EPERM);
	rightly("packet", NET_RAW, socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), EPERM);
}

static void socket_lowest(void)
{
	int a = tcp(four), b = tcp(four), c = tcp(four);
	is("rising", a < b && b < c);
	close(b);
	is("the gap", tcp(four) == b);
	close(a);
	close(b);
	is("the lower", tcp(four) == a);
	must("close 0", close(0));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	count("after closing 0", fd);
	did("connect", to(fd, four));
	hand(fd, "echo");
	echo(fd);
	close(fd);
	count("UDP", socket(AF_INET, SOCK_DGRAM, 0));
}

static int errno_of(int rc) { return rc < 0 ? errno : 0; }

static void did_errno(const char *what, int e)
{
	errno = e;
	did(what, e ? -1 : 0);
}

static void socket_emfile(void)
{
	struct addr at;
	int ln = listener("127.0.0.1", 8, &at);
	must("connect", to(tcp(at), at));
	poll_one(ln, POLLIN, WAIT);
	int next = must("dup", dup(ln));
	close(next);
	struct rlimit before, few;
	must("getrlimit", getrlimit(RLIMIT_NOFILE, &before));
	few = before;
	few.rlim_cur = next;
	must("setrlimit", setrlimit(RLIMIT_NOFILE, &few));
	int stream = errno_of(socket(AF_INET, SOCK_STREAM, 0)), datagram = errno_of(socket(AF_INET, SOCK_DGRAM, 0));
	int local = errno_of(socket(AF_UNIX, SOCK_STREAM, 0)), taken = errno_of(accept4(ln, NULL, NULL, 0));
	must("setrlimit", setrlimit(RLIMIT_NOFILE, &before));
	did_errno("tcp", stream);
	did_errno("udp", datagram);
	did_errno("unix", local);
	did_errno("accept", taken);
	did("then accept", accept4(ln, NULL, NULL, 0));
	did("tcp", socket(AF_INET, SOCK_STREAM, 0));
}

static void socket_thousand(void)
{
	int wrong = 0, kept = 0, next = tcp(four);
	close(next);
	for (int i = 0; i < 1000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		wrong += fd != next;
		close(fd);
	}
	say("wrong %d", wrong);
	while (kept < 900 && socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
		kept++;
	say("kept %d", kept);
}

const struct question socket_questions[] = {
	{"socket-types", socket_types, 0},
	{"socket-262", socket_mptcp, 0},
	{"socket-262-protocol", socket_mptcp_protocol, 0},
	{"socket-261", socket_ours, 0},
	{"socket-bad", socket_bad, 0},
	{"socket-raw", socket_raw, 0},
	{"socket-lowest", socket_lowest, 0},
	{"socket-emfile", socket_emfile, 0},
	{"socket-thousand", socket_thousand, 20},
	{0},
};
