/* The nfnetlink socket. Everything is sent in one write and the kernel works through it within that system call, so
 * all answers but those of a dump are there when it returns.
 *
 * Closing is slow, and not only for us. What a transaction deletes, the kernel frees after a grace period of RCU, 7
 * to 16 ms; whoever closes a netfilter socket meanwhile, having deleted something or not, waits for that, and holds
 * the lock which every transaction of that namespace needs. So a chain of plugins, or two processes one after the
 * other, would spend most of their time there. Sockets are therefore kept until the process ends, and closed some
 * time after that by a child, when there is nothing left to wait for. The same child sends what is not worth waiting
 * for (nft_commit_later). */
#include "nft_batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "netns.h"
#include "spawn.h"

enum {
	/* The kernel fills a datagram of a dump up to this; a listing that ends early should not cost more. */
	REPLY_SIZE = 8192,
	SEND_BUFFER = 160 * 1024, /* what the default socket buffer takes with some reserve */
	DUMP_TRIES = 8,
};

/* --- open and close ------------------------------------------------------------------------------------------- */

int nft_socket_in(int netns_fd, int domain, int type, int protocol)
{
	auto_close int own = -1;
	auto_close int fd = -1;
	bool there;

	if (netns_fd >= 0)
		own = netns_open_self(NULL);
	there = netns_fd < 0 || (own >= 0 && netns_same(own, netns_fd));
	if (!there && (own < 0 || netns_enter(netns_fd, NULL) < 0))
		return -errno;
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		fd = -errno;
	/* A thread left in the wrong namespace must not go on: its next change would hit somebody else's. */
	if (!there && netns_enter(own, NULL) < 0)
		abort();
	return fd < 0 ? fd : take_fd(&fd);
}

int nft_open(int netns_fd, struct nft_socket *ret, struct error *err)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	static const int one = 1;
	auto_close int fd = nft_socket_in(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	*ret = (struct nft_socket){.fd = -1, .seq = 1};
	if (fd < 0)
		return error_set(err, -fd, "cannot open a socket to nftables: %s%s", strerror(-fd),
				 fd == -EPROTONOSUPPORT ? " (the kernel has no nfnetlink)" : "");
	if (connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return error_sys(err, "cannot connect to nftables");
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	ret->fd = take_fd(&fd);
	return 0;
}

/* --- close ---------------------------------------------------------------------------------------------------- */

/* Sockets that are done with, until the process ends; and what is still to be sent on them. */
struct late {
	struct {
		int fd;
		size_t len;
		char transaction[NFT_LATER_SIZE];
	} v[16];
	size_t n;
	bool anything_to_send;
};
static struct late late;

enum { LATE_STACK = 16 * 1024, LATE_MS = 60, LATE_FD = 512 };

static void wait_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static void send_late(const struct late *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].len)
			send(l->v[i].fd, l->v[i].transaction, l->v[i].len, 0);
}

/* The child: it shares the memory (nothing is copied for it), has its own stack and its own table of descriptors,
 * and makes only system calls. Nothing but the sockets may stay open in it: somebody may be reading our output to
 * its end. */
ON_OWN_STACK static int hold_sockets(void *arg)
{
	struct late *l = arg;
	sigset_t all;

	/* A second Ctrl-C is not meant for it. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (size_t i = 0; i < l->n; i++)
		l->v[i].fd = fcntl(l->v[i].fd, F_DUPFD, LATE_FD);
	close_range(0, LATE_FD - 1, 0);
	if (l->anything_to_send)
		wait_ms(NFT_LATER_MS);
	send_late(l);
	wait_ms(LATE_MS);
	_exit(0);
}

static void close_late(void)
{
	pid_t child = -1;
	char *memory;

	if (late.n == 0)
		return;
	memory = mmap(NULL, LATE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	/* Its parent is whoever reaps orphans, because we end before it does. */
	if (memory != MAP_FAILED) {
		memcpy(memory, &late, sizeof(late));
		child = clone(hold_sockets, memory + LATE_STACK, CLONE_VM | SIGCHLD, memory);
	}
	if (child < 0)
		send_late(&late); /* now, then */
	for (size_t i = 0; i < late.n; i++)
		close(late.v[i].fd);
	late.n = 0;
	late.anything_to_send = false;
}

/* Takes the socket; room for another is made if there is none. */
static size_t make_late(struct nft_socket *s)
{
	static bool registered;

	if (!registered)
		registered = atexit(close_late) == 0;
	if (!registered || late.n == ARRAY_SIZE(late.v))
		close_late();
	late.v[late.n].fd = take_fd(&s->fd);
	late.v[late.n].len = 0;
	return late.n++;
}

void nft_close(struct nft_socket *s)
{
	if (s->fd >= 0)
		make_late(s);
}

/* --- messages ------------------------------------------------------------------------------------------------- */

void nft_batch_free(struct nft_batch *b)
{
	free(b->buf);
	free(b->labels);
	*b = (struct nft_batch){0};
}

