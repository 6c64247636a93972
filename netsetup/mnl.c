/* The functions of libmnl that netsetup and libnftnl call. Debian has libmnl as a shared library only, and the dynamic
 * linker would be a third of what it costs to start netsetup: a plugin is started for every attachment. What they do is
 * what libmnl's header and manual say; tests/unit/test_mnl.c compares each with the library itself. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

/* --- messages ------------------------------------------------------------------------------------------------- */

size_t mnl_nlmsg_get_payload_len(const struct nlmsghdr *m)
{
	return m->nlmsg_len - MNL_NLMSG_HDRLEN;
}

void *mnl_nlmsg_get_payload(const struct nlmsghdr *m)
{
	return (char *)m + MNL_NLMSG_HDRLEN;
}

void *mnl_nlmsg_get_payload_offset(const struct nlmsghdr *m, size_t offset)
{
	return (char *)m + MNL_NLMSG_HDRLEN + MNL_ALIGN(offset);
}

void *mnl_nlmsg_get_payload_tail(const struct nlmsghdr *m)
{
	return (char *)m + MNL_ALIGN(m->nlmsg_len);
}

void *mnl_nlmsg_put_extra_header(struct nlmsghdr *m, size_t size)
{
	void *header = (char *)m + m->nlmsg_len;

	m->nlmsg_len += MNL_ALIGN(size);
	return memset(header, 0, MNL_ALIGN(size));
}

struct nlmsghdr *mnl_nlmsg_put_header(void *buf)
{
	struct nlmsghdr *m = memset(buf, 0, MNL_NLMSG_HDRLEN);

	m->nlmsg_len = MNL_NLMSG_HDRLEN;
	return m;
}

bool mnl_nlmsg_ok(const struct nlmsghdr *m, int len)
{
	return len >= (int)sizeof(*m) && m->nlmsg_len >= sizeof(*m) && m->nlmsg_len <= (uint32_t)len;
}

struct nlmsghdr *mnl_nlmsg_next(const struct nlmsghdr *m, int *len)
{
	*len -= MNL_ALIGN(m->nlmsg_len);
	return (struct nlmsghdr *)((char *)m + MNL_ALIGN(m->nlmsg_len));
}

/* --- messages in a row (libnftnl refers to them) ---------------------------------------------------------------- */

struct mnl_nlmsg_batch {
	char *buf;
	size_t limit, len;
};

struct mnl_nlmsg_batch *mnl_nlmsg_batch_start(void *buf, size_t limit)
{
	struct mnl_nlmsg_batch *b = malloc(sizeof(*b));

	if (b)
		*b = (struct mnl_nlmsg_batch){.buf = buf, .limit = limit};
	return b;
}

void mnl_nlmsg_batch_stop(struct mnl_nlmsg_batch *b)
{
	free(b);
}

void *mnl_nlmsg_batch_head(struct mnl_nlmsg_batch *b)
{
	return b->buf;
}

void *mnl_nlmsg_batch_current(struct mnl_nlmsg_batch *b)
{
	return b->buf + b->len;
}

size_t mnl_nlmsg_batch_size(struct mnl_nlmsg_batch *b)
{
	return b->len;
}

bool mnl_nlmsg_batch_next(struct mnl_nlmsg_batch *b)
{
	const struct nlmsghdr *m = mnl_nlmsg_batch_current(b);

	if (b->len + m->nlmsg_len > b->limit)
		return false;
	b->len += m->nlmsg_len;
	return true;
}

/* --- reading attributes --------------------------------------------------------------------------------------- */

uint16_t mnl_attr_get_type(const struct nlattr *a)
{
	return a->nla_type & NLA_TYPE_MASK;
}

uint16_t mnl_attr_get_payload_len(const struct nlattr *a)
{
	return (uint16_t)(a->nla_len - MNL_ATTR_HDRLEN);
}

void *mnl_attr_get_payload(const struct nlattr *a)
{
	return (char *)a + MNL_ATTR_HDRLEN;
}

const char *mnl_attr_get_str(const struct nlattr *a)
{
	return mnl_attr_get_payload(a);
}

uint8_t mnl_attr_get_u8(const struct nlattr *a)
{
	return *(uint8_t *)mnl_attr_get_payload(a);
}

uint16_t mnl_attr_get_u16(const struct nlattr *a)
{
	uint16_t v;

	memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return v;
}

