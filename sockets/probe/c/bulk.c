#include "probe.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

void pattern(char *b, int n, int offset)
{
	for (int i = 0; i < n; i++)
		b[i] = (offset + i) * 7 + ((offset + i) >> 8);
}

int write_file(int fd, const char *b, int n)
{
	int sent = 0;
	while (sent < n) {
		int m = n - sent > 64 << 10 ? 64 << 10 : n - sent;
		long k = send(fd, b + sent, m, MSG_NOSIGNAL);
		if (k < 0)
			return -1;
		sent += k;
	}
	return sent;
}

int unread_until(const char *key) { return open_script("read 1;get %s;eof", key); }

void drain(const char *key) { close(open_script("mark %s", key)); }

int fill(int fd)
{
	static char b[64 << 10];
	for (;;)
		if (send(fd, b, sizeof b, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			if (errno != EAGAIN || poll_one(fd, POLLOUT, 2 * SILENCE) == 0) {
				errno = errno == 0 ? EAGAIN : errno;
				return -1;
			}
}

void send_pattern(const char *what, int fd, int n)
{
	char *b = malloc(n);
	pattern(b, n, 0);
	count(what, write_file(fd, b, n));
	free(b);
}

void recv_pattern(const char *what, int fd, int n)
{
	static char b[64 << 10], want[64 << 10];
	char where[100];
	for (int got = 0; got < n;) {
		int max = n - got < (int)sizeof b ? n - got : (int)sizeof b;
		long m = recv(fd, b, max, 0);
		snprintf(where, sizeof where, "%s at %d", what, got);
		if (m <= 0) {
			count(where, m);
			return;
		}
		pattern(want, m, got);
		if (memcmp(b, want, m)) {
			say("%s: other bytes", where);
			return;
		}
		got += m;
	}
	say("%s %d", what, n);
}

enum { BIG = 10000000 };

static int big_errno;

static void *send_big(void *p)
{
	int fd = *(int *)p;
	char *b = malloc(BIG);
	pattern(b, BIG, 0);
	if (write_file(fd, b, BIG) < 0 || shutdown(fd, SHUT_WR) < 0)
		big_errno = errno;
	free(b);
	return NULL;
}

static void bulk_echo(void)
{
	const char *k = key();
	int fd = open_script("note %s;echo", k);
	pthread_t t;
	pthread_create(&t, NULL, send_big, &fd);
	recv_pattern("recv", fd, BIG);
	pthread_join(t, NULL);
	errno = big_errno;
	did("send", big_errno ? -1 : 0);
	recv_text("recv", fd, 1, 0);
	say("the other end has %s", noted(k));
}

static void bulk_ping_pong(void)
{
	int fd = open_script("echo");
	must("TCP_NODELAY", set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	for (int i = 0; i < 1000; i++) {
		unsigned char out = i, in = 0;
		if (send(fd, &out, 1, MSG_NOSIGNAL) != 1 || recv(fd, &in, 1, 0) != 1 || in != out) {
			say("at %d %s", i, errno_name(errno));
			return;
		}
	}
	say("1000 times");
}

static void bulk_many(void)
{
	enum { MANY = 200 };
	int fds[MANY], now = 0, connected = 0, right = 0;
	for (int i = 0; i < MANY; i++) {
		fds[i] = pending(four);
		if (to(fds[i], four) == 0 || errno == EINPROGRESS)
			now++;
		else
			did("connect", -1);
	}
	say("started %d", now);
	for (int i = 0; i < MANY; i++) {
		char words[100];
		if (poll_one(fds[i], POLLOUT, 10000) == POLLOUT && so_error_of(fds[i]) == 0)
			connected++;
		hand(fds[i], "echo");
		int n = snprintf(words, sizeof words, "I am %d", i);
		if (send(fds[i], words, n, MSG_NOSIGNAL) != n)
			did("send", -1);
	}
	say("connected %d", connected);
	for (int i = 0; i < MANY; i++) {
		char want[100], b[100];
		int n = snprintf(want, sizeof want, "I am %d", i);
		set_nonblock(fds[i], false);
		right += recv(fds[i], b, n, MSG_WAITALL) == n && !memcmp(b, want, n);
	}
	say("right %d", right);
}

static void bulk_short(void)
{
	int right = 0;
	for (int i = 0; i < 300; i++) {
		int fd = open_script("say %d", i);
		right += atoi(line(fd)) == i;
		close(fd);
	}
	say("right %d", right);
}

static void bulk_unread(void)
{
	for (int i = 0; i < 10; i++)
		open_script("send 5000000");
	recv_pattern("recv", open_script("send 1000000"), 1000000);
	echo(open_script("echo"));
}

static void bulk_sendfile(void)
{
	enum { SIZE = 100000 };
	static char b[SIZE];
	int file = must("memfd", memfd_create("probe", MFD_CLOEXEC)), sent = 0;
	pattern(b, SIZE, 0);
	must("write", write(file, b, SIZE));
	const char *k = key();
	int fd = open_script("note %s;echo", k);
	off_t offset = 0;
	while (sent < SIZE) {
		long n = sendfile(fd, file, &offset, SIZE - sent);
		if (n <= 0) {
			count("sendfile", n);
			return;
		}
		sent += n;
	}
	say("sendfile %d, offset %ld", sent, (long)offset);
	recv_pattern("recv", fd, SIZE);
	must("shutdown", shutdown(fd, SHUT_WR));
	say("the other end has %s", noted(k));
}

static void bulk_splice(void)
{
	static const char words[] = "through a pipe";
	int p[2], n = sizeof words - 1;
	char b[100];
	must("pipe", pipe2(p, O_CLOEXEC));
	int fd = open_script("echo");
	must("write", write(p[1], words, n));
	count("to the socket", splice(p[0], NULL, fd, NULL, n, 0));
	unread(fd, n);
	count("from the socket", splice(fd, NULL, p[1], NULL, 100, 0));
	text("pipe", b, read(p[0], b, sizeof b));
	set_nonblock(fd, true);
	did("nothing there", splice(fd, NULL, p[1], NULL, 100, 0));
	set_nonblock(fd, false);
	must("shutdown", shutdown(fd, SHUT_WR));
	count("at the end", splice(fd, NULL, p[1], NULL, 100, 0));
}

const struct question bulk_questions[] = {
	{"bulk-10MB", bulk_echo, 30},
	{"bulk-ping-pong", bulk_ping_pong, 30},
	{"bulk-200", bulk_many, 30},
	{"bulk-short", bulk_short, 30},
	{"bulk-unread", bulk_unread, 30},
	{"bulk-sendfile", bulk_sendfile, 0},
	{"bulk-splice", bulk_splice, 0},
	{0},
};
