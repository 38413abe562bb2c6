#include "probe.h"
#include <pthread.h>

static void shutdown_write(void)
{
	int fd = open_script("eof;tell");
	send_text("send", "abc", fd);
	did("shutdown", shutdown(fd, SHUT_WR));
	send_text("send", "d", fd);
	say("the other end has %s", brief(line(fd)));
	recv_text("recv", fd, 1, 0);
	recv_text("recv", fd, 1, 0);
	did("again", shutdown(fd, SHUT_WR));
}

static void shutdown_read(void)
{
	const char *k = key();
	int fd = open_script("note %s;read 1;say later;eof", k);
	did("shutdown", shutdown(fd, SHUT_RD));
	recv_text("recv", fd, 10, 0);
	say("poll %s", wait_for(fd, ALL, 0));
	send_text("send", "x", fd);
	say("unread %d", unread(fd, 6));
	recv_text("recv", fd, 10, 0);
	recv_text("recv", fd, 10, 0);
	send_text("send", "yz", fd);
	did("shutdown", shutdown(fd, SHUT_WR));
	say("the other end has %s", brief(noted(k)));
}

static void shutdown_both(void)
{
	const char *k = key();
	int fd = open_script("note %s;eof", k);
	did("shutdown", shutdown(fd, SHUT_RDWR));
	recv_text("recv", fd, 1, 0);
	send_text("send", "x", fd);
	say("poll %s", settle(fd, POLLHUP));
	say("the other end has %s", brief(noted(k)));
}

static void shutdown_bad(void)
{
	did("new", shutdown(tcp(four), SHUT_WR));
	int fd = open_script("eof");
	did("way 3", shutdown(fd, 3));
	did("way -1", shutdown(fd, -1));
	did("bad descriptor", shutdown(9999, SHUT_WR));
	did("no socket", shutdown(1, SHUT_WR));
}

static void *shut_soon(void *fd)
{
	nap(SILENCE);
	shutdown(*(int *)fd, SHUT_RD);
	return NULL;
}

static void shutdown_wakes(void)
{
	int fd = open_script("silent");
	pthread_t t;
	pthread_create(&t, NULL, shut_soon, &fd);
	recv_text("recv", fd, 1, 0);
	pthread_join(t, NULL);
}

static void half_closed_by_peer(void)
{
	int fd = open_script("half;eof;tell");
	recv_text("recv", fd, 1, 0);
	say("poll %s", settle(fd, POLLRDHUP));
	const char *k = key();
	close(fd);
	fd = open_script("note %s;half;eof", k);
	recv_text("recv", fd, 1, 0);
	send_pattern("send", fd, 300000);
	did("shutdown", shutdown(fd, SHUT_WR));
	say("poll %s", settle(fd, POLLHUP));
	say("the other end has %s", noted(k));
}

static void half_closed_long(void)
{
	int fd = open_script("eof;pause 1500;say still here");
	must("shutdown", shutdown(fd, SHUT_WR));
	say("poll %s", wait_for(fd, POLLIN, 1000));
	recv_text("recv", fd, 11, MSG_WAITALL);
	recv_text("recv", fd, 1, 0);
}

static void closed_by_peer(void)
{
	int fd = open_script("close");
	recv_text("recv", fd, 1, 0);
	say("poll %s", wait_for(fd, ALL, 0));
	send_text("first", "x", fd);
	say("poll %s", settle(fd, POLLHUP | POLLERR));
	send_text("second", "x", fd);
	recv_text("recv", fd, 1, 0);
	so_error(fd);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int s)
{
	(void)s;
	pipes++;
}

static void say_pipes(void)
{
	say("%s", pipes ? "SIGPIPE" : "no signal");
	pipes = 0;
}

static void sigpipe(void)
{
	signal(SIGPIPE, on_pipe);
	int fd = open_script("eof");
	must("shutdown", shutdown(fd, SHUT_WR));
	count("write", write(fd, "x", 1));
	say_pipes();
	count("send", send(fd, "x", 1, 0));
	say_pipes();
	send_text("MSG_NOSIGNAL", "x", fd);
	say_pipes();
}

static void reset_by_peer(void)
{
	int fd = open_script("rst");
	say("poll %s", settle(fd, POLLHUP));
	recv_text("recv", fd, 1, 0);
	recv_text("recv", fd, 1, 0);
	so_error(fd);
	send_text("send", "x", fd);
	say("poll %s", wait_for(fd, ALL, 0));
	fd = open_script("rst");
	settle(fd, POLLHUP);
	so_error(fd);
	recv_text("recv", fd, 1, 0);
	fd = open_script("rst");
	settle(fd, POLLHUP);
	send_text("send", "x", fd);
	send_text("send", "x", fd);
}