static bool reserve(struct nft_batch *b)
{
	if (b->cap - b->len < NFT_MESSAGE_MAX) {
		size_t cap = b->cap ? b->cap * 2 : 4 * NFT_MESSAGE_MAX;
		char *buf = realloc(b->buf, cap);

		if (!buf)
			return false;
		b->buf = buf;
		b->cap = cap;
	}
	if (b->n == b->labels_cap) {
		size_t cap = b->labels_cap ? b->labels_cap * 2 : 32;
		struct nft_label *labels = realloc(b->labels, cap * sizeof(*labels));

		if (!labels)
			return false;
		b->labels = labels;
		b->labels_cap = cap;
	}
	return true;
}

struct nlmsghdr *nft_batch_begin(struct nft_batch *b, uint16_t type, uint16_t flags, const char *what)
{
	if (b->failed || !reserve(b)) {
		b->failed = true;
		return NULL;
	}
	b->labels[b->n] = (struct nft_label){.offset = b->len, .what = what};
	return nftnl_nlmsg_build_hdr(b->buf + b->len, type, NFPROTO_INET, flags, 0);
}

void nft_batch_end(struct nft_batch *b, const struct nlmsghdr *m)
{
	if (!m)
		return;
	b->len += NLMSG_ALIGN(m->nlmsg_len);
	b->n++;
}

static struct nlmsghdr *message(const struct nft_batch *b, size_t i)
{
	return (struct nlmsghdr *)(void *)(b->buf + b->labels[i].offset);
}

/* Gives the messages their numbers, one after the other; returns the first. */
static uint32_t number(struct nft_socket *s, struct nft_batch *b)
{
	uint32_t first = s->seq;

	for (size_t i = 0; i < b->n; i++)
		message(b, i)->nlmsg_seq = s->seq++;
	return first;
}

/* A transaction's first and last message, in the batch's own numbering. */
struct frame {
	char begin[64] __attribute__((aligned(8))), end[64] __attribute__((aligned(8)));
	struct iovec v[3];
	size_t len;
	uint32_t first;
};

static void frame(struct nft_socket *s, struct nft_batch *b, uint32_t generation, struct frame *f)
{
	struct nlmsghdr *begin = nftnl_batch_begin(f->begin, s->seq++), *end;

	if (generation)
		mnl_attr_put_u32(begin, NFNL_BATCH_GENID, htonl(generation));
	f->first = number(s, b);
	end = nftnl_batch_end(f->end, s->seq++);
	f->v[0] = (struct iovec){.iov_base = begin, .iov_len = begin->nlmsg_len};
	f->v[1] = (struct iovec){.iov_base = b->buf, .iov_len = b->len};
	f->v[2] = (struct iovec){.iov_base = end, .iov_len = end->nlmsg_len};
	f->len = begin->nlmsg_len + b->len + end->nlmsg_len;
}

static int send_all(struct nft_socket *s, struct iovec *v, size_t n, size_t len, struct error *err)
{
	struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
	int size = (int)len * 2;
	ssize_t sent;

	if (len > SEND_BUFFER)
		setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	do
		sent = sendmsg(s->fd, &m, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? error_sys(err, "cannot send to nftables") : 0;
}

/* One datagram; 0: none there. */
static ssize_t receive(struct nft_socket *s, void *buf, int flags, struct error *err)
{
	ssize_t n;

	do
		n = recv(s->fd, buf, REPLY_SIZE, flags);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n < 0 ? error_sys(err, "cannot receive from nftables") : n;
}

static int error_code(const struct nlmsghdr *m)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

	return mnl_nlmsg_get_payload_len(m) < sizeof(*e) ? -EBADMSG : e->error;
}

/* --- questions ------------------------------------------------------------------------------------------------ */

static int ask_failed(int code, const char *what, struct error *err)
{
	return error_set(err, -code, "cannot read nftables table inet " NFT_TABLE ": %s: %s", what, strerror(-code));
}

int nft_ask(struct nft_socket *s, struct nft_batch *b, nft_answer *answer, void *arg, struct error *err)
{
	struct iovec v = {.iov_base = b->buf, .iov_len = b->len};
	char buf[REPLY_SIZE] __attribute__((aligned(8)));
	size_t answered = 0;
	uint32_t first;
	int code;

	if (b->failed)
		return error_oom(err);
	first = number(s, b);
	code = send_all(s, &v, 1, b->len, err);
	while (code == 0 && answered < b->n) {
		ssize_t got = receive(s, buf, 0, err);
		const struct nlmsghdr *m = (const void *)buf;
		int left = (int)got;

		if (got < 0)
			return (int)got;
		for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
			uint32_t i = m->nlmsg_seq - first;

			if (i >= b->n)
				continue; /* a late answer to an earlier batch */
			answered++;
			code = m->nlmsg_type == NLMSG_ERROR ? answer(i, error_code(m), NULL, arg)
							    : answer(i, 0, m, arg);
			if (code < 0)
				return ask_failed(code, b->labels[i].what, err);
		}
	}
	return code;
}

