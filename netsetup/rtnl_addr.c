/* Addresses of links. */
#include "rtnl_msg.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>
#include <sys/socket.h>

#include "error.h"

/* The directed broadcast address, which some programs (DHCP servers, wake-on-LAN) expect an IPv4 address to have. */
static void put_broadcast(struct rtnl *r, struct nlmsghdr *m, const struct ipaddr *a)
{
	struct ipaddr b = *a;

	if (a->family != AF_INET || a->prefix > 30 || a->prefix == 0)
		return;
	for (int i = 0; i < 4; i++) {
		int keep = a->prefix - i * 8;

		if (keep <= 0)
			b.bytes[i] = 0xff;
		else if (keep < 8)
			b.bytes[i] |= (uint8_t)(0xff >> keep);
	}
	rtnl_put_ip(r, m, IFA_BROADCAST, &b);
}

static struct nlmsghdr *build(struct rtnl *r, uint16_t type, uint16_t flags, const struct addr_req *q)
{
	struct ifaddrmsg header = {
		.ifa_family = (uint8_t)q->addr.family,
		.ifa_prefixlen = q->peer.family ? q->peer.prefix : q->addr.prefix,
		.ifa_scope = q->host_scope ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
		.ifa_index = (uint32_t)q->index,
	};
	struct nlmsghdr *m;

	/* The kernel would make fe80:: global otherwise, and IPv6 routing would then prefer it as a source. */
	if (q->addr.family == AF_INET6 && q->addr.bytes[0] == 0xfe && (q->addr.bytes[1] & 0xc0) == 0x80)
		header.ifa_scope = RT_SCOPE_LINK;
	m = rtnl_begin(r, type, flags, &header, sizeof(header));
	rtnl_put_ip(r, m, IFA_LOCAL, &q->addr);
	rtnl_put_ip(r, m, IFA_ADDRESS, q->peer.family ? &q->peer : &q->addr);
	return m;
}

int rtnl_addr_add(struct rtnl *r, const struct addr_req *q, struct error *err)
{
	struct nlmsghdr *m = build(r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, q);
	char text[IPADDR_TEXT_SIZE];
	uint32_t flags = 0;

	if (!q->peer.family && !q->host_scope)
		put_broadcast(r, m, &q->addr);
	if (q->nodad && q->addr.family == AF_INET6)
		flags |= IFA_F_NODAD;
	if (q->noprefixroute)
		flags |= IFA_F_NOPREFIXROUTE;
	if (flags)
		rtnl_put_u32(r, m, IFA_FLAGS, flags);
	return rtnl_talk(r, m, NULL, NULL, EEXIST, err, "cannot add address %s to link %d",
			 ipaddr_text(&q->addr, true, text), q->index);
}

int rtnl_addr_del(struct rtnl *r, const struct addr_req *q, struct error *err)
{
	struct nlmsghdr *m = build(r, RTM_DELADDR, 0, q);
	char text[IPADDR_TEXT_SIZE];

	return rtnl_talk(r, m, NULL, NULL, 0, err, "cannot remove address %s from link %d",
			 ipaddr_text(&q->addr, true, text), q->index);
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

static int parse(const struct nlmsghdr *m, struct addr_info *ret)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(m);
	struct ipaddr local = {0}, address = {0};
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(m) < sizeof(*header))
		return -EBADMSG;
	*ret = (struct addr_info){.index = (int)header->ifa_index, .scope = header->ifa_scope, .flags = header->ifa_flags};
	mnl_attr_for_each(a, m, sizeof(*header)) {
		if (mnl_attr_get_type(a) == IFA_LOCAL)
			take_ip(a, header->ifa_family, header->ifa_prefixlen, &local);
		else if (mnl_attr_get_type(a) == IFA_ADDRESS)
			take_ip(a, header->ifa_family, header->ifa_prefixlen, &address);
		else if (mnl_attr_get_type(a) == IFA_FLAGS && mnl_attr_get_payload_len(a) >= sizeof(uint32_t))
			ret->flags = mnl_attr_get_u32(a);
	}
	/* IPv6 gives IFA_LOCAL only when there is a peer; IPv4 repeats the address in IFA_ADDRESS. */
	ret->addr = local.family ? local : address;
	if (local.family && address.family && !ipaddr_equal(&local, &address)) {
		ret->peer = address;
		ret->addr.prefix = (uint8_t)(ipaddr_size(&local) * 8);
	}
	return 0;
}

struct list_arg {
	rtnl_addr_cb *cb;
	void *arg;
	int index;
};

static int list_one(const struct nlmsghdr *m, void *arg)
{
	const struct list_arg *la = arg;
	struct addr_info a;
	int code;

	if (m->nlmsg_type != RTM_NEWADDR)
		return 0;
	code = parse(m, &a);
	if (code < 0 || a.addr.family == 0 || (la->index && a.index != la->index))
		return code;
	return la->cb(&a, la->arg);
}

int rtnl_addr_list(struct rtnl *r, int index, rtnl_addr_cb *cb, void *arg, struct error *err)
{
	struct ifaddrmsg header = {.ifa_family = AF_UNSPEC, .ifa_index = (uint32_t)index};
	struct list_arg la = {cb, arg, index};
	struct nlmsghdr *m = rtnl_begin(r, RTM_GETADDR, 0, &header, sizeof(header));

	return rtnl_dump(r, m, list_one, &la, err, "addresses");
}