uint32_t mnl_attr_get_u32(const struct nlattr *a)
{
	uint32_t v;

	memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return v;
}

uint64_t mnl_attr_get_u64(const struct nlattr *a)
{
	uint64_t v;

	memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return v;
}

bool mnl_attr_ok(const struct nlattr *a, int len)
{
	return len >= (int)sizeof(*a) && a->nla_len >= sizeof(*a) && (int)a->nla_len <= len;
}

struct nlattr *mnl_attr_next(const struct nlattr *a)
{
	return (struct nlattr *)((char *)a + MNL_ALIGN(a->nla_len));
}

static int refuse(int code)
{
	errno = code;
	return -1;
}

int mnl_attr_type_valid(const struct nlattr *a, uint16_t max)
{
	return mnl_attr_get_type(a) > max ? refuse(EOPNOTSUPP) : 1;
}

int mnl_attr_validate(const struct nlattr *a, enum mnl_attr_data_type type)
{
	static const uint8_t sizes[MNL_TYPE_MAX] = {
		[MNL_TYPE_U8] = 1, [MNL_TYPE_U16] = 2, [MNL_TYPE_U32] = 4, [MNL_TYPE_U64] = 8, [MNL_TYPE_MSECS] = 8,
	};
	uint16_t len = mnl_attr_get_payload_len(a);
	const char *data = mnl_attr_get_payload(a);

	if ((unsigned)type >= MNL_TYPE_MAX)
		return refuse(EINVAL);
	if (sizes[type] && len != sizes[type])
		return refuse(ERANGE);
	switch (type) {
	case MNL_TYPE_FLAG:
		return len > 0 ? refuse(ERANGE) : 0;
	case MNL_TYPE_STRING:
		return len == 0 ? refuse(ERANGE) : 0;
	case MNL_TYPE_NUL_STRING:
		if (len == 0)
			return refuse(ERANGE);
		return data[len - 1] != '\0' ? refuse(EINVAL) : 0;
	case MNL_TYPE_NESTED:
		return len > 0 && len < MNL_ATTR_HDRLEN ? refuse(ERANGE) : 0;
	default:
		return 0;
	}
}

int mnl_attr_parse(const struct nlmsghdr *m, unsigned offset, mnl_attr_cb_t cb, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, m, offset) {
		int r = cb(a, arg);

		if (r <= MNL_CB_STOP)
			return r;
	}
	return MNL_CB_OK;
}

int mnl_attr_parse_nested(const struct nlattr *nest, mnl_attr_cb_t cb, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) {
		int r = cb(a, arg);

		if (r <= MNL_CB_STOP)
			return r;
	}
	return MNL_CB_OK;
}

/* --- writing attributes --------------------------------------------------------------------------------------- */

void mnl_attr_put(struct nlmsghdr *m, uint16_t type, size_t len, const void *data)
{
	struct nlattr *a = mnl_nlmsg_get_payload_tail(m);
	char *payload = mnl_attr_get_payload(a);

	a->nla_type = type;
	a->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + len);
	memset(payload + len, 0, MNL_ALIGN(len) - len);
	if (len)
		memcpy(payload, data, len);
	m->nlmsg_len += MNL_ALIGN(a->nla_len);
}

void mnl_attr_put_u8(struct nlmsghdr *m, uint16_t type, uint8_t v)
{
	mnl_attr_put(m, type, sizeof(v), &v);
}

void mnl_attr_put_u16(struct nlmsghdr *m, uint16_t type, uint16_t v)
{
	mnl_attr_put(m, type, sizeof(v), &v);
}

void mnl_attr_put_u32(struct nlmsghdr *m, uint16_t type, uint32_t v)
{
	mnl_attr_put(m, type, sizeof(v), &v);
}

void mnl_attr_put_u64(struct nlmsghdr *m, uint16_t type, uint64_t v)
{
	mnl_attr_put(m, type, sizeof(v), &v);
}

void mnl_attr_put_str(struct nlmsghdr *m, uint16_t type, const char *s)
{
	mnl_attr_put(m, type, strlen(s), s);
}

void mnl_attr_put_strz(struct nlmsghdr *m, uint16_t type, const char *s)
{
	mnl_attr_put(m, type, strlen(s) + 1, s);
}

