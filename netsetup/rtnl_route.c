/* Routes. */
#include "rtnl_msg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "error.h"

/* "10.0.0.0/8 via 10.1.1.1", "default via fe80::1 on link 2". */
enum { ROUTE_TEXT_SIZE = 2 * IPADDR_TEXT_SIZE + 32 };
static const char *route_text(const struct route_req *q, char out[ROUTE_TEXT_SIZE])
{
	char dst[IPADDR_TEXT_SIZE], via[IPADDR_TEXT_SIZE], on[24] = "";

	if (q->index)
		snprintf(on, sizeof(on), " on link %d", q->index);
	snprintf(out, ROUTE_TEXT_SIZE, "%s%s%s%s", q->dst.prefix ? ipaddr_text(&q->dst, true, dst) : "default",
		 q->via.family ? " via " : "", q->via.family ? ipaddr_text(&q->via, false, via) : "", on);
	return out;
}

/* A gateway of the other family (RFC 5549) stands in RTA_VIA. */
static void put_via(struct rtnl *r, struct nlmsghdr *m, const struct route_req *q)
{
	struct {
		uint16_t family;
		uint8_t bytes[16];
	} via = {.family = (uint16_t)q->via.family};

	if (q->via.family == q->dst.family) {
		rtnl_put_ip(r, m, RTA_GATEWAY, &q->via);
		return;
	}
	memcpy(via.bytes, q->via.bytes, sizeof(via.bytes));
	rtnl_put(r, m, RTA_VIA, &via, sizeof(via.family) + (size_t)ipaddr_size(&q->via));
}

static void put_metrics(struct rtnl *r, struct nlmsghdr *m, const struct route_req *q)
{
	struct nlattr *nest;

	if (!q->mtu && !q->advmss)
		return;
	nest = rtnl_nest(r, m, RTA_METRICS);
	if (q->mtu)
		rtnl_put_u32(r, m, RTAX_MTU, q->mtu);
	if (q->advmss)
		rtnl_put_u32(r, m, RTAX_ADVMSS, q->advmss);
	rtnl_nest_end(m, nest);
}

static struct nlmsghdr *build(struct rtnl *r, uint16_t type, uint16_t flags, const struct route_req *q, bool add)
{
	uint32_t table = q->set_table ? q->table : RT_TABLE_MAIN;
	struct ipaddr dst = ipaddr_network(&q->dst);
	struct rtmsg header = {
		.rtm_family = (uint8_t)dst.family,
		.rtm_dst_len = dst.prefix,
		.rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC,
		.rtm_protocol = q->protocol ? q->protocol : (add ? RTPROT_BOOT : RTPROT_UNSPEC),
		.rtm_scope = add ? (q->via.family || dst.family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK)
				 : RT_SCOPE_NOWHERE,
		.rtm_type = q->type ? q->type : (add ? RTN_UNICAST : RTN_UNSPEC),
		.rtm_flags = q->onlink ? RTNH_F_ONLINK : 0,
	};
	struct nlmsghdr *m;

	if (q->set_scope)
		header.rtm_scope = q->scope;
	m = rtnl_begin(r, type, flags, &header, sizeof(header));
	if (dst.prefix)
		rtnl_put_ip(r, m, RTA_DST, &dst);
	if (q->via.family)
		put_via(r, m, q);
	if (q->src.family)
		rtnl_put_ip(r, m, RTA_PREFSRC, &q->src);
	if (q->index)
		rtnl_put_u32(r, m, RTA_OIF, (uint32_t)q->index);
	if (table >= 256)
		rtnl_put_u32(r, m, RTA_TABLE, table);
	if (q->priority)
		rtnl_put_u32(r, m, RTA_PRIORITY, q->priority);
	put_metrics(r, m, q);
	return m;
}

int rtnl_route_add(struct rtnl *r, const struct route_req *q, struct error *err)
{
	uint16_t how = q->append ? NLM_F_APPEND : q->replace ? NLM_F_REPLACE : NLM_F_EXCL;
	struct nlmsghdr *m = build(r, RTM_NEWROUTE, NLM_F_CREATE | how, q, true);
	char text[ROUTE_TEXT_SIZE];

	return rtnl_talk(r, m, NULL, NULL, q->exists_ok ? EEXIST : 0, err, "cannot add route %s", route_text(q, text));
}

int rtnl_route_del(struct rtnl *r, const struct route_req *q, struct error *err)
{
	struct nlmsghdr *m = build(r, RTM_DELROUTE, 0, q, false);
	char text[ROUTE_TEXT_SIZE];

	return rtnl_talk(r, m, NULL, NULL, 0, err, "cannot remove route %s", route_text(q, text));
}

/* --- list ---------------------------------------------------------------------------------------------------- */

