/* ctnetlink: one dump for each family, which the kernel narrows to UDP, and a message for each flow that has to
 * go. */
#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "nft_batch.h"

/* Bit of CTA_FILTER_ORIG_FLAGS: compare CTA_PROTO_NUM. The kernel keeps these in no header; libnetfilter_conntrack
 * has the same number. */
enum { FILTER_PROTO_NUM = 1 << 3 };

/* One direction of a flow. */
struct tuple {
	struct ipaddr src, dst;
	uint8_t proto;
	uint16_t dport;
};

struct flush {
	const struct nft_port *ports;
	size_t n;
	enum conntrack_when when;
	int netns_fd;
	struct nft_socket deleter; /* the dump has the other one */
	struct nft_batch doomed;
};

/* --- reading a flow ------------------------------------------------------------------------------------------- */

static void take_address(const struct nlattr *a, struct ipaddr *ret)
{
	size_t len = mnl_attr_get_payload_len(a);

	if (len != 4 && len != 16)
		return;
	ret->family = len == 16 ? AF_INET6 : AF_INET;
	ret->prefix = (uint8_t)(len * 8);
	memcpy(ret->bytes, mnl_attr_get_payload(a), len);
}

static void parse_ip(const struct nlattr *ip, struct tuple *t)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, ip) {
		uint16_t type = mnl_attr_get_type(a);

		if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC)
			take_address(a, &t->src);
		else if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST)
			take_address(a, &t->dst);
	}
}

static void parse_proto(const struct nlattr *proto, struct tuple *t)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, proto) {
		uint16_t type = mnl_attr_get_type(a);

		if (type == CTA_PROTO_NUM && mnl_attr_get_payload_len(a) >= 1)
			t->proto = mnl_attr_get_u8(a);
		else if (type == CTA_PROTO_DST_PORT && mnl_attr_get_payload_len(a) >= 2)
			t->dport = ntohs(mnl_attr_get_u16(a));
	}
}

static void parse_tuple(const struct nlattr *tuple, struct tuple *t)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, tuple) {
		if (mnl_attr_get_type(a) == CTA_TUPLE_IP)
			parse_ip(a, t);
		else if (mnl_attr_get_type(a) == CTA_TUPLE_PROTO)
			parse_proto(a, t);
	}
}

/* --- judging it ----------------------------------------------------------------------------------------------- */