bool mnl_attr_put_check(struct nlmsghdr *m, size_t room, uint16_t type, size_t len, const void *data)
{
	if (m->nlmsg_len + MNL_ATTR_HDRLEN + MNL_ALIGN(len) > room)
		return false;
	mnl_attr_put(m, type, len, data);
	return true;
}

struct nlattr *mnl_attr_nest_start(struct nlmsghdr *m, uint16_t type)
{
	struct nlattr *a = mnl_nlmsg_get_payload_tail(m);

	a->nla_type = NLA_F_NESTED | type;
	m->nlmsg_len += MNL_ATTR_HDRLEN;
	return a;
}

struct nlattr *mnl_attr_nest_start_check(struct nlmsghdr *m, size_t room, uint16_t type)
{
	return m->nlmsg_len + MNL_ATTR_HDRLEN > room ? NULL : mnl_attr_nest_start(m, type);
}

void mnl_attr_nest_end(struct nlmsghdr *m, struct nlattr *nest)
{
	nest->nla_len = (uint16_t)((char *)mnl_nlmsg_get_payload_tail(m) - (char *)nest);
}

/* --- answers -------------------------------------------------------------------------------------------------- */

static int read_control(const struct nlmsghdr *m)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

	switch (m->nlmsg_type) {
	case NLMSG_DONE:
		return MNL_CB_STOP;
	case NLMSG_ERROR:
		if (m->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*e))
			return refuse(EBADMSG);
		errno = e->error < 0 ? -e->error : e->error;
		return e->error == 0 ? MNL_CB_STOP : MNL_CB_ERROR;
	default:
		return MNL_CB_OK;
	}
}

int mnl_cb_run(const void *buf, size_t size, unsigned seq, unsigned port, mnl_cb_t cb, void *arg)
{
	const struct nlmsghdr *m = buf;
	int left = (int)size, r = MNL_CB_OK;

	for (; r > MNL_CB_STOP && mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
		if (port && m->nlmsg_pid && m->nlmsg_pid != port)
			return refuse(ESRCH);
		if (seq && m->nlmsg_seq && m->nlmsg_seq != seq)
			return refuse(EPROTO);
		if (m->nlmsg_flags & NLM_F_DUMP_INTR)
			return refuse(EINTR);
		if (m->nlmsg_type < NLMSG_MIN_TYPE)
			r = read_control(m);
		else if (cb)
			r = cb(m, arg);
	}
	return r;
}

/* --- sockets -------------------------------------------------------------------------------------------------- */

struct mnl_socket {
	int fd;
	struct sockaddr_nl own;
};

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	struct mnl_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fd = socket(AF_NETLINK, SOCK_RAW | flags, bus);
	if (s->fd < 0) {
		free(s);
		return NULL;
	}
	return s;
}

struct mnl_socket *mnl_socket_open(int bus)
{
	return mnl_socket_open2(bus, 0);
}

int mnl_socket_bind(struct mnl_socket *s, unsigned groups, pid_t port)
{
	socklen_t len = sizeof(s->own);

	s->own = (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_groups = groups, .nl_pid = (uint32_t)port};
	if (bind(s->fd, (struct sockaddr *)&s->own, len) < 0)
		return -1;
	return getsockname(s->fd, (struct sockaddr *)&s->own, &len);
}

int mnl_socket_close(struct mnl_socket *s)
{
	int r = close(s->fd);

	free(s);
	return r;
}

int mnl_socket_get_fd(const struct mnl_socket *s)
{
	return s->fd;
}

unsigned mnl_socket_get_portid(const struct mnl_socket *s)
{
	return s->own.nl_pid;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *s, const void *buf, size_t len)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	return sendto(s->fd, buf, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
}

/* Only from the kernel, and never a part of a message. */
ssize_t mnl_socket_recvfrom(const struct mnl_socket *s, void *buf, size_t size)
{
	struct sockaddr_nl from;
	struct iovec v = {.iov_base = buf, .iov_len = size};
	struct msghdr h = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &v, .msg_iovlen = 1};
	ssize_t n = recvmsg(s->fd, &h, 0);

	if (n < 0)
		return -1;
	if (h.msg_flags & MSG_TRUNC)
		return refuse(ENOSPC);
	return h.msg_namelen != sizeof(from) ? refuse(EINVAL) : n;
}

int mnl_socket_setsockopt(const struct mnl_socket *s, int option, void *value, socklen_t len)
{
	return setsockopt(s->fd, SOL_NETLINK, option, value, len);
}