static void take_ip(const struct nlattr *a, int family, uint8_t prefix, struct ipaddr *out)
{
	struct ipaddr ip = {.family = family, .prefix = prefix};

	if (mnl_attr_get_payload_len(a) != ipaddr_size(&ip))
		return;
	memcpy(ip.bytes, mnl_attr_get_payload(a), (size_t)ipaddr_size(&ip));
	*out = ip;
}

static void take_via(const struct nlattr *a, struct ipaddr *out)
{
	struct ipaddr ip = {0};
	uint16_t family;

	if (mnl_attr_get_payload_len(a) < sizeof(family))
		return;
	memcpy(&family, mnl_attr_get_payload(a), sizeof(family));
	ip.family = family;
	ip.prefix = (uint8_t)(ipaddr_size(&ip) * 8);
	if (mnl_attr_get_payload_len(a) < sizeof(family) + (size_t)ipaddr_size(&ip))
		return;
	memcpy(ip.bytes, (const uint8_t *)mnl_attr_get_payload(a) + sizeof(family), (size_t)ipaddr_size(&ip));
	*out = ip;
}

static uint32_t get_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

static void take_metrics(const struct nlattr *nest, struct route_req *q)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) {
		if (mnl_attr_get_type(a) == RTAX_MTU)
			q->mtu = get_u32(a);
		else if (mnl_attr_get_type(a) == RTAX_ADVMSS)
			q->advmss = get_u32(a);
	}
}

static void take_attr(const struct nlattr *a, struct route_req *q, const struct nlattr **hops)
{
	uint8_t full = q->dst.family == AF_INET6 ? 128 : 32;

	switch (mnl_attr_get_type(a)) {
	case RTA_DST:
		take_ip(a, q->dst.family, q->dst.prefix, &q->dst);
		break;
	case RTA_GATEWAY:
		take_ip(a, q->dst.family, full, &q->via);
		break;
	case RTA_VIA:
		take_via(a, &q->via);
		break;
	case RTA_PREFSRC:
		take_ip(a, q->dst.family, full, &q->src);
		break;
	case RTA_OIF:
		q->index = (int)get_u32(a);
		break;
	case RTA_TABLE:
		q->table = get_u32(a);
		break;
	case RTA_PRIORITY:
		q->priority = get_u32(a);
		break;
	case RTA_METRICS:
		take_metrics(a, q);
		break;
	case RTA_MULTIPATH:
		*hops = a;
		break;
	default:
		break;
	}
}

struct list_arg {
	rtnl_route_cb *cb;
	void *arg;
};

/* A route with several next hops is handed over once for each. */
static int list_hops(const struct nlattr *nest, const struct route_req *q, const struct list_arg *la)
{
	const char *at = mnl_attr_get_payload(nest);
	size_t left = mnl_attr_get_payload_len(nest);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *hop = (const void *)at;
		struct route_req one = *q;
		const struct nlattr *attr, *none = NULL;
		size_t len = RTNH_ALIGN(hop->rtnh_len);
		int code;

		if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > left)
			return -EBADMSG;
		one.index = hop->rtnh_ifindex;
		mnl_attr_for_each_payload((const void *)(at + sizeof(*hop)), hop->rtnh_len - sizeof(*hop))
			take_attr(attr, &one, &none);
		code = la->cb(&one, la->arg);
		if (code < 0)
			return code;
		at += len;
		left = len < left ? left - len : 0;
	}
	return 0;
}

static int list_one(const struct nlmsghdr *m, void *arg)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(m);
	const struct list_arg *la = arg;
	const struct nlattr *a, *hops = NULL;
	struct route_req q = {0};

	if (m->nlmsg_type != RTM_NEWROUTE)
		return 0;
	if (mnl_nlmsg_get_payload_len(m) < sizeof(*header))
		return -EBADMSG;
	/* Cached clones are no routes that anybody made. */
	if (header->rtm_flags & RTM_F_CLONED)
		return 0;
	q.dst.family = header->rtm_family;
	q.dst.prefix = header->rtm_dst_len;
	q.table = header->rtm_table;
	q.protocol = header->rtm_protocol;
	q.scope = header->rtm_scope;
	q.type = header->rtm_type;
	q.set_scope = q.set_table = true;
	q.onlink = header->rtm_flags & RTNH_F_ONLINK;
	mnl_attr_for_each(a, m, sizeof(*header))
		take_attr(a, &q, &hops);
	return hops ? list_hops(hops, &q, la) : la->cb(&q, la->arg);
}

int rtnl_route_list(struct rtnl *r, int family, rtnl_route_cb *cb, void *arg, struct error *err)
{
	struct rtmsg header = {.rtm_family = (uint8_t)family};
	struct list_arg la = {cb, arg};
	struct nlmsghdr *m = rtnl_begin(r, RTM_GETROUTE, 0, &header, sizeof(header));

	return rtnl_dump(r, m, list_one, &la, err, "routes");
}
