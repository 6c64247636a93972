/* Links: make, change, ask, list, delete. */
#include "rtnl_msg.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "error.h"
#include "str.h"

/* --- requests ------------------------------------------------------------------------------------------------ */

/* The kernel cuts nothing off, it refuses; but its "Numerical result out of range" names no object. */
static int check_name(const char *name, struct error *err)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ)
		return error_set(err, EINVAL, "'%s' is no interface name: 1 to %d characters", name, IFNAMSIZ - 1);
	if (strpbrk(name, "/: \t\r\n\v\f") || str_eq(name, ".") || str_eq(name, ".."))
		return error_set(err, EINVAL, "'%s' is no interface name: no space, '/' nor ':'", name);
	return 0;
}

/* Per-family settings. */
static void put_family(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l)
{
	struct nlattr *spec, *family, *conf;

	if (!l->no_addrgen && !l->arp_notify)
		return;
	spec = rtnl_nest(r, m, IFLA_AF_SPEC);
	if (l->no_addrgen) {
		family = rtnl_nest(r, m, AF_INET6);
		rtnl_put_u8(r, m, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
		rtnl_nest_end(m, family);
	}
	if (l->arp_notify) {
		family = rtnl_nest(r, m, AF_INET);
		conf = rtnl_nest(r, m, IFLA_INET_CONF);
		rtnl_put_u32(r, m, IPV4_DEVCONF_ARP_NOTIFY, 1);
		rtnl_nest_end(m, conf);
		rtnl_nest_end(m, family);
	}
	rtnl_nest_end(m, spec);
}

/* Attributes that making and changing have in common. */
static void put_link(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l)
{
	if (l->mac)
		rtnl_put(r, m, IFLA_ADDRESS, l->mac, 6);
	if (l->mtu)
		rtnl_put_u32(r, m, IFLA_MTU, l->mtu);
	if (l->txqlen)
		rtnl_put_u32(r, m, IFLA_TXQLEN, l->txqlen);
	if (l->master || l->no_master)
		rtnl_put_u32(r, m, IFLA_MASTER, (uint32_t)l->master);
	if (l->parent)
		rtnl_put_u32(r, m, IFLA_LINK, (uint32_t)l->parent);
	if (l->set_netns)
		rtnl_put_u32(r, m, IFLA_NET_NS_FD, (uint32_t)l->netns_fd);
}

static struct ifinfomsg link_header(const struct link_req *l)
{
	return (struct ifinfomsg){
		.ifi_family = AF_UNSPEC,
		.ifi_index = l->index,
		.ifi_flags = l->flags_on,
		.ifi_change = l->flags_on | l->flags_off,
	};
}

static int take_link(const struct nlmsghdr *m, void *arg)
{
	return m->nlmsg_type == RTM_NEWLINK ? rtnl_link_parse(m, arg) : 0;
}

static void queue_creation(struct rtnl *r, const struct link_kind *kind, const struct link_req *l, struct link_info *made,
			   struct error *err)
{
	struct ifinfomsg header = link_header(l);
	struct nlmsghdr *m = rtnl_begin(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, &header, sizeof(header));

	rtnl_put_text(r, m, IFLA_IFNAME, l->name);
	if (l->one_queue) {
		rtnl_put_u32(r, m, IFLA_NUM_TX_QUEUES, 1);
		rtnl_put_u32(r, m, IFLA_NUM_RX_QUEUES, 1);
	}
	put_link(r, m, l);
	rtnl_put_linkinfo(r, m, kind, l);
	rtnl_talk(r, m, take_link, made, 0, err, "cannot create %s %s", l->kind, l->name);
}

/* The kernel takes these for a device that exists only, and passes over them without a word in a creation. They go along in
 * the same write, so that no kill can come between the device and the mark of its owner. */
static void queue_afterwards(struct rtnl *r, const struct link_req *l, struct error *err)
{
	struct link_req more = {
		.name = l->name,
		.alias = l->alias,
		.no_addrgen = l->no_addrgen,
		.arp_notify = l->arp_notify,
		.hairpin = l->hairpin,
		.set_hairpin = l->set_hairpin,
		.isolated = l->isolated,
		.set_isolated = l->set_isolated,
	};

	if (l->alias || l->no_addrgen || l->arp_notify || l->set_hairpin || l->set_isolated)
		rtnl_link_set(r, &more, err);
}

int rtnl_link_add(struct rtnl *r, const struct link_req *l, struct link_info *ret, struct error *err)
{
	const struct link_kind *kind = rtnl_kind_find(l->kind);
	struct link_info made = {0};
	int code;

	if (!kind)
		return error_set(err, EINVAL, "cannot create %s: links of kind '%s' are not known", l->name, l->kind);
	if (check_name(l->name, err) < 0 || (l->peer_name && check_name(l->peer_name, err) < 0))
		return -EINVAL;
	rtnl_batch(r);
	queue_creation(r, kind, l, &made, err);
	/* One born in another namespace is not to be seen from here at all. */
	if (!l->set_netns)
		queue_afterwards(r, l, err);
	code = rtnl_commit(r, err);
	if (code == -EOPNOTSUPP)
		return error_wrap(err, "the kernel has no links of kind '%s' (is its module there?)", l->kind);
	if (code < 0)
		return code;
	/* Kernels before 6.2 do not echo links. */
	if (ret && made.index == 0 && !l->set_netns)
		return rtnl_link_get(r, l->name, ret, err);
	if (ret)
		*ret = made;
	return 0;
}

int rtnl_link_set(struct rtnl *r, const struct link_req *l, struct error *err)
{
	struct ifinfomsg header = link_header(l);
	bool port = l->set_hairpin || l->set_isolated;
	char who[IFNAMSIZ + 16];
	struct nlmsghdr *m;

	if (l->name)
		snprintf(who, sizeof(who), "%s", l->name);
	else
		snprintf(who, sizeof(who), "link %d", l->index);
	if (l->new_name && check_name(l->new_name, err) < 0)
		return -EINVAL;
	m = rtnl_begin(r, port ? RTM_NEWLINK : RTM_SETLINK, 0, &header, sizeof(header));
	if (l->new_name)
		rtnl_put_text(r, m, IFLA_IFNAME, l->new_name);
	else if (!l->index)
		rtnl_put_text(r, m, IFLA_IFNAME, l->name);
	put_link(r, m, l);
	if (l->alias)
		rtnl_put(r, m, IFLA_IFALIAS, l->alias, strlen(l->alias));
	put_family(r, m, l);
	if (port)
		rtnl_put_slave(r, m, l);
	return rtnl_talk(r, m, NULL, NULL, 0, err, "cannot change %s", who);
}

int rtnl_link_del(struct rtnl *r, int index, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct nlmsghdr *m = rtnl_begin(r, RTM_DELLINK, 0, &header, sizeof(header));

	return rtnl_talk(r, m, NULL, NULL, 0, err, "cannot delete link %d", index);
}

/* --- answers ------------------------------------------------------------------------------------------------- */

static void copy_text(char *out, size_t size, const struct nlattr *a)
{
	size_t len = strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));

	if (len >= size)
		len = size - 1;
	memcpy(out, mnl_attr_get_payload(a), len);
	out[len] = '\0';
}

