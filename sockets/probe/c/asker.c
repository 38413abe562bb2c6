#include "probe.h"
#include <stdarg.h>

struct addr four, six;

/* Texts are returned in one of these, so that several can be used at once. */
static char *buffer(void)
{
	static char ring[64][2048];
	static __thread int next;
	return ring[next++ % 64];
}

void say(const char *format, ...)
{
	static bool said;
	va_list ap;
	if (said)
		fputs(", ", stdout);
	said = true;
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	fflush(stdout);
}

void leave(const char *why) { say("left out: %s", why); }

const char *errno_name(int e)
{
	if (e == EOPNOTSUPP)
		return "EOPNOTSUPP";
	const char *name = strerrorname_np(e);
	return name ? name : "?";
}

void did(const char *what, long rc) { say("%s %s", what, rc < 0 ? errno_name(errno) : "ok"); }

void count(const char *what, long rc)
{
	if (rc < 0)
		did(what, rc);
	else
		say("%s %ld", what, rc);
}

void is(const char *what, bool so) { say("%s %s", what, so ? "yes" : "no"); }

long must(const char *what, long rc)
{
	if (rc >= 0)
		return rc;
	say("broken: %s %s", what, errno_name(errno));
	fflush(stdout);
	_exit(0);
}

static const char *printable(const char *b, long n)
{
	char *s = buffer();
	long i;
	for (i = 0; i < n && i < 2000; i++)
		s[i] = b[i] < ' ' || b[i] > '~' || b[i] == '"' || b[i] == '\\' ? '.' : b[i];
	s[i] = 0;
	return s;
}

void text(const char *what, const char *b, long n)
{
	if (n < 0)
		did(what, n);
	else if (n == 0)
		say("%s EOF", what);
	else
		say("%s \"%s\"", what, printable(b, n));
}

void send_text(const char *what, const char *s, int fd) { count(what, send(fd, s, strlen(s), MSG_NOSIGNAL)); }

void recv_text(const char *what, int fd, size_t size, int flags)
{
	char b[4096];
	text(what, b, recv(fd, b, size, flags));
}

int so_error_of(int fd)
{
	int v = -1;
	socklen_t len = sizeof v;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len) < 0 ? -1 : v;
}

void so_error(int fd)
{
	int v = so_error_of(fd);
	say("SO_ERROR %s", v == 0 ? "0" : v < 0 ? errno_name(errno) : errno_name(v));
}

struct addr parse(const char *host, int port)
{
	struct addr a;
	memset(&a, 0, sizeof a);
	if (inet_pton(AF_INET, host, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.len = sizeof a.in;
	} else if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof a.in6;
	} else {
		errno = EINVAL;
		must(host, -1);
	}
	return with_port(a, port);
}

struct addr parse_port(const char *s)
{
	char host[100];
	const char *colon = strrchr(s, ':');
	size_t n = colon ? (size_t)(colon - s) : 0;
	if (n > 0 && s[0] == '[') {
		s++;
		n -= 2;
	}
	if (!colon || n >= sizeof host) {
		errno = EINVAL;
		must(s, -1);
	}
	memcpy(host, s, n);
	host[n] = 0;
	return parse(host, atoi(colon + 1));
}

/* The port is at the same place in both. */
struct addr with_port(struct addr a, int port)
{
	a.in.sin_port = htons(port);
	return a;
}

int port_of(struct addr a) { return ntohs(a.in.sin_port); }

struct addr closed(struct addr a) { return with_port(a, 1); }

struct addr sockname(int fd)
{
	struct addr a;
	memset(&a, 0, sizeof a);
	a.len = sizeof a.ss;
	if (getsockname(fd, &a.sa, &a.len) < 0)
		a.len = 0;
	return a;
}

struct addr peername(int fd)
{
	struct addr a;
	memset(&a, 0, sizeof a);
	a.len = sizeof a.ss;
	if (getpeername(fd, &a.sa, &a.len) < 0)
		a.len = 0;
	return a;
}

bool is_mapped(struct addr a) { return a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr); }

