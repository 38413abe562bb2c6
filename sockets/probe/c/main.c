#include "probe.h"
#include <sys/prctl.h>
#include <sys/resource.h>

enum { USUAL_LIMIT = 8 };

static const struct question *const all[] = {
	connect_questions, name_questions, listen_questions, bind_questions, shutdown_questions, ready_questions, data_questions,
	bulk_questions, option_questions, socket_questions, process_questions, other_questions, signal_questions, uring_questions,
};

char **self_argv;

static void answer(const struct question *q)
{
	size_t n = strlen(q->name);
	if (n > 2 && !strcmp(q->name + n - 2, "-6") && six.len == 0)
		leave("no IPv6 address of the counterpart was given");
	else
		q->ask();
}

/* ask_apart asks in a process group of its own, which ends with the question. */
static void ask_apart(const struct question *q)
{
	int p[2];
	must("pipe", pipe2(p, O_CLOEXEC));
	printf("%s: ", q->name);
	fflush(stdout);
	pid_t pid = must("fork", fork());
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], 1);
		answer(q);
		fflush(stdout);
		_exit(0);
	}
	setpgid(pid, pid);
	close(p[1]);
	long deadline = now_ms() + 1000L * (q->limit ? q->limit : USUAL_LIMIT);
	char b[4096];
	bool said = false, hangs = true;
	for (;;) {
		long left = deadline - now_ms();
		if (left <= 0 || poll_one(p[0], POLLIN, left) == 0)
			break;
		long n = read(p[0], b, sizeof b);
		if (n <= 0) {
			hangs = false;
			break;
		}
		fwrite(b, 1, n, stdout);
		said = true;
	}
	close(p[0]);
	if (hangs) {
		kill(-pid, SIGKILL);
		printf("%shangs", said ? ", " : "");
	}
	int status = 0;
	waitpid(pid, &status, 0);
	if (!hangs && status)
		printf("%sdies with status %d", said ? ", " : "", status);
	printf("\n");
	fflush(stdout);
}

static bool chosen(const char *name, const char *only)
{
	size_t n = strlen(name);
	for (const char *p = only; p && *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && !strncmp(p, name, n))
			return true;
	return !only;
}

int main(int argc, char **argv)
{
	self_argv = argv;
	if (argc > 2 && !strcmp(argv[1], "helper"))
		return helper(argc - 2, argv + 2);
	bool list = argc == 2 && !strcmp(argv[1], "list"), ask = argc > 2 && !strcmp(argv[1], "ask");
	const char *only = NULL;
	int i = 2;
	if (ask && !strcmp(argv[i], "--only") && argc > 4) {
		only = argv[3];
		i = 4;
	}
	if (!list && (!ask || argc - i < 1 || argc - i > 2)) {
		fprintf(stderr, "usage: probe-c list | probe-c ask [--only NAME,NAME] HOST:PORT [[HOST6]:PORT]\n");
		return 2;
	}
	if (ask) {
		four = parse_port(argv[i]);
		if (argc - i == 2)
			six = parse_port(argv[i + 1]);
	}
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	for (size_t k = 0; k < sizeof all / sizeof *all; k++)
		for (const struct question *q = all[k]; q->name; q++)
			if (list)
				puts(q->name);
			else if (chosen(q->name, only))
				ask_apart(q);
	return 0;
}