static uint32_t get_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

static void parse_linkinfo(const struct nlattr *info, struct link_info *l)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info) {
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			copy_text(l->kind, sizeof(l->kind), a);
		else if (mnl_attr_get_type(a) == IFLA_INFO_SLAVE_KIND)
			copy_text(l->slave_kind, sizeof(l->slave_kind), a);
	}
}

static void parse_stats(const struct nlattr *a, struct link_info *l)
{
	struct rtnl_link_stats64 s = {0};
	size_t len = mnl_attr_get_payload_len(a);

	memcpy(&s, mnl_attr_get_payload(a), len < sizeof(s) ? len : sizeof(s));
	l->rx_bytes = s.rx_bytes;
	l->tx_bytes = s.tx_bytes;
	l->rx_packets = s.rx_packets;
	l->tx_packets = s.tx_packets;
	l->rx_dropped = s.rx_dropped;
	l->tx_dropped = s.tx_dropped;
	l->rx_errors = s.rx_errors;
	l->tx_errors = s.tx_errors;
}

static void parse_attr(const struct nlattr *a, struct link_info *l)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		copy_text(l->name, sizeof(l->name), a);
		break;
	case IFLA_IFALIAS:
		copy_text(l->alias, sizeof(l->alias), a);
		break;
	case IFLA_ADDRESS:
		l->has_mac = mnl_attr_get_payload_len(a) == sizeof(l->mac);
		if (l->has_mac)
			memcpy(l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
		break;
	case IFLA_MTU:
		l->mtu = get_u32(a);
		break;
	case IFLA_TXQLEN:
		l->txqlen = get_u32(a);
		break;
	case IFLA_MASTER:
		l->master = (int)get_u32(a);
		break;
	case IFLA_LINK:
		l->parent = (int)get_u32(a);
		break;
	case IFLA_LINK_NETNSID:
		l->peer_netnsid = (int)get_u32(a);
		break;
	case IFLA_OPERSTATE:
		if (mnl_attr_get_payload_len(a) >= 1)
			l->operstate = mnl_attr_get_u8(a);
		break;
	case IFLA_LINKINFO:
		parse_linkinfo(a, l);
		break;
	case IFLA_STATS64:
		parse_stats(a, l);
		break;
	default:
		break;
	}
}

