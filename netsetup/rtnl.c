/* The socket, and the one conversation with it.
 *
 * A request is built in the socket's buffer (rtnl_begin, rtnl_put*), then rtnl_talk() sends it and reads up to the ACK that it
 * always asks for. While batching, requests stay in the buffer; rtnl_commit() sends them in one write: the kernel works
 * through them within that system call, and answers each by an ACK of its own. Messages with other sequence numbers
 * (a device event after rtnl_link_del_name(), the late ACK of its child) are passed over. */
#include "rtnl_msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "netns.h"
#include "str.h"

enum {
	MESSAGE_MAX = 2048, /* one request; the longest is a veth with alias and peer, some 600 bytes */
	BATCH_MAX = 24,
	REPLY_SIZE = 32768, /* what the kernel fills in one go for a dump */
	DUMP_TRIES = 8,
};

struct request {
	uint32_t seq;
	int tolerated;
	rtnl_reply *reply; /* NULL: only the ACK is of interest */
	void *arg;
	char what[128]; /* "cannot add address 10.0.0.2/24 to link 2" */
};

struct rtnl {
	int fd;
	uint32_t seq;
	bool batching, too_long;
	size_t used;
	unsigned n;
	int failed; /* negative code of a request that could not be queued */
	struct error why;
	struct request requests[BATCH_MAX];
	char buf[BATCH_MAX * MESSAGE_MAX / 4 + MESSAGE_MAX];
};

/* --- open and close ----------------------------------------------------------------------------------------- */

int rtnl_open(struct rtnl **ret, struct error *err)
{
	static const int one = 1;
	struct rtnl *r = malloc(sizeof(*r));

	if (!r)
		return error_oom(err);
	memset(r, 0, offsetof(struct rtnl, requests));
	r->seq = 1;
	r->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (r->fd < 0) {
		free(r);
		return error_sys(err, "cannot open a rtnetlink socket");
	}
	/* Without them only texts and filters are lost: errors are not interesting. */
	setsockopt(r->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(r->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(r->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	*ret = r;
	return 0;
}

int rtnl_open_in(int netns_fd, struct rtnl **ret, struct error *err)
{
	auto_close int own = netns_open_self(err);
	struct error back_err;
	int code;

	if (own < 0)
		return own;
	code = netns_enter(netns_fd, err);
	if (code < 0)
		return code;
	code = rtnl_open(ret, err);
	/* A thread left in the wrong namespace must not go on: the next change would hit the container. */
	if (netns_enter(own, &back_err) < 0) {
		if (code == 0)
			rtnl_close(*ret);
		return error_set(err, back_err.code, "cannot return to the own network namespace: %s", back_err.msg);
	}
	return code;
}

void rtnl_close(struct rtnl *r)
{
	if (!r)
		return;
	close_fd(&r->fd);
	free(r);
}

uint64_t rtnl_netns_cookie(const struct rtnl *r)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(r->fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

int rtnl_fd(const struct rtnl *r)
{
	return r->fd;
}

uint32_t rtnl_next_seq(struct rtnl *r)
{
	return r->seq++;
}

/* --- building ------------------------------------------------------------------------------------------------ */

struct nlmsghdr *rtnl_begin(struct rtnl *r, uint16_t type, uint16_t flags, const void *header, size_t size)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(r->buf + r->used);

	m->nlmsg_type = type;
	/* ACK always, not "unless it is a dump": NLM_F_EXCL and NLM_F_MATCH are the same bit. */
	m->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	m->nlmsg_seq = rtnl_next_seq(r);
	memcpy(mnl_nlmsg_put_extra_header(m, size), header, size);
	r->too_long = false;
	return m;
}

void rtnl_put(struct rtnl *r, struct nlmsghdr *m, uint16_t type, const void *data, size_t len)
{
	if (!mnl_attr_put_check(m, MESSAGE_MAX, type, len, data))
		r->too_long = true;
}

void rtnl_put_u8(struct rtnl *r, struct nlmsghdr *m, uint16_t type, uint8_t v)
{
	rtnl_put(r, m, type, &v, sizeof(v));
}

void rtnl_put_u16(struct rtnl *r, struct nlmsghdr *m, uint16_t type, uint16_t v)
{
	rtnl_put(r, m, type, &v, sizeof(v));
}

void rtnl_put_u32(struct rtnl *r, struct nlmsghdr *m, uint16_t type, uint32_t v)
{
	rtnl_put(r, m, type, &v, sizeof(v));
}

void rtnl_put_text(struct rtnl *r, struct nlmsghdr *m, uint16_t type, const char *s)
{
	rtnl_put(r, m, type, s, strlen(s) + 1);
}

void rtnl_put_ip(struct rtnl *r, struct nlmsghdr *m, uint16_t type, const struct ipaddr *a)
{
	rtnl_put(r, m, type, a->bytes, (size_t)ipaddr_size(a));
}

void *rtnl_put_space(struct rtnl *r, struct nlmsghdr *m, size_t size)
{
	if (m->nlmsg_len + MNL_ALIGN(size) > MESSAGE_MAX) {
		r->too_long = true;
		return NULL;
	}
	return mnl_nlmsg_put_extra_header(m, size);
}

struct nlattr *rtnl_nest(struct rtnl *r, struct nlmsghdr *m, uint16_t type)
{
	struct nlattr *nest = mnl_attr_nest_start_check(m, MESSAGE_MAX, type);

	if (!nest)
		r->too_long = true;
	return nest;
}

void rtnl_nest_end(struct nlmsghdr *m, struct nlattr *nest)
{
	if (nest)
		mnl_attr_nest_end(m, nest);
}

/* --- talking ------------------------------------------------------------------------------------------------- */

/* The kernel's own words for a failure, or NULL (NLMSGERR_ATTR_MSG, after the error and the part of our message that it
 * quotes). */
static const char *extack_text(const struct nlmsghdr *m)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);
	size_t offset = sizeof(*e);
	const struct nlattr *a;

	if (!(m->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(m->nlmsg_flags & NLM_F_CAPPED))
		offset += mnl_nlmsg_get_payload_len(&e->msg);
	mnl_attr_for_each(a, m, offset)
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			return mnl_attr_get_str(a);
	return NULL;
}

static int kernel_error(const struct nlmsghdr *m, const struct request *q, struct error *err)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);
	const char *text;
	int code;

	if (mnl_nlmsg_get_payload_len(m) < sizeof(e->error))
		return error_set(err, EBADMSG, "%s: the kernel's answer is cut off", q->what);
	code = -e->error;
	if (code == 0 || code == q->tolerated)
		return 0;
	if (mnl_nlmsg_get_payload_len(m) < sizeof(*e))
		return error_set(err, code, "%s: %s", q->what, strerror(code));
	text = extack_text(m);
	if (code == EPERM && !text)
		text = "CAP_NET_ADMIN is needed in the user namespace that owns the network namespace";
	return error_set(err, code, "%s: %s%s%s", q->what, strerror(code), text ? ": " : "", text ? text : "");
}

