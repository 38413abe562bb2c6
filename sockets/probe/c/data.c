#include "probe.h"
#include <linux/errqueue.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void data_unread(void)
{
	int fd = open_script("send 5;eof"), n;
	say("unread %d", unread(fd, 5));
	recv_text("recv", fd, 2, 0);
	count("unread", ioctl(fd, FIONREAD, &n) < 0 ? -1 : n);
	did("new", ioctl(tcp(four), FIONREAD, &n));
	did("listener", ioctl(listener("127.0.0.1", 1, NULL), FIONREAD, &n));
}

static void data_unsent(void)
{
	const char *k = key();
	int fd = unread_until(k), n = 0;
	did("full", fill(fd));
	did("SIOCOUTQ", ioctl(fd, SIOCOUTQ, &n));
	is("something unsent", n > 0);
	drain(k);
	for (long deadline = now_ms() + WAIT; n && now_ms() < deadline; nap(1))
		ioctl(fd, SIOCOUTQ, &n);
	is("nothing in the end", n == 0);
	did("new", ioctl(tcp(four), SIOCOUTQ, &n));
}

static void data_peek(void)
{
	int fd = open_script("say abcd;eof");
	say("unread %d", unread(fd, 5));
	recv_text("peek", fd, 2, MSG_PEEK);
	recv_text("peek", fd, 10, MSG_PEEK);
	recv_text("recv", fd, 2, 0);
	recv_text("peek", fd, 10, MSG_PEEK);
	did("SO_PEEK_OFF", set(fd, SOL_SOCKET, SO_PEEK_OFF, 1));
	recv_text("recv", fd, 10, 0);
	recv_text("peek", fd, 10, MSG_PEEK | MSG_DONTWAIT);
}

static void data_trunc(void)
{
	int fd = open_script("say abcd;eof");
	say("unread %d", unread(fd, 5));
	count("recv", recv(fd, NULL, 3, MSG_TRUNC));
	recv_text("rest", fd, 10, 0);
}

static void data_waitall(void)
{
	char b[10];
	count("whole", recv(open_script("send 4;pause 50;send 6;eof"), b, 10, MSG_WAITALL));
	count("cut", recv(open_script("send 4;half;eof"), b, 10, MSG_WAITALL));
	int fd = open_script("send 4;read 1;rst");
	unread(fd, 4);
	send_text("go", "x", fd);
	count("reset", recv(fd, b, 10, MSG_WAITALL));
}

static void data_dontwait(void)
{
	recv_text("recv", open_script("silent"), 1, MSG_DONTWAIT);
	did("full", fill(unread_until(key())));
}

static bool nonblocking(int fd) { return fcntl(fd, F_GETFL) & O_NONBLOCK; }

static void data_nonblock(void)
{
	int fd = open_script("silent"), v = 1;
	is("at first", nonblocking(fd));
	did("FIONBIO", ioctl(fd, FIONBIO, &v));
	is("flag", nonblocking(fd));
	recv_text("recv", fd, 1, 0);
	v = 0;
	did("FIONBIO", ioctl(fd, FIONBIO, &v));
	is("flag", nonblocking(fd));
	int fl = must("fcntl", fcntl(fd, F_GETFL));
	did("F_SETFL", fcntl(fd, F_SETFL, fl | O_NONBLOCK));
	recv_text("recv", fd, 1, 0);
	is("readable and writable", (fl & O_ACCMODE) == O_RDWR);
}