struct addr unmapped(struct addr a)
{
	if (!is_mapped(a))
		return a;
	struct addr b;
	memset(&b, 0, sizeof b);
	b.in.sin_family = AF_INET;
	b.in.sin_port = a.in6.sin6_port;
	memcpy(&b.in.sin_addr, a.in6.sin6_addr.s6_addr + 12, 4);
	b.len = sizeof b.in;
	return b;
}

bool same_host(struct addr a, struct addr b)
{
	if (a.sa.sa_family != b.sa.sa_family || a.len == 0 || b.len == 0)
		return false;
	if (a.sa.sa_family == AF_INET)
		return a.in.sin_addr.s_addr == b.in.sin_addr.s_addr;
	return !memcmp(&a.in6.sin6_addr, &b.in6.sin6_addr, 16);
}

bool same(struct addr a, struct addr b) { return same_host(a, b) && a.in.sin_port == b.in.sin_port; }

const char *host_text(struct addr a)
{
	const void *p = a.sa.sa_family == AF_INET ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr;
	return inet_ntop(a.sa.sa_family, p, buffer(), 100);
}

const char *host_port_text(struct addr a)
{
	char *s = buffer();
	snprintf(s, 200, a.sa.sa_family == AF_INET ? "%s:%d" : "[%s]:%d", host_text(a), port_of(a));
	return s;
}

int to(int fd, struct addr a) { return connect(fd, &a.sa, a.len); }

int bind_to(int fd, struct addr a) { return bind(fd, &a.sa, a.len); }

int make_socket(int family, int type, int protocol) { return must("socket", socket(family, type | SOCK_CLOEXEC, protocol)); }

int tcp(struct addr a) { return make_socket(a.sa.sa_family, SOCK_STREAM, 0); }

int pending(struct addr a) { return make_socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0); }

int udp(struct addr a) { return make_socket(a.sa.sa_family, SOCK_DGRAM, 0); }

static void hand_v(int fd, const char *script, va_list ap)
{
	char *s = buffer();
	int n = vsnprintf(s, 2000, script, ap);
	s[n++] = '\n';
	if (must("script", send(fd, s, n, 0)) != n) {
		errno = EMSGSIZE;
		must("script", -1);
	}
}

void hand(int fd, const char *script, ...)
{
	va_list ap;
	va_start(ap, script);
	hand_v(fd, script, ap);
	va_end(ap);
}

int dial(struct addr a, const char *script, ...)
{
	va_list ap;
	int fd = tcp(a);
	must("connect", to(fd, a));
	va_start(ap, script);
	hand_v(fd, script, ap);
	va_end(ap);
	return fd;
}

int open_script(const char *script, ...)
{
	va_list ap;
	int fd = tcp(four);
	must("connect", to(fd, four));
	va_start(ap, script);
	hand_v(fd, script, ap);
	va_end(ap);
	return fd;
}

const char *line(int fd)
{
	char *s = buffer();
	int n = 0;
	while (n < 2000 && must("line", recv(fd, s + n, 1, 0)) == 1 && s[n] != '\n')
		n++;
	s[n] = 0;
	return s;
}

const char *key(void)
{
	static int n;
	char *s = buffer();
	snprintf(s, 100, "c-%d-%ld-%d", getpid(), now_ms(), n++);
	return s;
}

const char *noted(const char *key)
{
	int fd = open_script("get %s", key);
	const char *s = line(fd);
	close(fd);
	return s;
}

static const char *cut(const char *s, char c)
{
	char *t = buffer();
	snprintf(t, 2000, "%s", s);
	char *end = strchr(t, c);
	if (end)
		*end = 0;
	return t;
}

const char *first(const char *s) { return cut(s, ' '); }

const char *brief(const char *s) { return cut(s, ','); }

void echo(int fd)
{
	char b[6];
	if (send(fd, "quiver", 6, MSG_NOSIGNAL) < 0) {
		did("echo", -1);
		return;
	}
	long n = recv(fd, b, 6, MSG_WAITALL);
	if (n < 0)
		did("echo", n);
	else if (n != 6 || memcmp(b, "quiver", 6))
		say("echo \"%s\"", printable(b, n));
	else
		say("echo ok");
}

