#include "probe.h"
#include <sys/epoll.h>
#include <sys/select.h>

/* An epoll set with one socket. */
struct set {
	int ep, fd;
};

static struct set watch(int fd, unsigned events)
{
	struct set s = {must("epoll_create", epoll_create1(EPOLL_CLOEXEC)), fd};
	struct epoll_event e = {.events = events};
	must("epoll_ctl", epoll_ctl(s.ep, EPOLL_CTL_ADD, fd, &e));
	return s;
}

static unsigned once(struct set s, int ms)
{
	struct epoll_event e;
	return must("epoll_wait", epoll_wait(s.ep, &e, 1, ms)) == 1 ? e.events : 0;
}

static const char *level(struct set s, unsigned want)
{
	for (long deadline = now_ms() + WAIT;; nap(1)) {
		unsigned got = once(s, 0);
		if ((got & want) == want || now_ms() > deadline)
			return events_text(got);
	}
}

/* edges lists events until all of want came and then nothing for a while. Of the
 * same twice in a row one is enough: the kernel may wake a reader more than once
 * for one segment. */
static const char *edges(struct set s, unsigned want)
{
	static char ring[8][512];
	static int next;
	char *list = ring[next++ % 8];
	unsigned all = 0, last = 0;
	list[0] = 0;
	for (;;) {
		unsigned got = once(s, (all & want) == want ? SILENCE : WAIT);
		if (!got)
			return *list ? list : "nothing";
		all |= got;
		if (got != last && strlen(list) < 400)
			sprintf(list + strlen(list), "%s%s", *list ? " then " : "", events_text(got));
		last = got;
	}
}

enum { EVERYTHING = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI };

static void life(unsigned events, const char *(*wait)(struct set, unsigned))
{
	int fd = pending(four);
	struct set s = watch(fd, events);
	say("new %s", wait(s, EPOLLHUP));
	did("connect", to(fd, four));
	say("connected %s", wait(s, EPOLLOUT));
	hand(fd, "read 1;send 5;read 1;half;eof");
	send_text("go", "x", fd);
	say("data %s", wait(s, EPOLLIN));
	recv_text("recv", fd, 10, 0);
	send_text("go", "x", fd);
	say("half %s", wait(s, EPOLLRDHUP));
	recv_text("recv", fd, 10, 0);
	did("shutdown", shutdown(fd, SHUT_WR));
	say("end %s", wait(s, EPOLLHUP));
}

static void epoll_level(void) { life(EVERYTHING, level); }
static void epoll_edge(void) { life(EVERYTHING | EPOLLET, edges); }

static void epoll_refused(void)
{
	int fd = pending(four);
	struct set s = watch(fd, EVERYTHING | EPOLLET);
	edges(s, EPOLLHUP);
	did("connect", to(fd, closed(four)));
	say("%s", edges(s, EPOLLERR));
	so_error(fd);
	say("%s", events_text(once(s, 0)));
}

static void epoll_reset(void)
{
	int fd = open_script("read 1;rst");
	struct set s = watch(fd, EVERYTHING | EPOLLET);
	say("connected %s", edges(s, EPOLLOUT));
	send_text("go", "x", fd);
	say("reset %s", edges(s, EPOLLERR));
	recv_text("recv", fd, 1, 0);
}

static void epoll_oneshot(void)
{
	int fd = open_script("send 5;eof");
	struct set s = watch(fd, EPOLLIN | EPOLLONESHOT);
	struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT};
	say("%s", events_text(once(s, WAIT)));
	say("%s", events_text(once(s, SILENCE)));
	must("epoll_ctl", epoll_ctl(s.ep, EPOLL_CTL_MOD, fd, &e));
	say("%s", events_text(once(s, WAIT)));
}

static void epoll_listener(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	struct set level = watch(ln, EPOLLIN), edge = watch(ln, EPOLLIN | EPOLLET);
	say("none %s", events_text(once(level, 0)));
	for (int i = 0; i < 2; i++) {
		call(ln, "eof");
		say("edge %s", events_text(once(edge, WAIT)));
		say("level %s", events_text(once(level, WAIT)));
	}
	take(ln, NULL);
	say("one left %s", events_text(once(level, 0)));
	take(ln, NULL);
	say("none left %s", events_text(once(level, 0)));
}

