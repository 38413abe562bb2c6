#include "probe.h"
#include <pthread.h>
#include <sched.h>
#include <spawn.h>

/* What only C can ask: fork without exec, vfork, signals, threads that die. */

static volatile sig_atomic_t alarms;

static void on_alarm(int s)
{
	(void)s;
	alarms++;
}

/* alarm_in has one SIGALRM come, which interrupts calls or restarts them. */
static void alarm_in(int ms, int flags)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval t = {.it_value = {0, ms * 1000}};
	must("sigaction", sigaction(SIGALRM, &sa, NULL));
	must("setitimer", setitimer(ITIMER_REAL, &t, NULL));
}

static void eintr_recv(void)
{
	int fd = open_script("read 1;send 5;eof");
	alarm_in(SILENCE, 0);
	recv_text("recv", fd, 10, 0);
	send_text("go", "x", fd);
	say("unread %d", unread(fd, 5));
	recv_text("recv", fd, 10, 0);
	fd = open_script("pause 150;send 5;eof");
	alarm_in(SILENCE, SA_RESTART);
	recv_text("restarted", fd, 10, 0);
	is("interrupted twice", alarms == 2);
}

static void eintr_send(void)
{
	static char b[64 << 10];
	struct itimerval often = {{0, SILENCE * 1000}, {0, SILENCE * 1000}}, off = {{0, 0}, {0, 0}};
	int fd = unread_until(key());
	did("full", fill(fd));
	alarm_in(SILENCE, 0);
	must("setitimer", setitimer(ITIMER_REAL, &often, NULL));
	while (send(fd, b, sizeof b, MSG_NOSIGNAL) >= 0) /* there may be room for some, which then is what is returned */
		;
	did("send", -1);
	must("setitimer", setitimer(ITIMER_REAL, &off, NULL));
	is("interrupted", alarms > 0);
}

static void eintr_accept(void)
{
	int ln = listener("0.0.0.0", 8, NULL);
	alarm_in(SILENCE, 0);
	did("accept", accept4(ln, NULL, NULL, SOCK_CLOEXEC));
	int conn = called(ln, NULL, "echo");
	echo(conn);
	alarm_in(SILENCE, SA_RESTART);
	int c = open_script("read 1;pause 150;back %d echo", port_of(sockname(ln)));
	send_text("go", "x", c);
	conn = accept4(ln, NULL, NULL, SOCK_CLOEXEC);
	did("restarted", conn);
	echo(conn);
	is("interrupted twice", alarms == 2);
}

static void eintr_connect(void)
{
	int hold[2];
	struct addr at = stuck(hold);
	int fd = tcp(at);
	alarm_in(SILENCE, 0);
	did("connect", to(fd, at));
	set_nonblock(fd, true);
	did("again", to(fd, at));
	is("interrupted", alarms == 1);
}

static void eintr_wait(void)
{
	int fd = open_script("silent");
	struct pollfd p = {fd, POLLIN, 0};
	alarm_in(SILENCE, SA_RESTART);
	did("poll", poll(&p, 1, WAIT));
}

/* A signal a thousand times a second must not show in calls that do not wait. */
static void storm(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval t = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
	int socket_eintr = 0, other = 0, right = 0;
	must("sigaction", sigaction(SIGALRM, &sa, NULL));
	must("setitimer", setitimer(ITIMER_REAL, &t, NULL));
	for (long deadline = now_ms() + 500; now_ms() < deadline;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		struct addr a = parse("127.0.0.1", 0);
		if ((fd < 0 || u < 0) && errno == EINTR)
			socket_eintr++;
		else if (fd <= 2 || u <= 2 || fd == u || bind_to(fd, a) < 0 || listen(fd, 1) < 0 || port_of(sockname(fd)) == 0)
			other++;
		else
			right++;
		close(fd);
		close(u);
	}
	must("setitimer", setitimer(ITIMER_REAL, &off, NULL));
	is("signals came", alarms > 5);
	say("interrupted %d, wrong %d", socket_eintr, other);
	is("right", right > 20);
}

static void storm_connect(void)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval t = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
	int right = 0;
	must("sigaction", sigaction(SIGALRM, &sa, NULL));
	must("setitimer", setitimer(ITIMER_REAL, &t, NULL));
	for (int i = 0; i < 100; i++) {
		int fd = open_script("say %d", i);
		right += atoi(line(fd)) == i;
		close(fd);
	}
	must("setitimer", setitimer(ITIMER_REAL, &off, NULL));
	say("right %d", right);
}

static void kill_pending(void)
{
	int hold[2], status = 0;
	struct addr at = stuck(hold);
	for (int i = 0; i < 2; i++) {
		pid_t pid = must("fork", fork());
		if (pid == 0) {
			signal(SIGTERM, SIG_DFL);
			if (i == 0)
				to(tcp(at), at);
			else
				accept(listener("127.0.0.1", 1, NULL), NULL, NULL);
			_exit(1);
		}
		nap(SILENCE);
		kill(pid, SIGTERM);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		say("%s ended by %s", i ? "accept" : "connect", WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? "SIGTERM" : "something else");
	}
}