int listener(const char *host, int backlog, struct addr *at)
{
	struct addr a = parse(host, 0);
	int fd = tcp(a);
	must("bind", bind_to(fd, a));
	must("listen", listen(fd, backlog));
	if (at)
		*at = sockname(fd);
	return fd;
}

int take(int ln, struct addr *from)
{
	struct addr a;
	if (poll_one(ln, POLLIN, WAIT) != POLLIN) {
		errno = ETIMEDOUT;
		must("accept", -1);
	}
	memset(&a, 0, sizeof a);
	a.len = sizeof a.ss;
	int fd = must("accept", accept4(ln, &a.sa, &a.len, SOCK_CLOEXEC));
	if (from)
		*from = a;
	return fd;
}

static void call_v(int ln, const char *script, va_list ap)
{
	char *s = buffer();
	vsnprintf(s, 2000, script, ap);
	close(open_script("back %d %s", port_of(sockname(ln)), s));
}

void call(int ln, const char *script, ...)
{
	va_list ap;
	va_start(ap, script);
	call_v(ln, script, ap);
	va_end(ap);
}

int called(int ln, struct addr *from, const char *script, ...)
{
	va_list ap;
	va_start(ap, script);
	call_v(ln, script, ap);
	va_end(ap);
	return take(ln, from);
}

struct addr stuck(int hold[2])
{
	hold[0] = open_script("full");
	struct addr at = with_port(four, atoi(line(hold[0])));
	hold[1] = tcp(at);
	must("first connect", to(hold[1], at));
	return at;
}

void agree(const char *names, struct addr ours, struct addr theirs)
{
	char want[400];
	snprintf(want, sizeof want, "%s %s", host_port_text(unmapped(ours)), host_port_text(unmapped(theirs)));
	const char *space = strchr(names, ' ');
	size_t n = space ? (size_t)(space - names) : strlen(names);
	is("it sees our name", !strncmp(names, want, n + 1));
	is("we see its name", space && !strcmp(space, strchr(want, ' ')));
}

void set_nonblock(int fd, bool on)
{
	int fl = must("F_GETFL", fcntl(fd, F_GETFL));
	must("F_SETFL", fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK));
}

void linger_zero(int fd)
{
	struct linger l = {1, 0};
	must("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
}

int set(int fd, int level, int opt, int v) { return setsockopt(fd, level, opt, &v, sizeof v); }

void get(const char *what, int fd, int level, int opt)
{
	int v = 0;
	socklen_t len = sizeof v;
	int rc = getsockopt(fd, level, opt, &v, &len);
	if (rc < 0)
		did(what, rc);
	else
		say("%s %d", what, v);
}

void set_get(const char *what, int fd, int level, int opt, int v)
{
	get(what, fd, level, opt);
	did("set", set(fd, level, opt, v));
	get("then", fd, level, opt);
}

bool may(int capability)
{
	char s[200];
	unsigned long long have = 0;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(s, sizeof s, f))
		if (sscanf(s, "CapEff: %llx", &have) == 1)
			break;
	if (f)
		fclose(f);
	return have >> capability & 1;
}

void rightly(const char *what, int capability, long rc, int without)
{
	bool can = may(capability);
	if (can ? rc >= 0 : rc < 0 && errno == without)
		say("%s as its rights are", what);
	else
		say("%s %s with the right %s", what, rc < 0 ? errno_name(errno) : "ok", can ? "true" : "false");
}

const char *system_text(const char *name)
{
	char path[200], *s = buffer();
	snprintf(path, sizeof path, "/proc/sys/%s", name);
	FILE *f = fopen(path, "re");
	s[0] = 0;
	if (f) {
		if (!fgets(s, 1000, f))
			s[0] = 0;
		fclose(f);
	}
	s[strcspn(s, "\n")] = 0;
	return s;
}
