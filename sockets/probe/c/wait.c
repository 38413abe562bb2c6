#include "probe.h"

long now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

void nap(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

int poll_one(int fd, int events, int ms)
{
	struct pollfd p = {fd, events, 0};
	long deadline = now_ms() + ms;
	for (;;) {
		long left = deadline - now_ms();
		if (poll(&p, 1, left > 0 ? left : 0) >= 0 || errno != EINTR)
			return p.revents;
	}
}

const char *events_text(unsigned events)
{
	static const struct {
		unsigned bit;
		const char *name;
	} bits[] = {{POLLIN, "IN"}, {POLLPRI, "PRI"}, {POLLOUT, "OUT"}, {POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}};
	static char ring[16][64];
	static int next;
	char *s = ring[next++ % 16];
	s[0] = 0;
	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		if (events & bits[i].bit)
			sprintf(s + strlen(s), "%s%s", *s ? "|" : "", bits[i].name);
	return *s ? s : "nothing";
}

const char *wait_for(int fd, int events, int ms) { return events_text(poll_one(fd, events, ms)); }

const char *settle(int fd, int want)
{
	int got;
	for (long deadline = now_ms() + WAIT;; nap(1)) {
		got = poll_one(fd, ALL, 0);
		if ((got & want) == want || now_ms() > deadline)
			return events_text(got);
	}
}

int unread(int fd, int n)
{
	for (long deadline = now_ms() + WAIT;; nap(1)) {
		int got = 0;
		ioctl(fd, FIONREAD, &got);
		if (got >= n || now_ms() > deadline)
			return got;
	}
}
