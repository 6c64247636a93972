/* unit: netsetup */
/* Our functions of libmnl beside the library's own: the same calls, on random messages, must give the same bytes and the
 * same answers. */
#include <dlfcn.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "tap.h"

static void *library;

/* The library's function of the same name. */
#define REAL(f) ((__typeof__(&(f)))dlsym(library, #f))

enum { SIZE = 512, ROUNDS = 20000 };
typedef char message[SIZE] __attribute__((aligned(8)));

static size_t dice(size_t n)
{
	return (size_t)rand() % n;
}

/* --- writing -------------------------------------------------------------------------------------------------- */

/* What one of the two writes, by a seed. */
#define WRITE(name, F)                                                                                                \
	static void name(message buf, unsigned seed)                                                                  \
	{                                                                                                             \
		static const char text[] = "some text, cut anywhere";                                                 \
		struct nlattr *nest = NULL, *inner;                                                                   \
		struct nlmsghdr *m;                                                                                   \
                                                                                                                      \
		srand(seed);                                                                                          \
		memset(buf, 0, SIZE); /* of padding, only newer versions of the library write it */                   \
		m = F(mnl_nlmsg_put_header)(buf);                                                                     \
		memset(F(mnl_nlmsg_put_extra_header)(m, dice(20)), 7, 1);                                             \
		for (size_t i = dice(12); i > 0; i--) {                                                               \
			uint16_t type = (uint16_t)dice(70);                                                           \
			size_t room = dice(SIZE);                                                                     \
                                                                                                                      \
			switch (dice(10)) {                                                                           \
			case 0: F(mnl_attr_put)(m, type, dice(sizeof(text)), text); break;                            \
			case 1: F(mnl_attr_put_u8)(m, type, (uint8_t)rand()); break;                                  \
			case 2: F(mnl_attr_put_u16)(m, type, (uint16_t)rand()); break;                                \
			case 3: F(mnl_attr_put_u32)(m, type, (uint32_t)rand()); break;                                \
			case 4: F(mnl_attr_put_u64)(m, type, (uint64_t)rand() << 20); break;                          \
			case 5: F(mnl_attr_put_str)(m, type, text + dice(sizeof(text))); break;                       \
			case 6: F(mnl_attr_put_strz)(m, type, text + dice(sizeof(text))); break;                      \
			case 7:                                                                                       \
				if (!F(mnl_attr_put_check)(m, room, type, dice(sizeof(text)), text))                  \
					F(mnl_attr_put_u8)(m, 99, 1);                                                 \
				break;                                                                                \
			case 8:                                                                                       \
				if (nest)                                                                             \
					F(mnl_attr_nest_end)(m, nest);                                                \
				nest = F(mnl_attr_nest_start)(m, type);                                               \
				break;                                                                                \
			default:                                                                                      \
				inner = F(mnl_attr_nest_start_check)(m, room, type);                                  \
				if (inner)                                                                            \
					F(mnl_attr_nest_end)(m, inner);                                               \
			}                                                                                             \
		}                                                                                                     \
		if (nest)                                                                                             \
			F(mnl_attr_nest_end)(m, nest);                                                                \
	}
#define OURS(f) f
WRITE(write_ours, OURS)
WRITE(write_real, REAL)

static void test_writing(void)
{
	unsigned different = 0;
	message ours, real;

	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		write_ours(ours, seed);
		write_real(real, seed);
		different += memcmp(ours, real, SIZE) != 0;
	}
	is_int(different, 0, "messages are the same to the byte");
}

/* --- reading -------------------------------------------------------------------------------------------------- */

/* What the callback saw, and what it answers: so that an early end is seen too. */
struct seen {
	uint64_t hash;
	int (*validate)(const struct nlattr *a, enum mnl_attr_data_type type);
	int (*type_valid)(const struct nlattr *a, uint16_t max);
	int (*parse_nested)(const struct nlattr *a, mnl_attr_cb_t cb, void *arg);
};

static void note(struct seen *s, uint64_t v)
{
	s->hash = (s->hash ^ v) * 1099511628211u;
}

static int see_inner(const struct nlattr *a, void *arg)
{
	note(arg, (uint64_t)a->nla_type << 16 | a->nla_len);
	return a->nla_len % 11 == 0 ? MNL_CB_STOP : MNL_CB_OK;
}

