#include "probe.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

/* What is not TCP must be as it was. */

static void udp_local(const char *host)
{
	struct addr a = parse(host, 0), from;
	int server = udp(a), client = udp(a);
	char b[100];
	did("bind", bind_to(server, a));
	struct addr at = sockname(server);
	did("sendto", sendto(client, "question", 8, 0, &at.sa, at.len));
	memset(&from, 0, sizeof from);
	from.len = sizeof from.ss;
	text("recvfrom", b, recvfrom(server, b, sizeof b, 0, &from.sa, &from.len));
	is("from its port", port_of(from) == port_of(sockname(client)) && same_host(from, a));
	did("connect", to(client, at));
	did("answer", sendto(server, "answer", 6, 0, &from.sa, from.len));
	recv_text("recv", client, 100, 0);
	send_text("send", "again", client);
	say("unread %d", unread(server, 5));
	did("nothing", sendto(server, "", 0, 0, &from.sa, from.len));
	count("recv", recv(client, b, sizeof b, 0));
}

static void udp_local_4(void) { udp_local("127.0.0.1"); }
static void udp_local_6(void) { udp_local("::1"); }

static void udp_far(struct addr a)
{
	int fd = udp(a);
	did("connect", to(fd, a));
	send_text("send", "far away", fd);
	say("poll %s", wait_for(fd, POLLIN, WAIT));
	recv_text("recv", fd, 100, MSG_DONTWAIT);
	is("peer as asked", same(peername(fd), a));
}

static void udp_far_4(void) { udp_far(four); }
static void udp_far_6(void) { udp_far(six); }

static void udp_refused(void)
{
	int fd = udp(four);
	did("connect", to(fd, closed(four)));
	send_text("send", "x", fd);
	say("poll %s", settle(fd, POLLERR));
	recv_text("recv", fd, 100, MSG_DONTWAIT);
	recv_text("recv", fd, 100, MSG_DONTWAIT);
}

static void udp_tcp_port(void)
{
	struct addr at;
	listener("0.0.0.0", 8, &at);
	int fd = udp(at);
	did("UDP", bind_to(fd, at));
	is("same port", port_of(sockname(fd)) == port_of(at));
}

static void udp_foreign(void)
{
	struct addr a = parse("203.0.113.9", 0), b = parse("127.0.0.77", 0);
	did("bind", bind_to(udp(a), a));
	did("bind", bind_to(udp(b), b));
}

static socklen_t unix_name(struct sockaddr_un *sa, bool abstract, const char *name)
{
	memset(sa, 0, sizeof *sa);
	sa->sun_family = AF_UNIX;
	snprintf(sa->sun_path + abstract, sizeof sa->sun_path - 1, "%s", name);
	return offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1;
}

static void unix_stream(struct sockaddr_un *sa, socklen_t len)
{
	int ln = make_socket(AF_UNIX, SOCK_STREAM, 0), fd = make_socket(AF_UNIX, SOCK_STREAM, 0);
	did("bind", bind(ln, (struct sockaddr *)sa, len));
	did("listen", listen(ln, 8));
	did("connect", connect(fd, (struct sockaddr *)sa, len));
	int conn = take(ln, NULL);
	send_text("send", "abc", fd);
	recv_text("recv", conn, 10, 0);
	struct ucred c;
	socklen_t size = sizeof c;
	must("SO_PEERCRED", getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &c, &size));
	is("peer is this process", c.pid == getpid() && c.uid == getuid() && c.gid == getgid());
	struct sockaddr_un other;
	memset(&other, 0, sizeof other);
	size = sizeof other;
	must("getpeername", getpeername(fd, (struct sockaddr *)&other, &size));
	is("name", !memcmp(&other, sa, sizeof other));
}

static void unix_path(void)
{
	char dir[] = "/tmp/probeXXXXXX", path[60];
	struct sockaddr_un sa;
	struct stat st;
	if (!mkdtemp(dir))
		must("mkdir", -1);
	snprintf(path, sizeof path, "%s/socket", dir);
	socklen_t len = unix_name(&sa, false, path);
	unix_stream(&sa, len);
	did("stat", stat(path, &st));
	did("bind again", bind(make_socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&sa, len));
	unlink(path);
	rmdir(dir);
}

static void unix_abstract(void)
{
	char name[60];
	struct sockaddr_un sa;
	snprintf(name, sizeof name, "quiver-probe-%d", getpid());
	unix_stream(&sa, unix_name(&sa, true, name));
}