static ssize_t receive(struct rtnl *r, void *buf, size_t size, struct error *err)
{
	for (;;) {
		ssize_t n = recv(r->fd, buf, size, MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, "cannot read from rtnetlink");
		if ((size_t)n > size)
			return error_set(err, EMSGSIZE, "rtnetlink's answer of %zd bytes is too long", n);
		return n;
	}
}

static int send_bytes(struct rtnl *r, const void *data, size_t len, struct error *err)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t n;

	do
		n = sendto(r->fd, data, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_sys(err, "cannot write to rtnetlink") : 0;
}

static const struct request *request_of(const struct request *q, unsigned n, uint32_t seq)
{
	for (unsigned i = 0; i < n; i++)
		if (q[i].seq == seq)
			return &q[i];
	return NULL;
}

/* Reads until each of the n requests has its ACK. The first error is kept, but the rest is read all the same: what stays in
 * the queue would be taken for the answer to the next request. */
static int read_acks(struct rtnl *r, const struct request *q, unsigned n, struct error *err)
{
	char buf[8192] __attribute__((aligned(8)));
	unsigned left = n;
	int result = 0;

	while (left > 0) {
		ssize_t len = receive(r, buf, sizeof(buf), err);
		const struct nlmsghdr *m = (const void *)buf;
		int rest = (int)len, code = 0;

		if (len < 0)
			return (int)len;
		for (; mnl_nlmsg_ok(m, rest); m = mnl_nlmsg_next(m, &rest)) {
			const struct request *of = request_of(q, n, m->nlmsg_seq);

			if (!of)
				continue;
			if (m->nlmsg_type == NLMSG_ERROR) {
				left--;
				code = kernel_error(m, of, result ? NULL : err);
			} else if (of->reply && m->nlmsg_type >= NLMSG_MIN_TYPE) {
				code = of->reply(m, of->arg);
			}
			if (code < 0 && result == 0)
				result = code;
		}
	}
	return result;
}