static void data_rcvtimeo(void)
{
	int fd = open_script("silent");
	struct timeval tv = {0, SILENCE * 1000};
	socklen_t len = sizeof tv;
	did("set", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	long start = now_ms();
	recv_text("recv", fd, 1, 0);
	is("after the time", now_ms() - start >= SILENCE * 9 / 10);
	must("get", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	say("kept %ldms", (long)(tv.tv_sec * 1000 + tv.tv_usec / 1000));
}

static void data_sndtimeo(void)
{
	static char b[64 << 10];
	int fd = unread_until(key());
	struct timeval tv = {0, SILENCE * 1000};
	did("set", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	while (send(fd, b, sizeof b, MSG_NOSIGNAL) >= 0)
		;
	did("send", -1);
}

static void data_zero(void)
{
	int fd = open_script("eof;tell");
	char b;
	count("write", write(fd, &b, 0));
	count("send", send(fd, &b, 0, MSG_NOSIGNAL));
	count("recv", recv(fd, &b, 0, MSG_DONTWAIT));
	must("shutdown", shutdown(fd, SHUT_WR));
	say("the other end has %s", brief(line(fd)));
}

static void data_vectors(void)
{
	int fd = open_script("echo");
	char a[3] = "", b[11] = "", control[100];
	struct iovec out[] = {{"ab", 2}, {"", 0}, {"cde", 3}}, in[] = {{a, 2}, {b, 10}}, more[] = {{"fg", 2}, {"h", 1}};
	count("writev", writev(fd, out, 3));
	unread(fd, 5);
	count("readv", readv(fd, in, 2));
	say("%s %.3s", a, b);
	struct msghdr m = {.msg_iov = more, .msg_iovlen = 2};
	count("sendmsg", sendmsg(fd, &m, 0));
	unread(fd, 3);
	struct addr from;
	struct msghdr r = {.msg_name = &from.ss, .msg_namelen = sizeof from.ss, .msg_iov = in, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
	count("recvmsg", recvmsg(fd, &r, 0));
	say("%s %.1s, control %d, flags %d", a, b, (int)r.msg_controllen, r.msg_flags & ~MSG_CMSG_CLOEXEC);
	is("without address", r.msg_namelen == 0);
}

static void data_mmsg(void)
{
	int fd = open_script("echo");
	char t[3][4] = {"ab", "cde", "f"};
	struct iovec v[3] = {{t[0], 2}, {t[1], 3}, {t[2], 1}};
	struct mmsghdr m[3];
	for (int round = 0; round < 2; round++) {
		memset(m, 0, sizeof m);
		for (int i = 0; i < 3; i++) {
			m[i].msg_hdr.msg_iov = &v[i];
			m[i].msg_hdr.msg_iovlen = 1;
		}
		if (round == 0) {
			count("sendmmsg", sendmmsg(fd, m, 3, 0));
			unread(fd, 6);
		} else {
			count("recvmmsg", recvmmsg(fd, m, 3, MSG_DONTWAIT, NULL));
		}
		say("of %d %d %d", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	}
	say("%s %s %s", t[0], t[1], t[2]);
}

static void data_addresses(void)
{
	int fd = open_script("echo");
	struct addr none = closed(four), from;
	char b[10];
	did("sendto", sendto(fd, "abc", 3, MSG_NOSIGNAL, &none.sa, none.len));
	unread(fd, 3);
	from.len = sizeof from.ss;
	count("recvfrom", recvfrom(fd, b, sizeof b, 0, &from.sa, &from.len));
	is("without address", from.len == 0);
}

static void data_unconnected(void)
{
	int fd = tcp(four);
	send_text("send", "x", fd);
	did("sendto", sendto(fd, "x", 1, MSG_NOSIGNAL, &four.sa, four.len));
	recv_text("recv", fd, 1, 0);
	recv_text("peek", fd, 1, MSG_PEEK);
	signal(SIGPIPE, SIG_IGN);
	did("write nothing", write(fd, "", 0));
}

static void data_bad(void)
{
	int fd = open_script("send 5;eof");
	char b;
	struct stat st;
	unread(fd, 5);
	did("send from nowhere", send(fd, (void *)1, 10, MSG_NOSIGNAL));
	did("recv to nowhere", recv(fd, (void *)1, 10, 0));
	recv_text("recv", fd, 10, 0);
	recv_text("no urgent data", fd, 1, MSG_OOB);
	send_text("bad descriptor", "x", 9999);
	send_text("no socket", "x", 1);
	did("seek", lseek(fd, 0, SEEK_SET));
	did("pread", pread(fd, &b, 1, 0));
	did("fsync", fsync(fd));
	did("ftruncate", ftruncate(fd, 0));
	did("fchmod", fchmod(fd, 0600));
	must("fstat", fstat(fd, &st));
	is("fstat says socket", S_ISSOCK(st.st_mode));
}

static void data_cork(void)
{
	int fd = open_script("echo");
	char b[6];
	did("cork", set(fd, IPPROTO_TCP, TCP_CORK, 1));
	send_text("send", "abc", fd);
	send_text("send", "def", fd);
	did("uncork", set(fd, IPPROTO_TCP, TCP_CORK, 0));
	text("recv", b, recv(fd, b, 6, MSG_WAITALL));
	did("more", send(fd, "ghi", 3, MSG_MORE));
	send_text("send", "jkl", fd);
	text("recv", b, recv(fd, b, 6, MSG_WAITALL));
}

static void data_errqueue(void)
{
	int fd = open_script("echo");
	recv_text("recv", fd, 10, MSG_ERRQUEUE);
	did("IP_RECVERR", set(fd, IPPROTO_IP, IP_RECVERR, 1));
	recv_text("recv", fd, 10, MSG_ERRQUEUE);
	echo(fd);
}

static void data_zerocopy(void)
{
	static char b[20000], control[200];
	int fd = open_script("echo");
	did("SO_ZEROCOPY", set(fd, SOL_SOCKET, SO_ZEROCOPY, 1));
	pattern(b, sizeof b, 0);
	count("send", send(fd, b, sizeof b, MSG_ZEROCOPY));
	recv_pattern("recv", fd, sizeof b);
	say("poll %s", settle(fd, POLLERR));
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
	did("notification", recvmsg(fd, &m, MSG_ERRQUEUE));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct sock_extended_err e;
		memcpy(&e, CMSG_DATA(c), sizeof e);
		say("errno %u, origin %d, from %u to %u", e.ee_errno, e.ee_origin, e.ee_info, e.ee_data);
	}
}

static void at_mark(int fd)
{
	int v = 0;
	count("at mark", ioctl(fd, SIOCATMARK, &v) < 0 ? -1 : v);
}

static void oob_from_peer(void)
{
	int fd = open_script("send 3;oob !;send 2;eof");
	char b[2];
	say("poll %s", wait_for(fd, POLLPRI, 1000));
	at_mark(fd);
	recv_text("recv", fd, 10, 0);
	at_mark(fd);
	recv_text("urgent", fd, 1, MSG_OOB);
	count("recv", recv(fd, b, 2, MSG_WAITALL));
	at_mark(fd);
}

static void oob_to_peer(void)
{
	int fd = open_script("eof;tell");
	send_text("send", "abc", fd);
	count("urgent", send(fd, "!", 1, MSG_OOB));
	send_text("send", "de", fd);
	must("shutdown", shutdown(fd, SHUT_WR));
	say("the other end has %s", brief(line(fd)));
}

static void oob_inline(void)
{
	int fd = open_script("read 1;say abc;oob !;say def;eof");
	char b[5];
	did("SO_OOBINLINE", set(fd, SOL_SOCKET, SO_OOBINLINE, 1));
	send_text("go", "x", fd);
	unread(fd, 4);
	text("recv", b, recv(fd, b, 4, MSG_WAITALL));
	say("poll %s", wait_for(fd, POLLPRI, 1000));
	at_mark(fd);
	text("recv", b, recv(fd, b, 5, MSG_WAITALL));
}

const struct question data_questions[] = {
	{"data-fionread", data_unread, 0},
	{"data-siocoutq", data_unsent, 0},
	{"data-peek", data_peek, 0},
	{"data-trunc", data_trunc, 0},
	{"data-waitall", data_waitall, 0},
	{"data-dontwait", data_dontwait, 0},
	{"data-nonblock", data_nonblock, 0},
	{"data-rcvtimeo", data_rcvtimeo, 0},
	{"data-sndtimeo", data_sndtimeo, 0},
	{"data-zero", data_zero, 0},
	{"data-vectors", data_vectors, 0},
	{"data-mmsg", data_mmsg, 0},
	{"data-addresses", data_addresses, 0},
	{"data-unconnected", data_unconnected, 0},
	{"data-bad", data_bad, 0},
	{"data-cork", data_cork, 0},
	{"data-errqueue", data_errqueue, 0},
	{"data-zerocopy", data_zerocopy, 0},
	{"oob-from-peer", oob_from_peer, 0},
	{"oob-to-peer", oob_to_peer, 0},
	{"oob-inline", oob_inline, 0},
	{0},
};