/* One pass; -EINTR: the set changed meanwhile. */
static int dump_once(struct nft_socket *s, struct nft_batch *b, nft_answer *answer, void *arg, struct error *err)
{
	struct iovec v = {.iov_base = b->buf, .iov_len = b->len};
	char buf[REPLY_SIZE] __attribute__((aligned(8)));
	bool changed = false, done = false;
	uint32_t seq = number(s, b);
	int result = 0, code = send_all(s, &v, 1, b->len, err);

	while (code == 0 && result == 0 && !done) {
		ssize_t got = receive(s, buf, 0, err);
		const struct nlmsghdr *m = (const void *)buf;
		int left = (int)got;

		if (got < 0)
			return (int)got;
		for (; !done && mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
			if (m->nlmsg_seq != seq)
				continue;
			changed |= m->nlmsg_flags & NLM_F_DUMP_INTR;
			done = m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR;
			if (m->nlmsg_type == NLMSG_ERROR)
				result = answer(0, error_code(m), NULL, arg);
			else if (!done && result == 0)
				result = answer(0, 0, m, arg);
		}
	}
	if (code == 0 && result < 0)
		return ask_failed(result, b->labels[0].what, err);
	return code < 0 ? code : changed ? -EINTR : 0;
}

int nft_dump(struct nft_socket *s, struct nft_batch *b, nft_answer *answer, void *arg, struct error *err)
{
	if (b->failed)
		return error_oom(err);
	for (int i = 0; i < DUMP_TRIES; i++) {
		int code = dump_once(s, b, answer, arg, err);

		if (code != -EINTR)
			return code;
	}
	return error_set(err, EAGAIN, "cannot read nftables: the ruleset keeps changing; try again");
}

static int take_generation(size_t index, int code, const struct nlmsghdr *m, void *arg)
{
	struct nlattr *a;

	(void)index;
	if (code < 0)
		return code;
	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == NFTA_GEN_ID)
		*(uint32_t *)arg = ntohl(mnl_attr_get_u32(a));
	return 0;
}

int nft_generation(struct nft_socket *s, uint32_t *ret, struct error *err)
{
	auto_batch struct nft_batch b = {0};

	nft_batch_end(&b, nft_batch_begin(&b, NFT_MSG_GETGEN, 0, "generation"));
	return nft_ask(s, &b, take_generation, ret, err);
}

/* --- transactions --------------------------------------------------------------------------------------------- */

static int commit_failed(int code, const char *what, struct error *err)
{
	const char *remedy = "";

	if (code == -EPERM)
		remedy = " (it needs CAP_NET_ADMIN in the network namespace's user namespace)";
	else if (code == -EOPNOTSUPP || code == -EPROTONOSUPPORT || code == -EAFNOSUPPORT)
		remedy = " (the kernel lacks this part of nftables)";
	return error_set(err, -code, "cannot change nftables table inet " NFT_TABLE ": %s: %s%s", what,
			 strerror(-code), remedy);
}

/* Reads the answers to a transaction, which are all there: the first failure, or 0. The kernel lists failures of
 * messages in their order; one of the whole transaction bears the number of its first message. */
static int read_verdict(struct nft_socket *s, const struct nft_batch *b, uint32_t first, struct error *err)
{
	char buf[REPLY_SIZE] __attribute__((aligned(8)));
	bool acked = false;
	int code = 0;
	ssize_t got;

	while ((got = receive(s, buf, MSG_DONTWAIT, code ? NULL : err)) > 0) {
		const struct nlmsghdr *m = (const void *)buf;
		int left = (int)got;

		for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
			uint32_t i = m->nlmsg_seq - first;

			if (m->nlmsg_type != NLMSG_ERROR || (i >= b->n && i != UINT32_MAX))
				continue;
			if (error_code(m) == 0)
				acked = true;
			else if (code == 0)
				code = commit_failed(error_code(m), i < b->n ? b->labels[i].what : "the transaction",
						     err);
		}
	}
	if (code < 0 || acked)
		return code;
	return got < 0 ? (int)got : error_set(err, EPROTO, "nftables did not answer a transaction");
}

int nft_commit(struct nft_socket *s, struct nft_batch *b, uint32_t generation, struct error *err)
{
	struct frame f;
	int code;

	if (b->failed)
		return error_oom(err);
	if (b->n == 0)
		return 0;
	frame(s, b, generation, &f);
	/* One ACK is enough: failures are always told. */
	message(b, b->n - 1)->nlmsg_flags |= NLM_F_ACK;
	code = send_all(s, f.v, ARRAY_SIZE(f.v), f.len, err);
	return code < 0 ? code : read_verdict(s, b, f.first, err);
}

void nft_commit_later(struct nft_socket *s, struct nft_batch *b)
{
	struct frame f;
	size_t i;

	if (s->fd < 0 || b->failed)
		return;
	frame(s, b, 0, &f);
	i = make_late(s);
	if (f.len > sizeof(late.v[i].transaction))
		return;
	for (size_t k = 0; k < ARRAY_SIZE(f.v); k++) {
		memcpy(late.v[i].transaction + late.v[i].len, f.v[k].iov_base, f.v[k].iov_len);
		late.v[i].len += f.v[k].iov_len;
	}
	late.anything_to_send = true;
}