static void reset_after_data(void)
{
	int fd = open_script("send 5;rst");
	say("poll %s", settle(fd, POLLHUP));
	for (int i = 0; i < 3; i++)
		recv_text("recv", fd, 10, 0);
	fd = open_script("send 100000;read 1;rst"); /* so much has to be read before the reset */
	recv_pattern("recv", fd, 100000);
	send_text("send", "x", fd);
	recv_text("recv", fd, 1, 0);
}

static void reset_by_unread(void)
{
	int fd = open_script("unread");
	send_text("send", "abc", fd);
	say("poll %s", settle(fd, POLLHUP));
	recv_text("recv", fd, 1, 0);
	recv_text("recv", fd, 1, 0);
}

static void reset_wakes(void) { recv_text("recv", open_script("pause 50;rst"), 1, 0); }

static void reset_while_sending(void)
{
	static char b[64 << 10];
	int fd = open_script("pause 100;rst");
	while (send(fd, b, sizeof b, MSG_NOSIGNAL) >= 0)
		;
	did("send", -1);
	recv_text("recv", fd, 1, 0);
	send_text("send", "x", fd);
}

static void reset_ours(void)
{
	const char *k = key();
	int fd = open_script("note %s;read 3;eof", k);
	send_text("send", "abc", fd);
	linger_zero(fd);
	did("close", close(fd));
	say("the other end has %s", first(noted(k)));
}

static void reset_ours_unread(void)
{
	const char *k = key();
	int fd = open_script("note %s;send 5;eof", k);
	say("unread %d", unread(fd, 5));
	did("close", close(fd));
	say("the other end has %s", first(noted(k)));
}

static void reset_accepted(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	const char *k = key();
	int conn = called(ln, NULL, "say connected,note %s,eof", k);
	line(conn); /* so that the reset does not meet its connect */
	linger_zero(conn);
	close(conn);
	say("SO_LINGER %s", first(noted(k)));
	k = key();
	conn = called(ln, NULL, "note %s,send 5,eof", k);
	unread(conn, 5);
	close(conn);
	say("unread %s", first(noted(k)));
	k = key();
	conn = called(ln, NULL, "note %s,eof", k);
	close(conn);
	say("close %s", brief(noted(k)));
}

static void close_flushes(void)
{
	const char *k = key();
	int fd = open_script("note %s;pause 50;eof", k);
	send_pattern("send", fd, 1000000);
	did("close", close(fd));
	say("the other end has %s", noted(k));
}

static void close_lingers(void)
{
	const char *k = key();
	int fd = open_script("note %s;pause 50;eof", k);
	struct linger l = {1, 5};
	must("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
	send_pattern("send", fd, 200000);
	did("close", close(fd));
	say("the other end has %s", noted(k));
}

static void close_both(void)
{
	for (int i = 0; i < 20; i++) {
		const char *k = key();
		int fd = open_script("note %s;read 1;half;eof", k);
		char b;
		must("send", write(fd, "x", 1));
		must("shutdown", shutdown(fd, SHUT_WR));
		long n = recv(fd, &b, 1, 0);
		if (n != 0)
			count("recv", n);
		close(fd);
		const char *got = brief(noted(k));
		if (strcmp(got, "EOF after 0 bytes"))
			say("the other end has %s", got);
	}
	say("20 times");
}

const struct question shutdown_questions[] = {
	{"shutdown-wr", shutdown_write, 0},
	{"shutdown-rd", shutdown_read, 0},
	{"shutdown-rdwr", shutdown_both, 0},
	{"shutdown-bad", shutdown_bad, 0},
	{"shutdown-wakes", shutdown_wakes, 0},
	{"half-closed-by-peer", half_closed_by_peer, 0},
	{"half-closed-long", half_closed_long, 0},
	{"closed-by-peer", closed_by_peer, 0},
	{"sigpipe", sigpipe, 0},
	{"reset-by-peer", reset_by_peer, 0},
	{"reset-after-data", reset_after_data, 0},
	{"reset-by-unread", reset_by_unread, 0},
	{"reset-wakes", reset_wakes, 0},
	{"reset-while-sending", reset_while_sending, 0},
	{"reset-ours", reset_ours, 0},
	{"reset-ours-unread", reset_ours_unread, 0},
	{"reset-accepted", reset_accepted, 0},
	{"close-flushes", close_flushes, 0},
	{"close-lingers", close_lingers, 0},
	{"close-both", close_both, 0},
	{0},
};
