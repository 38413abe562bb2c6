#include "probe.h"
#include <pthread.h>
#include <sys/stat.h>

static pid_t start(int in, int out, const char *verb, int fd, const char *arg)
{
	pid_t pid = must("fork", fork());
	if (pid == 0) {
		char number[20];
		snprintf(number, sizeof number, "%d", fd);
		if (in != 0)
			dup2(in, 0);
		if (out != 1)
			dup2(out, 1);
		execl("/proc/self/exe", self_argv[0], "helper", verb, number, arg, NULL);
		_exit(127);
	}
	return pid;
}

/* start_helper starts this program as a helper, which gets a duplicate of fd. */
static pid_t start_helper(const char *verb, int fd, const char *arg)
{
	int other = must("dup", dup(fd));
	pid_t pid = start(0, 1, verb, other, arg);
	close(other);
	return pid;
}

static int status_of(pid_t pid)
{
	int status = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static void ended(pid_t pid)
{
	int status = status_of(pid);
	if (status)
		say("helper status %d", status);
	else
		say("helper ok");
}

static int receive(int over)
{
	char b, control[CMSG_SPACE(sizeof(int))];
	struct iovec v = {&b, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int fd = -1;
	if (recvmsg(over, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

static int help(const char *verb, int fd, const char *arg)
{
	struct stat st;
	char b[1000];
	if (!strcmp(verb, "has"))
		return fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode);
	if (!strcmp(verb, "write"))
		return send(fd, arg, strlen(arg), MSG_NOSIGNAL) != (ssize_t)strlen(arg);
	if (!strcmp(verb, "hold")) {
		nap(100);
		return 0;
	}
	if (!strcmp(verb, "connect")) {
		if (to(fd, parse_port(arg)) < 0)
			return 1;
		hand(fd, "read 5;eof");
		return send(fd, "child", 5, MSG_NOSIGNAL) != 5;
	}
	if (!strcmp(verb, "accept")) {
		for (int times = atoi(arg); times > 0; times--) {
			int conn = take(fd, NULL);
			if (send(conn, "hello\n", 6, MSG_NOSIGNAL) != 6)
				return 1;
			close(conn);
		}
		return 0;
	}
	if (!strcmp(verb, "cat")) {
		long n;
		while ((n = read(0, b, sizeof b)) > 0)
			if (write(1, b, n) != n)
				return 1;
		return n < 0;
	}
	if (!strcmp(verb, "passed"))
		return help(arg, receive(fd), "1");
	return 2;
}

int helper(int argc, char **argv) { return argc < 2 ? 2 : help(argv[0], atoi(argv[1]), argc > 2 ? argv[2] : ""); }

static void dups(void)
{
	const char *k = key();
	int fd = open_script("note %s;echo", k), a = dup(fd);
	did("dup", a);
	int b = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	did("F_DUPFD", b);
	is("at least 100", b >= 100);
	did("dup3", dup3(fd, 77, O_CLOEXEC));
	is("one name", same(sockname(77), sockname(fd)) && same(peername(b), peername(a)));
	close(fd);
	echo(a);
	echo(b);
	echo(77);
	set_nonblock(a, true);
	recv_text("recv on another", b, 1, 0);
	set_nonblock(a, false);
	did("shutdown", shutdown(a, SHUT_WR));
	send_text("send on another", "x", b);
	close(a);
	close(b);
	close(77);
	say("the other end has %s", brief(noted(k)));
}

static void exec_inherits(void)
{
	int fd = open_script("echo");
	ended(start_helper("write", fd, "child"));
	unread(fd, 5);
	recv_text("recv", fd, 10, 0);
	echo(fd);
}

static void exec_holds(void)
{
	const char *k = key();
	int fd = open_script("note %s;eof", k);
	pid_t pid = start_helper("hold", fd, "");
	long began = now_ms();
	close(fd);
	say("the other end has %s", brief(noted(k)));
	ended(pid);
	is("not before", now_ms() - began > SILENCE);
}

static void exec_cloexec(void)
{
	static const int flags[] = {0, SOCK_CLOEXEC};
	for (int i = 0; i < 2; i++)
		is("inherited", status_of(start(0, 1, "has", must("socket", socket(AF_INET, SOCK_STREAM | flags[i], 0)), "")) == 0);
	int ln = listener("0.0.0.0", 8, NULL);
	for (int i = 0; i < 2; i++) {
		call(ln, "eof");
		poll_one(ln, POLLIN, WAIT);
		int fd = must("accept", accept4(ln, NULL, NULL, flags[i]));
		is("accepted, inherited", status_of(start(0, 1, "has", fd, "")) == 0);
	}
}

static void exec_connects(void)
{
	int fd = tcp(four);
	ended(start_helper("connect", fd, host_port_text(four)));
	is("peer as asked", same(peername(fd), four));
	did("connect", to(fd, four));
}

static void exec_accepts(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	const char *k = key();
	call(ln, "note %s,eof", k);
	ended(start_helper("accept", ln, "1"));
	say("the other end has %s", brief(noted(k)));
}

static void exec_inetd(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	const char *k = key();
	int conn = called(ln, NULL, "note %s,say through a child,half,eof", k);
	pid_t pid = start(conn, conn, "cat", 0, "");
	close(conn);
	ended(pid);
	say("the other end has %s", brief(noted(k)));
}

static void exec_prefork(void)
{
	struct addr at;
	int ln = listener("0.0.0.0", 50, &at), right = 0;
	pid_t pids[4];
	char script[1000] = "", k[40];
	for (int i = 0; i < 4; i++)
		pids[i] = start_helper("accept", ln, "5");
	for (int i = 0; i < 20; i++)
		sprintf(script + strlen(script), "%sback %d note p%d-%d,eof", i ? ";" : "", port_of(at), getpid(), i);
	close(open_script("%s", script));
	for (int i = 0; i < 20; i++) {
		snprintf(k, sizeof k, "p%d-%d", getpid(), i);
		right += !strcmp(brief(noted(k)), "EOF after 6 bytes");
	}
	say("right %d", right);
	for (int i = 0; i < 4; i++)
		ended(pids[i]);
}

static pid_t pass(int fd, const char *what)
{
	int p[2];
	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p));
	pid_t pid = start_helper("passed", p[1], what);
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	did("pass", sendmsg(p[0], &m, 0));
	close(p[0]);
	close(p[1]);
	return pid;
}

static void pass_connected(void)
{
	int fd = open_script("echo");
	ended(pass(fd, "write"));
	unread(fd, 1);
	recv_text("recv", fd, 10, 0);
}

static void pass_listening(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	pid_t pid = pass(ln, "accept");
	const char *k = key();
	call(ln, "note %s,eof", k);
	close(ln);
	ended(pid);
	say("the other end has %s", brief(noted(k)));
}

static void *one_thread(void *arg)
{
	long i = (long)arg, right = 0;
	for (int j = 0; j < 4; j++) {
		char out[100], in[100];
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n = snprintf(out, sizeof out, "echo\n%d of %ld", j, i);
		if (fd < 0 || to(fd, four) < 0 || send(fd, out, n, MSG_NOSIGNAL) != n)
			break;
		right += recv(fd, in, n - 5, MSG_WAITALL) == n - 5 && !memcmp(in, out + 5, n - 5);
		close(fd);
	}
	return (void *)right;
}

static void threads(void)
{
	pthread_t t[50];
	long right = 0;
	for (long i = 0; i < 50; i++)
		must("thread", -pthread_create(&t[i], NULL, one_thread, (void *)i));
	for (int i = 0; i < 50; i++) {
		void *r;
		pthread_join(t[i], &r);
		right += (long)r;
	}
	say("right %ld", right);
}

static volatile sig_atomic_t ios;

static void on_io(int s)
{
	(void)s;
	ios++;
}

static void sigio(void)
{
	signal(SIGIO, on_io);
	int fd = open_script("read 1;send 5;eof");
	did("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
	is("owner", fcntl(fd, F_GETOWN) == getpid());
	did("O_ASYNC", fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
	send_text("go", "x", fd);
	for (long deadline = now_ms() + WAIT; !ios && now_ms() < deadline; nap(1))
		;
	say("%s", ios ? "SIGIO" : "no signal");
	say("unread %d", unread(fd, 5));
}

const struct question process_questions[] = {
	{"dup", dups, 0},
	{"exec-inherits", exec_inherits, 0},
	{"exec-holds", exec_holds, 0},
	{"exec-cloexec", exec_cloexec, 0},
	{"exec-before-connect", exec_connects, 0},
	{"exec-listener", exec_accepts, 0},
	{"exec-inetd", exec_inetd, 0},
	{"exec-prefork", exec_prefork, 0},
	{"pass-connected", pass_connected, 0},
	{"pass-listening", pass_listening, 0},
	{"threads-50", threads, 20},
	{"sigio", sigio, 0},
	{0},
};