static int see_attr(const struct nlattr *a, void *arg)
{
	struct seen *s = arg;

	see_inner(a, s);
	for (unsigned type = 0; type <= MNL_TYPE_MAX; type++) {
		errno = 0;
		note(s, (uint64_t)s->validate(a, type) + (uint64_t)errno);
	}
	errno = 0;
	note(s, (uint64_t)s->type_valid(a, 40) + (uint64_t)errno);
	note(s, (uint64_t)s->parse_nested(a, see_inner, s));
	return a->nla_type % 13 == 1 ? MNL_CB_ERROR : a->nla_type % 17 == 1 ? MNL_CB_STOP : MNL_CB_OK;
}

static int see_message(const struct nlmsghdr *m, void *arg)
{
	note(arg, m->nlmsg_len);
	return m->nlmsg_type % 7 == 1 ? MNL_CB_ERROR : m->nlmsg_type % 5 == 1 ? MNL_CB_STOP : MNL_CB_OK;
}

#define READ(name, F)                                                                                                 \
	static uint64_t name(const message buf, size_t size)                                                          \
	{                                                                                                             \
		struct seen s = {.validate = F(mnl_attr_validate), .type_valid = F(mnl_attr_type_valid),              \
				 .parse_nested = F(mnl_attr_parse_nested)};                                           \
		const struct nlmsghdr *m = (const void *)buf;                                                         \
		const struct nlattr *a;                                                                               \
		int left = (int)size;                                                                                 \
                                                                                                                      \
		errno = 0;                                                                                            \
		note(&s, (uint64_t)F(mnl_cb_run)(buf, size, 3, 4, see_message, &s));                                  \
		note(&s, (uint64_t)errno);                                                                            \
		while (F(mnl_nlmsg_ok)(m, left)) {                                                                    \
			note(&s, (uint64_t)F(mnl_attr_parse)(m, 4, see_attr, &s));                                    \
			note(&s, F(mnl_nlmsg_get_payload_len)(m));                                                    \
			note(&s, (uint64_t)((char *)F(mnl_nlmsg_get_payload)(m) - buf));                              \
			note(&s, (uint64_t)((char *)F(mnl_nlmsg_get_payload_tail)(m) - buf));                         \
			a = F(mnl_nlmsg_get_payload_offset)(m, 5);                                                    \
			note(&s, (uint64_t)((char *)a - buf));                                                        \
			if (F(mnl_attr_ok)(a, (int)((char *)F(mnl_nlmsg_get_payload_tail)(m) - (char *)a)) &&         \
			    F(mnl_attr_get_payload_len)(a) >= 8)                                                      \
				note(&s, F(mnl_attr_get_type)(a) + F(mnl_attr_get_u8)(a) + F(mnl_attr_get_u16)(a) +   \
						 F(mnl_attr_get_u32)(a) + F(mnl_attr_get_u64)(a) +                    \
						 (uint64_t)(F(mnl_attr_get_str)(a) - buf) +                           \
						 (uint64_t)((char *)F(mnl_attr_get_payload)(a) - buf) +               \
						 (uint64_t)((char *)F(mnl_attr_next)(a) - buf));                      \
			m = F(mnl_nlmsg_next)(m, &left);                                                              \
			note(&s, (uint64_t)left);                                                                     \
		}                                                                                                     \
		return s.hash;                                                                                        \
	}
READ(read_ours, OURS)
READ(read_real, REAL)

/* Two messages, mostly well-formed, with some of their bytes changed. */
static size_t make_input(message buf, unsigned seed)
{
	static const uint16_t types[] = {NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN, 16, 17, 18, 20, 22, 30};
	struct nlmsghdr *m;
	message second;
	size_t len;

	write_ours(buf, seed);
	write_ours(second, seed + ROUNDS);
	m = (void *)buf;
	len = MNL_ALIGN(m->nlmsg_len);
	for (int i = 0; i < 2; i++, m = (void *)second) {
		m->nlmsg_type = types[dice(sizeof(types) / sizeof(types[0]))];
		m->nlmsg_flags = dice(8) ? 0 : NLM_F_DUMP_INTR;
		m->nlmsg_seq = dice(8) ? 3 : (uint32_t)dice(2);
		m->nlmsg_pid = dice(8) ? 4 : (uint32_t)dice(2);
	}
	if (len < SIZE)
		memcpy(buf + len, second, SIZE - len);
	for (size_t i = dice(4); i > 0; i--)
		buf[dice(200)] = (char)dice(64);
	return dice(SIZE);
}

/* The library takes a length of 2 GiB and more for a negative one, and walks off. */
static bool library_survives(const message buf, size_t size)
{
	const struct nlmsghdr *m = (const void *)buf;
	int left = (int)size;

	while (mnl_nlmsg_ok(m, left))
		m = mnl_nlmsg_next(m, &left);
	return left < (int)sizeof(*m) || m->nlmsg_len <= INT32_MAX;
}