static int flush(struct rtnl *r, struct error *err)
{
	int code = 0;

	if (r->n > 0)
		code = send_bytes(r, r->buf, r->used, err);
	if (code == 0 && r->n > 0)
		code = read_acks(r, r->requests, r->n, err);
	r->used = 0;
	r->n = 0;
	return code;
}

/* A batch has one error, that of its first failure. */
static int queue(struct rtnl *r, struct nlmsghdr *m, const struct request *q)
{
	r->used += MNL_ALIGN(m->nlmsg_len);
	r->requests[r->n++] = *q;
	if (r->n == BATCH_MAX || sizeof(r->buf) - r->used < MESSAGE_MAX) {
		struct error err;
		int code = flush(r, &err);

		if (code < 0 && r->failed == 0) {
			r->failed = code;
			r->why = err;
		}
	}
	return 0;
}

int rtnl_talk(struct rtnl *r, struct nlmsghdr *m, rtnl_reply *reply, void *arg, int tolerated, struct error *err,
	      const char *fmt, ...)
{
	struct request q = {.seq = m->nlmsg_seq, .tolerated = tolerated, .reply = reply, .arg = arg};
	va_list ap;
	int code;

	va_start(ap, fmt);
	vsnprintf(q.what, sizeof(q.what), fmt, ap);
	va_end(ap);
	if (r->too_long)
		return error_set(err, EMSGSIZE, "%s: the request is longer than %d bytes", q.what, MESSAGE_MAX);
	if (r->batching)
		return queue(r, m, &q);
	code = send_bytes(r, m, m->nlmsg_len, err);
	return code < 0 ? code : read_acks(r, &q, 1, err);
}

void rtnl_batch(struct rtnl *r)
{
	r->batching = true;
	r->failed = 0;
}

int rtnl_commit(struct rtnl *r, struct error *err)
{
	struct error flush_err;
	int code;

	r->batching = false;
	code = flush(r, &flush_err);
	if (r->failed < 0)
		return error_set(err, r->why.code, "%s", r->why.msg);
	return code < 0 ? error_set(err, flush_err.code, "%s", flush_err.msg) : 0;
}

/* --- dumps --------------------------------------------------------------------------------------------------- */

/* 0 with all of the answer in `all`, -EINTR when the dump was interrupted by a change, or another code. */
static int collect(struct rtnl *r, uint32_t seq, struct buf *all, const char *what, struct error *err)
{
	char buf[REPLY_SIZE] __attribute__((aligned(8)));
	bool interrupted = false;
	const struct request q = {.seq = seq};

	for (;;) {
		ssize_t len = receive(r, buf, sizeof(buf), err);
		const struct nlmsghdr *m = (const void *)buf;
		int rest = (int)len, code;

		if (len < 0)
			return (int)len;
		for (; mnl_nlmsg_ok(m, rest); m = mnl_nlmsg_next(m, &rest)) {
			if (m->nlmsg_seq != seq)
				continue;
			interrupted |= m->nlmsg_flags & NLM_F_DUMP_INTR;
			if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE) {
				code = kernel_error(m, &q, err);
				if (code < 0)
					return error_wrap(err, "cannot list %s", what);
				return interrupted ? -EINTR : 0;
			}
			buf_add(all, m, MNL_ALIGN(m->nlmsg_len));
		}
	}
}

int rtnl_dump(struct rtnl *r, struct nlmsghdr *m, rtnl_reply *reply, void *arg, struct error *err, const char *what)
{
	auto_buf struct buf all = {0};
	const struct nlmsghdr *answer;
	int code = -EINTR, rest;

	m->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	for (int i = 0; i < DUMP_TRIES && code == -EINTR; i++) {
		all.len = 0;
		m->nlmsg_seq = rtnl_next_seq(r);
		code = send_bytes(r, m, m->nlmsg_len, err);
		if (code == 0)
			code = collect(r, m->nlmsg_seq, &all, what, err);
	}
	if (code == -EINTR)
		return error_set(err, EAGAIN, "cannot list %s: they change faster than they can be read", what);
	if (code < 0)
		return code;
	if (all.failed)
		return error_oom(err);
	answer = (const void *)all.data;
	for (rest = (int)all.len; rest > 0 && mnl_nlmsg_ok(answer, rest); answer = mnl_nlmsg_next(answer, &rest)) {
		code = reply(answer, arg);
		if (code < 0)
			return code;
	}
	return 0;
}