static void fork_shares(void)
{
	int fd = open_script("echo"), status = 0;
	pid_t pid = must("fork", fork());
	if (pid == 0)
		_exit(send(fd, "child", 5, MSG_NOSIGNAL) != 5);
	waitpid(pid, &status, 0);
	say("child %d", status);
	unread(fd, 5);
	recv_text("recv", fd, 10, 0);
	echo(fd);
	pid = must("fork", fork());
	if (pid == 0) {
		int own = tcp(four); /* what a child makes and connects is its own */
		_exit(to(own, four) < 0);
	}
	waitpid(pid, &status, 0);
	say("child connects %d", status);
}

static void fork_many(void)
{
	int right = 0, status;
	for (int i = 0; i < 20; i++)
		if (must("fork", fork()) == 0) {
			int fd = open_script("say %d", i);
			_exit(atoi(line(fd)) != i);
		}
	for (int i = 0; i < 20; i++)
		right += wait(&status) > 0 && status == 0;
	say("right %d", right);
}

static void vfork_exec(void)
{
	int fd = open_script("echo"), status = -1;
	int other = must("dup", dup(fd));
	char number[20];
	snprintf(number, sizeof number, "%d", other);
	pid_t pid = vfork();
	if (pid == 0) {
		execl("/proc/self/exe", self_argv[0], "helper", "write", number, "child", NULL);
		_exit(127);
	}
	waitpid(must("vfork", pid), &status, 0);
	say("child %d", status);
	unread(fd, 5);
	recv_text("recv", fd, 10, 0);
	echo(fd);
}

static void spawned(void)
{
	int fd = must("socket", socket(AF_INET, SOCK_STREAM, 0)), status = -1;
	char number[20], verb[] = "connect", help[] = "helper", *argv[] = {self_argv[0], help, verb, number, (char *)host_port_text(four), NULL};
	snprintf(number, sizeof number, "%d", fd);
	pid_t pid;
	errno = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);
	did("spawn", errno ? -1 : 0);
	waitpid(pid, &status, 0);
	say("child %d", status);
	is("peer as asked", same(peername(fd), four));
}

static int shared_fd;

static int cloned(void *arg)
{
	(void)arg;
	shared_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return shared_fd < 0 || to(shared_fd, four) < 0;
}

/* A process that shares memory and descriptors, as some runtimes start theirs. */
static void clone_files(void)
{
	static char stack[256 << 10] __attribute__((aligned(16)));
	int status = -1;
	pid_t pid = must("clone", clone(cloned, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD, NULL));
	waitpid(pid, &status, 0);
	say("child %d", status);
	hand(shared_fd, "echo");
	echo(shared_fd);
}

static void *make_and_end(void *p)
{
	*(int *)p = open_script("echo");
	return NULL;
}

static void thread_ends(void)
{
	pthread_t t;
	int fd = -1;
	must("thread", -pthread_create(&t, NULL, make_and_end, &fd));
	pthread_join(t, NULL);
	echo(fd);
}

static void *close_soon(void *p)
{
	nap(SILENCE);
	shutdown(*(int *)p, SHUT_RDWR);
	return NULL;
}

static void accept_woken(void)
{
	int ln = listener("127.0.0.1", 8, NULL);
	pthread_t t;
	must("thread", -pthread_create(&t, NULL, close_soon, &ln));
	did("accept", accept4(ln, NULL, NULL, 0));
	pthread_join(t, NULL);
}

static volatile sig_atomic_t urgents;

static void on_urgent(int s)
{
	(void)s;
	urgents++;
}

static void sigurg(void)
{
	signal(SIGURG, on_urgent);
	int fd = open_script("read 1;oob !;eof");
	did("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
	send_text("go", "x", fd);
	for (long deadline = now_ms() + 1000; !urgents && now_ms() < deadline; nap(1))
		;
	say("%s", urgents ? "SIGURG" : "no signal");
}

const struct question signal_questions[] = {
	{"c-eintr-recv", eintr_recv, 0},
	{"c-eintr-send", eintr_send, 0},
	{"c-eintr-accept", eintr_accept, 0},
	{"c-eintr-connect", eintr_connect, 0},
	{"c-eintr-poll", eintr_wait, 0},
	{"c-signal-storm", storm, 0},
	{"c-signal-storm-connect", storm_connect, 20},
	{"c-kill-pending", kill_pending, 0},
	{"c-fork", fork_shares, 0},
	{"c-fork-20", fork_many, 20},
	{"c-vfork", vfork_exec, 0},
	{"c-spawn", spawned, 0},
	{"c-clone-files", clone_files, 0},
	{"c-thread-ends", thread_ends, 0},
	{"c-accept-woken", accept_woken, 0},
	{"c-sigurg", sigurg, 0},
	{0},
};