/* True for an address of the namespace's own: only those can be bound. */
static bool is_local(int netns_fd, const struct ipaddr *a)
{
	auto_close int fd = nft_socket_in(netns_fd, a->family, SOCK_DGRAM, 0);
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	memcpy(&v4.sin_addr, a->bytes, 4);
	memcpy(&v6.sin6_addr, a->bytes, 16);
	if (fd < 0)
		return false;
	if (a->family == AF_INET6)
		return bind(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0;
	return bind(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0;
}

static bool concerns(const struct flush *f, const struct nft_port *p, const struct tuple *orig,
		     const struct tuple *reply)
{
	bool to_container = ipaddr_equal(&reply->src, &p->container);

	if (p->proto != IPPROTO_UDP || orig->proto != IPPROTO_UDP || orig->dport != p->host_port ||
	    orig->dst.family != p->container.family)
		return false;
	if (p->host.family && !ipaddr_equal(&p->host, &orig->dst))
		return false;
	if (f->when == CONNTRACK_OLD)
		return to_container;
	return !to_container && is_local(f->netns_fd, &orig->dst);
}

/* --- talking -------------------------------------------------------------------------------------------------- */

static struct nlmsghdr *begin(struct nft_batch *b, uint16_t type, uint16_t flags, int family)
{
	struct nlmsghdr *m = nft_batch_begin(b, type, flags, "the connection table");
	struct nfgenmsg *g;

	if (!m)
		return NULL;
	m->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	g = mnl_nlmsg_get_payload(m);
	g->nfgen_family = (uint8_t)family;
	return m;
}

static int ignore_gone(size_t i, int code, const struct nlmsghdr *m, void *arg)
{
	(void)i;
	(void)m;
	(void)arg;
	return code == -ENOENT ? 0 : code;
}

static int delete_doomed(struct flush *f)
{
	int code = f->doomed.n ? nft_ask(&f->deleter, &f->doomed, ignore_gone, NULL, NULL) : 0;

	f->doomed.n = f->doomed.len = 0;
	return code;
}

/* Attributes that say which flow it is, as the kernel wrote them; with its id, so that not another one dies that
 * took its place meanwhile. */
static int doom(struct flush *f, int family, const struct nlattr *const *identity, size_t n)
{
	struct nlmsghdr *m = begin(&f->doomed, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family);

	for (size_t i = 0; m && i < n; i++)
		if (identity[i])
			mnl_attr_put(m, identity[i]->nla_type, mnl_attr_get_payload_len(identity[i]),
				     mnl_attr_get_payload(identity[i]));
	nft_batch_end(&f->doomed, m);
	return f->doomed.n == NFT_ASK_MAX ? delete_doomed(f) : 0;
}

static int judge(size_t i, int code, const struct nlmsghdr *m, void *arg)
{
	struct flush *f = arg;
	struct tuple orig = {0}, reply = {0};
	const struct nlattr *a, *identity[3] = {NULL};

	(void)i;
	if (code < 0)
		return code;
	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg)) {
		uint16_t type = mnl_attr_get_type(a);

		if (type == CTA_TUPLE_ORIG) {
			parse_tuple(a, &orig);
			identity[0] = a;
		} else if (type == CTA_TUPLE_REPLY) {
			parse_tuple(a, &reply);
		} else if (type == CTA_ID) {
			identity[1] = a;
		} else if (type == CTA_ZONE) {
			identity[2] = a;
		}
	}
	for (size_t k = 0; identity[0] && k < f->n; k++)
		if (concerns(f, &f->ports[k], &orig, &reply))
			return doom(f, orig.dst.family, identity, ARRAY_SIZE(identity));
	return 0;
}

static int flush_family(struct nft_socket *s, struct flush *f, int family, struct error *err)
{
	auto_batch struct nft_batch b = {0};
	struct nlmsghdr *m = begin(&b, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
	struct nlattr *tuple, *proto, *filter;

	if (!m)
		return error_oom(err);
	tuple = mnl_attr_nest_start(m, CTA_TUPLE_ORIG);
	proto = mnl_attr_nest_start(m, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(m, CTA_PROTO_NUM, IPPROTO_UDP);
	mnl_attr_nest_end(m, proto);
	mnl_attr_nest_end(m, tuple);
	filter = mnl_attr_nest_start(m, CTA_FILTER);
	mnl_attr_put_u32(m, CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_NUM);
	mnl_attr_nest_end(m, filter);
	nft_batch_end(&b, m);
	return nft_dump(s, &b, judge, f, err);
}

static bool has_udp(const struct nft_port *ports, size_t n, int family)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i].proto == IPPROTO_UDP && ports[i].container.family == family)
			return true;
	return false;
}

int conntrack_flush(int netns_fd, const struct nft_port *ports, size_t n, enum conntrack_when when, struct error *err)
{
	static const int families[] = {AF_INET, AF_INET6};
	auto_nft struct nft_socket s = {.fd = -1};
	struct flush f = {.ports = ports, .n = n, .when = when, .netns_fd = netns_fd, .deleter = {.fd = -1}};
	int code = 0;

	for (size_t i = 0; code == 0 && i < ARRAY_SIZE(families); i++) {
		if (!has_udp(ports, n, families[i]))
			continue;
		if (s.fd < 0)
			code = nft_open(netns_fd, &s, err);
		if (code == 0 && f.deleter.fd < 0)
			code = nft_open(netns_fd, &f.deleter, err);
		if (code == 0)
			code = flush_family(&s, &f, families[i], err);
		if (code == 0)
			code = delete_doomed(&f);
	}
	nft_close(&f.deleter);
	nft_batch_free(&f.doomed);
	return code;
}