static void epoll_close(void)
{
	int fd = open_script("send 5;eof");
	struct set s = watch(fd, EPOLLIN);
	int other = must("dup", dup(fd));
	say("open %s", events_text(once(s, WAIT)));
	close(fd);
	say("one closed %s", events_text(once(s, WAIT)));
	close(other);
	say("both closed %s", events_text(once(s, 0)));
}

static void epoll_full(void)
{
	const char *k = key();
	int fd = unread_until(k);
	set_nonblock(fd, true);
	struct set s = watch(fd, EPOLLOUT | EPOLLET);
	say("connected %s", edges(s, EPOLLOUT));
	did("full", fill(fd));
	say("%s", events_text(once(s, SILENCE)));
	drain(k);
	say("drained %s", events_text(once(s, WAIT)));
}

struct state {
	const char *name;
	int fd;
};

enum { STATES = 7 };

static void states(struct state s[STATES])
{
	int ln = listener("127.0.0.1", 8, NULL), idle = open_script("silent"), data = open_script("send 5;silent");
	unread(data, 5);
	int half = open_script("half;silent");
	settle(half, POLLRDHUP);
	int ended = open_script("half;silent");
	must("shutdown", shutdown(ended, SHUT_WR));
	settle(ended, POLLHUP);
	int reset = open_script("rst");
	settle(reset, POLLHUP);
	struct state list[STATES] = {{"new", tcp(four)}, {"listener", ln}, {"idle", idle}, {"data", data}, {"half", half}, {"ended", ended}, {"reset", reset}};
	memcpy(s, list, sizeof list);
}

static void poll_states(void)
{
	struct state s[STATES];
	states(s);
	for (int i = 0; i < STATES; i++) {
		say("%s %s", s[i].name, wait_for(s[i].fd, ALL, 0));
		say("asked for nothing %s", wait_for(s[i].fd, 0, 0));
	}
	say("closed %s", wait_for(9999, ALL, 0));
}

static void select_states(void)
{
	struct state s[STATES];
	states(s);
	for (int i = 0; i < STATES; i++) {
		fd_set set[3];
		struct timeval tv = {0, 0};
		for (int k = 0; k < 3; k++) {
			FD_ZERO(&set[k]);
			FD_SET(s[i].fd, &set[k]);
		}
		must("select", select(s[i].fd + 1, &set[0], &set[1], &set[2], &tv));
		say("%s %s%s%s.", s[i].name, FD_ISSET(s[i].fd, &set[0]) ? "read " : "", FD_ISSET(s[i].fd, &set[1]) ? "write " : "",
		    FD_ISSET(s[i].fd, &set[2]) ? "except " : "");
	}
}

static void poll_lowat(void)
{
	int fd = open_script("send 5;read 1;send 5;eof");
	did("set", set(fd, SOL_SOCKET, SO_RCVLOWAT, 10));
	say("unread %d", unread(fd, 5));
	say("poll %s", wait_for(fd, POLLIN, SILENCE));
	send_text("go", "x", fd);
	say("poll %s", wait_for(fd, POLLIN, WAIT));
	say("unread %d", unread(fd, 10));
}

const struct question ready_questions[] = {
	{"epoll-level", epoll_level, 0},
	{"epoll-edge", epoll_edge, 0},
	{"epoll-refused", epoll_refused, 0},
	{"epoll-reset", epoll_reset, 0},
	{"epoll-oneshot", epoll_oneshot, 0},
	{"epoll-listener", epoll_listener, 0},
	{"epoll-close", epoll_close, 0},
	{"epoll-full", epoll_full, 0},
	{"poll-states", poll_states, 0},
	{"select-states", select_states, 0},
	{"poll-rcvlowat", poll_lowat, 0},
	{0},
};