static void test_reading(void)
{
	unsigned different = 0, compared = 0;

	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		message buf;
		size_t size = make_input(buf, seed);

		if (!library_survives(buf, size))
			continue;
		compared++;
		different += read_ours(buf, size) != read_real(buf, size);
	}
	ok(compared > ROUNDS / 2, "most of the messages can be compared");
	is_int(different, 0, "messages, whole and broken ones, are read alike");
}

/* --- rows of messages, sockets -------------------------------------------------------------------------------- */

#define ROW(name, F)                                                                                                  \
	static size_t name(message buf)                                                                               \
	{                                                                                                             \
		struct mnl_nlmsg_batch *b = F(mnl_nlmsg_batch_start)(buf, 70);                                        \
		size_t sum = 0, n = 0;                                                                                \
		bool more = true;                                                                                     \
                                                                                                                      \
		for (; more; n++) {                                                                                   \
			struct nlmsghdr *m = F(mnl_nlmsg_put_header)(F(mnl_nlmsg_batch_current)(b));                  \
                                                                                                                      \
			F(mnl_nlmsg_put_extra_header)(m, 4);                                                          \
			more = F(mnl_nlmsg_batch_next)(b);                                                            \
			sum = sum * 1000 + F(mnl_nlmsg_batch_size)(b);                                                \
		}                                                                                                     \
		sum += F(mnl_nlmsg_batch_head)(b) == buf ? n * 7 : 0;                                                 \
		F(mnl_nlmsg_batch_stop)(b);                                                                           \
		return sum;                                                                                           \
	}
ROW(row_ours, OURS)
ROW(row_real, REAL)

static void test_row(void)
{
	message a = {0}, b = {0};

	is_int((long long)row_ours(a), (long long)row_real(b), "a row of messages ends where the buffer does");
	ok(memcmp(a, b, SIZE) == 0, "and has the same bytes");
}

/* Asks the kernel's generic netlink for a family that is always there. */
static void test_socket(void)
{
	enum { GENL_ID_CTRL = 16, CTRL_CMD_GETFAMILY = 3, CTRL_ATTR_FAMILY_NAME = 2 };
	struct mnl_socket *s = mnl_socket_open2(16 /* NETLINK_GENERIC */, SOCK_CLOEXEC);
	message buf;
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	int on = 1;
	ssize_t n;

	m->nlmsg_type = GENL_ID_CTRL;
	m->nlmsg_flags = NLM_F_REQUEST;
	m->nlmsg_seq = 5;
	*(uint8_t *)mnl_nlmsg_put_extra_header(m, 4) = CTRL_CMD_GETFAMILY;
	mnl_attr_put_strz(m, CTRL_ATTR_FAMILY_NAME, "nlctrl");
	ok(s && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0, "a socket");
	if (!s)
		return;
	ok(mnl_socket_get_portid(s) != 0, "has a port");
	is_int(mnl_socket_setsockopt(s, NETLINK_CAP_ACK, &on, sizeof(on)), 0, "takes an option");
	ok(mnl_socket_sendto(s, m, m->nlmsg_len) > 0, "sends");
	n = mnl_socket_recvfrom(s, buf, sizeof(buf));
	ok(n > 0 && mnl_nlmsg_ok(m, (int)n) && m->nlmsg_type == GENL_ID_CTRL, "receives");
	is_int(mnl_cb_run(buf, (size_t)n, 5, mnl_socket_get_portid(s), NULL, NULL), MNL_CB_OK, "the answer to its question");
	m = mnl_nlmsg_put_header(buf);
	m->nlmsg_type = GENL_ID_CTRL;
	m->nlmsg_flags = NLM_F_REQUEST;
	*(uint8_t *)mnl_nlmsg_put_extra_header(m, 4) = CTRL_CMD_GETFAMILY;
	mnl_attr_put_strz(m, CTRL_ATTR_FAMILY_NAME, "nlctrl");
	mnl_socket_sendto(s, m, m->nlmsg_len);
	n = mnl_socket_recvfrom(s, buf, 20);
	ok(n < 0 && errno == ENOSPC, "and no part of one");
	is_int(mnl_socket_close(s), 0, "closes");
	errno = 0;
	ok(!mnl_socket_open(9999) && errno, "a bus that is none is an error");
}

int main(void)
{
	library = dlopen("libmnl.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!ok(library != NULL, "libmnl is there to compare with"))
		return done_testing();
	ok(REAL(mnl_attr_put) != mnl_attr_put, "and is another");
	test_writing();
	test_reading();
	test_row();
	test_socket();
	return done_testing();
}