static void unix_pair(void)
{
	static const struct {
		const char *name;
		int type;
	} k[] = {{"stream", SOCK_STREAM}, {"datagram", SOCK_DGRAM}, {"seqpacket", SOCK_SEQPACKET}};
	for (int i = 0; i < 3; i++) {
		int p[2];
		did(k[i].name, socketpair(AF_UNIX, k[i].type | SOCK_CLOEXEC, 0, p));
		send_text("send", "abc", p[0]);
		recv_text("recv", p[1], 2, 0);
		recv_text("rest", p[1], 10, MSG_DONTWAIT);
	}
}

static void unix_refused(void)
{
	int fd = make_socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un sa;
	socklen_t len = unix_name(&sa, false, "/nonexistent/socket");
	did("no file", connect(fd, (struct sockaddr *)&sa, len));
	len = unix_name(&sa, true, "quiver-probe-nobody");
	did("abstract", connect(fd, (struct sockaddr *)&sa, len));
	len = sizeof sa;
	did("getpeername", getpeername(fd, (struct sockaddr *)&sa, &len));
}

static void interfaces_netlink(void)
{
	struct if_nameindex *names = if_nameindex();
	struct ifaddrs *list, *i;
	must("getifaddrs", getifaddrs(&list));
	for (struct if_nameindex *n = names; n && n->if_index; n++) {
		char words[1000];
		snprintf(words, sizeof words, "%s", n->if_name);
		for (int f = 0; f < 2; f++)
			for (i = list; i; i = i->ifa_next) {
				char host[100];
				int family = f ? AF_INET6 : AF_INET;
				if (!i->ifa_addr || i->ifa_addr->sa_family != family || strcmp(i->ifa_name, n->if_name))
					continue;
				const struct sockaddr_in *in = (void *)i->ifa_addr;
				const struct sockaddr_in6 *in6 = (void *)i->ifa_addr;
				if (f && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
					continue;
				inet_ntop(family, f ? (void *)&in6->sin6_addr : (void *)&in->sin_addr, host, sizeof host);
				strcat(strcat(words, " "), host);
			}
		say("%s", words);
	}
	freeifaddrs(list);
	if_freenameindex(names);
}

static void interfaces(int type)
{
	struct ifreq list[32];
	struct ifconf c = {.ifc_len = sizeof list, .ifc_req = list};
	must("SIOCGIFCONF", ioctl(make_socket(AF_INET, type, 0), SIOCGIFCONF, &c));
	for (size_t i = 0; i < c.ifc_len / sizeof *list; i++) {
		char host[100];
		inet_ntop(AF_INET, &((struct sockaddr_in *)&list[i].ifr_addr)->sin_addr, host, sizeof host);
		say("%s %s", list[i].ifr_name, host);
	}
}

static void interfaces_udp(void) { interfaces(SOCK_DGRAM); }
static void interfaces_tcp(void) { interfaces(SOCK_STREAM); }

/* look resolves and takes down the numbers. */
static void look(const char *what, const char *host, int flags)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *list = NULL, *i;
	int rc = getaddrinfo(host, "7", &hints, &list);
	if (rc) {
		say("%s %s", what, gai_strerror(rc));
		return;
	}
	char words[1000];
	snprintf(words, sizeof words, "%s", what);
	for (i = list; i; i = i->ai_next) {
		char number[100] = "?";
		getnameinfo(i->ai_addr, i->ai_addrlen, number, sizeof number, NULL, 0, NI_NUMERICHOST);
		strcat(strcat(words, " "), number);
	}
	say("%s", words);
	freeaddrinfo(list);
}

static void look_up(void)
{
	look("passive", NULL, AI_PASSIVE);
	look("self", NULL, 0);
	look("number", "127.0.0.1", AI_NUMERICHOST);
	look("configured", "::1", AI_NUMERICHOST | AI_ADDRCONFIG);
	look("no number", "no number", AI_NUMERICHOST);
}

const struct question other_questions[] = {
	{"udp-local-4", udp_local_4, 0},
	{"udp-local-6", udp_local_6, 0},
	{"udp-far-4", udp_far_4, 0},
	{"udp-far-6", udp_far_6, 0},
	{"udp-refused", udp_refused, 0},
	{"udp-tcp-port", udp_tcp_port, 0},
	{"udp-bind-foreign", udp_foreign, 0},
	{"unix-path", unix_path, 0},
	{"unix-abstract", unix_abstract, 0},
	{"unix-pair", unix_pair, 0},
	{"unix-refused", unix_refused, 0},
	{"interfaces-netlink", interfaces_netlink, 0},
	{"interfaces-udp", interfaces_udp, 0},
	{"interfaces-tcp", interfaces_tcp, 0},
	{"c-getaddrinfo", look_up, 0},
	{0},
};