int rtnl_link_parse(const struct nlmsghdr *m, struct link_info *ret)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(m);
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(m) < sizeof(*header))
		return -EBADMSG;
	*ret = (struct link_info){.index = header->ifi_index, .flags = header->ifi_flags, .peer_netnsid = -1};
	mnl_attr_for_each(a, m, sizeof(*header))
		parse_attr(a, ret);
	return 0;
}

static int get(struct rtnl *r, const char *name, int index, struct link_info *ret, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct link_info l = {0};
	struct nlmsghdr *m;
	int code;

	if (name && check_name(name, err) < 0)
		return -EINVAL;
	m = rtnl_begin(r, RTM_GETLINK, 0, &header, sizeof(header));
	if (name)
		rtnl_put_text(r, m, IFLA_IFNAME, name);
	rtnl_put_u32(r, m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (name)
		code = rtnl_talk(r, m, take_link, &l, 0, err, "cannot find link %s", name);
	else
		code = rtnl_talk(r, m, take_link, &l, 0, err, "cannot find link %d", index);
	if (code < 0)
		return code;
	*ret = l;
	return 0;
}

int rtnl_link_get(struct rtnl *r, const char *name, struct link_info *ret, struct error *err)
{
	return get(r, name, 0, ret, err);
}

int rtnl_link_get_index(struct rtnl *r, int index, struct link_info *ret, struct error *err)
{
	return get(r, NULL, index, ret, err);
}

struct list_arg {
	rtnl_link_cb *cb;
	void *arg;
};

static int list_one(const struct nlmsghdr *m, void *arg)
{
	const struct list_arg *la = arg;
	struct link_info l;
	int code;

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	code = rtnl_link_parse(m, &l);
	return code < 0 ? code : la->cb(&l, la->arg);
}

int rtnl_link_list(struct rtnl *r, rtnl_link_cb *cb, void *arg, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	struct list_arg la = {cb, arg};
	struct nlmsghdr *m = rtnl_begin(r, RTM_GETLINK, 0, &header, sizeof(header));

	return rtnl_dump(r, m, list_one, &la, err, "links");
}

/* Asking for the link state through ethtool makes the kernel work off a pending carrier event of the device first; that is what
 * sets a bridge port to forwarding. Any socket of the namespace takes the ioctl. */
void rtnl_link_settle(struct rtnl *r, const char *name)
{
	struct ethtool_value v = {.cmd = ETHTOOL_GLINK};
	struct ifreq req = {.ifr_data = (void *)&v};

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	ioctl(rtnl_fd(r), SIOCETHTOOL, &req);
}
