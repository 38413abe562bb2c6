#include "probe.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* io_uring by its system calls: one operation at a time. IORING_OP_SOCKET is
 * Linux 5.19; older headers may lack its name. */
enum { OP_SOCKET = 45, ENTRIES = 8 };

struct ring {
	int fd;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

static bool set_up(struct ring *r)
{
	memset(r, 0, sizeof *r);
	r->fd = syscall(__NR_io_uring_setup, ENTRIES, &r->p);
	if (r->fd < 0) {
		if (atoi(system_text("kernel/io_uring_disabled")) == 2 || (errno == ENOSYS && *system_text("kernel/io_uring_disabled") == 0))
			leave("this system has no io_uring");
		else
			did("setup", -1);
		return false;
	}
	const struct io_sqring_offsets *so = &r->p.sq_off;
	const struct io_cqring_offsets *co = &r->p.cq_off;
	size_t sq = so->array + ENTRIES * 4 * sizeof(unsigned), cq = co->cqes + 4 * ENTRIES * sizeof(struct io_uring_cqe);
	r->sq = mmap(NULL, sq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, ENTRIES * sizeof *r->sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (r->sq == MAP_FAILED || r->cq == MAP_FAILED || r->sqes == MAP_FAILED)
		must("mmap", -1);
	return true;
}

/* go does one operation and returns its result, as calls do. */
static long go(struct ring *r, int op, int fd, const void *addr, unsigned len, uint64_t off, unsigned flags)
{
	unsigned *tail = (void *)(r->sq + r->p.sq_off.tail), *mask = (void *)(r->sq + r->p.sq_off.ring_mask), *array = (void *)(r->sq + r->p.sq_off.array);
	unsigned *chead = (void *)(r->cq + r->p.cq_off.head), *ctail = (void *)(r->cq + r->p.cq_off.tail), *cmask = (void *)(r->cq + r->p.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (void *)(r->cq + r->p.cq_off.cqes);
	unsigned at = *tail & *mask;
	struct io_uring_sqe *e = &r->sqes[at];
	memset(e, 0, sizeof *e);
	e->opcode = op;
	e->fd = fd;
	e->addr = (uintptr_t)addr;
	e->len = len;
	e->off = off;
	e->msg_flags = flags;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must("enter", syscall(__NR_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	unsigned head = *chead;
	if (head == __atomic_load_n(ctail, __ATOMIC_ACQUIRE)) {
		errno = ETIMEDOUT;
		must("completion", -1);
	}
	long res = cqes[head & *cmask].res;
	__atomic_store_n(chead, head + 1, __ATOMIC_RELEASE);
	if (res < 0) {
		errno = -res;
		return -1;
	}
	return res;
}

static int uring_socket(struct ring *r) { return go(r, OP_SOCKET, AF_INET, NULL, 0, SOCK_STREAM, 0); }

static int uring_connect(struct ring *r, int fd, struct addr *a) { return go(r, IORING_OP_CONNECT, fd, &a->sa, 0, a->len, 0); }

static void uring_client(void)
{
	struct ring r;
	char b[6];
	if (!set_up(&r))
		return;
	int fd = tcp(four);
	did("connect", uring_connect(&r, fd, &four));
	is("peer as asked", same(peername(fd), four));
	count("send", go(&r, IORING_OP_SEND, fd, "echo\nquiver", 11, 0, MSG_NOSIGNAL));
	text("recv", b, go(&r, IORING_OP_RECV, fd, b, 6, 0, MSG_WAITALL));
	struct addr none = closed(four);
	did("refused", uring_connect(&r, tcp(four), &none));
	did("shutdown", go(&r, IORING_OP_SHUTDOWN, fd, NULL, SHUT_WR, 0, 0));
	count("recv", go(&r, IORING_OP_RECV, fd, b, 6, 0, 0));
	did("close", go(&r, IORING_OP_CLOSE, fd, NULL, 0, 0, 0));
}

static void uring_server(void)
{
	struct ring r;
	struct addr from;
	if (!set_up(&r))
		return;
	int ln = listener("0.0.0.0", 8, NULL);
	call(ln, "names,echo");
	memset(&from, 0, sizeof from);
	from.len = sizeof from.ss;
	int conn = go(&r, IORING_OP_ACCEPT, ln, &from.sa, 0, (uintptr_t)&from.len, 0);
	did("accept", conn);
	agree(line(conn), sockname(conn), from);
	echo(conn);
}

static void uring_made(void)
{
	struct ring r;
	if (!set_up(&r))
		return;
	int fd = uring_socket(&r);
	if (fd < 0 && errno == EINVAL) {
		leave("this kernel's io_uring makes no sockets");
		return;
	}
	did("socket", fd);
	did("connect", uring_connect(&r, fd, &four));
	is("peer as asked", same(peername(fd), four));
	hand(fd, "names;eof");
	agree(line(fd), sockname(fd), peername(fd));
}

const struct question uring_questions[] = {
	{"c-uring-client", uring_client, 0},
	{"c-uring-server", uring_server, 0},
	{"c-uring-socket", uring_made, 0},
	{0},
};
