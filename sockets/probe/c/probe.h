/* The questions of sockets/probe in C: the same names, the same answers. What
 * is said about a question in Go holds here. See script.go for the language in
 * which the counterpart is told what to do. */
#ifndef PROBE_H
#define PROBE_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/sockios.h>

/* Not in every libc's headers. */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

struct question {
	const char *name;
	void (*ask)(void);
	int limit; /* seconds; 0 is the usual */
};

/* An address of either family. */
struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage ss;
	};
	socklen_t len;
};

extern struct addr four, six; /* the counterpart's; six.len is 0 if it has none */
extern char **self_argv;

/* Taking down answers. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void did(const char *what, long rc);   /* "what ok" or errno */
void count(const char *what, long rc); /* "what 5" or errno */
void is(const char *what, bool so);    /* "what yes" */
void leave(const char *why);
long must(const char *what, long rc); /* ends the question if rc is negative */
const char *errno_name(int e);
void text(const char *what, const char *b, long n); /* what was read */
void send_text(const char *what, const char *s, int fd);
void recv_text(const char *what, int fd, size_t size, int flags);
void so_error(int fd);
int so_error_of(int fd);

/* Addresses. */
struct addr parse(const char *host, int port);
struct addr parse_port(const char *host_port);
struct addr closed(struct addr a);
struct addr with_port(struct addr a, int port);
struct addr sockname(int fd), peername(int fd);
struct addr unmapped(struct addr a);
bool same(struct addr a, struct addr b);
bool same_host(struct addr a, struct addr b);
int port_of(struct addr a);
const char *host_text(struct addr a);      /* in one of several buffers */
const char *host_port_text(struct addr a); /* the same */
bool is_mapped(struct addr a);
int to(int fd, struct addr a);      /* connect */
int bind_to(int fd, struct addr a); /* bind */

/* Sockets. */
int tcp(struct addr a);     /* of the family of a, blocking */
int pending(struct addr a); /* the same, not blocking */
int udp(struct addr a);
int make_socket(int family, int type, int protocol);
int dial(struct addr a, const char *script, ...) __attribute__((format(printf, 2, 3)));
int open_script(const char *script, ...) __attribute__((format(printf, 1, 2)));
void hand(int fd, const char *script, ...) __attribute__((format(printf, 2, 3)));
const char *line(int fd);
const char *key(void); /* in one of several buffers */
const char *noted(const char *key);
const char *first(const char *s); /* the first word, in one of several buffers */
const char *brief(const char *s); /* without the hash */
void echo(int fd);
int listener(const char *host, int backlog, struct addr *at);
int take(int ln, struct addr *from); /* accept */
int called(int ln, struct addr *from, const char *script, ...) __attribute__((format(printf, 3, 4)));
void call(int ln, const char *script, ...) __attribute__((format(printf, 2, 3)));
struct addr stuck(int hold[2]);
void agree(const char *names, struct addr ours, struct addr theirs);
void set_nonblock(int fd, bool on);
void linger_zero(int fd);
int set(int fd, int level, int opt, int v);
void get(const char *what, int fd, int level, int opt);
void set_get(const char *what, int fd, int level, int opt, int v);
int unread_until(const char *key); /* a connection whose other end reads nothing until drain */
void drain(const char *key);
int fill(int fd);
void send_pattern(const char *what, int fd, int n);
void recv_pattern(const char *what, int fd, int n);
void pattern(char *b, int n, int offset);
int write_file(int fd, const char *b, int n);

/* Waiting; times in milliseconds. */
enum { WAIT = 3000, SILENCE = 60, ALL = POLLIN | POLLPRI | POLLOUT | POLLRDHUP };
int poll_one(int fd, int events, int ms);
const char *events_text(unsigned events); /* in one of several buffers */
const char *wait_for(int fd, int events, int ms);
const char *settle(int fd, int want);
int unread(int fd, int n);
long now_ms(void);
void nap(int ms);

/* Rights. */
enum { NET_BIND_SERVICE = 10, NET_ADMIN = 12, NET_RAW = 13 };
bool may(int capability);
void rightly(const char *what, int capability, long rc, int without);
const char *system_text(const char *name); /* of /proc/sys, in one of several buffers */

/* The questions, each list ended by one without a name. */
extern const struct question connect_questions[], name_questions[], listen_questions[], bind_questions[], shutdown_questions[],
	ready_questions[], data_questions[], bulk_questions[], option_questions[], socket_questions[], process_questions[],
	other_questions[], signal_questions[], uring_questions[];

int helper(int argc, char **argv);

#endif
