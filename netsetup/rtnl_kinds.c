/* What each kind of link has to say of itself: IFLA_LINKINFO. A new kind is one function and one line. */
#include "rtnl_msg.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <string.h>

#include "cleanup.h"
#include "str.h"

/* The peer is born in its own namespace under its own name: no window with a stray link, no move, no rename. It cannot be
 * created up (ENOTCONN). */
static void put_veth(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l)
{
	struct nlattr *peer = rtnl_nest(r, m, VETH_INFO_PEER);
	struct ifinfomsg *header = rtnl_put_space(r, m, sizeof(*header));

	if (header)
		header->ifi_family = AF_UNSPEC;
	if (l->peer_name)
		rtnl_put_text(r, m, IFLA_IFNAME, l->peer_name);
	if (l->peer_mac)
		rtnl_put(r, m, IFLA_ADDRESS, l->peer_mac, 6);
	if (l->mtu)
		rtnl_put_u32(r, m, IFLA_MTU, l->mtu);
	if (l->one_queue) {
		rtnl_put_u32(r, m, IFLA_NUM_TX_QUEUES, 1);
		rtnl_put_u32(r, m, IFLA_NUM_RX_QUEUES, 1);
	}
	if (l->set_peer_netns)
		rtnl_put_u32(r, m, IFLA_NET_NS_FD, (uint32_t)l->peer_netns_fd);
	rtnl_nest_end(m, peer);
}

static void put_bridge(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l)
{
	if (l->no_stp_delay)
		rtnl_put_u32(r, m, IFLA_BR_FORWARD_DELAY, 0);
}

static void put_macvlan(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l)
{
	if (l->macvlan_mode)
		rtnl_put_u32(r, m, IFLA_MACVLAN_MODE, l->macvlan_mode);
}

static const struct link_kind kinds[] = {
	{"bridge", put_bridge}, {"dummy", NULL}, {"macvlan", put_macvlan}, {"veth", put_veth}, {"wireguard", NULL},
};

const struct link_kind *rtnl_kind_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

void rtnl_put_linkinfo(struct rtnl *r, struct nlmsghdr *m, const struct link_kind *k, const struct link_req *l)
{
	struct nlattr *info = rtnl_nest(r, m, IFLA_LINKINFO);

	rtnl_put_text(r, m, IFLA_INFO_KIND, k->name);
	if (k->put) {
		struct nlattr *data = rtnl_nest(r, m, IFLA_INFO_DATA);

		k->put(r, m, l);
		rtnl_nest_end(m, data);
	}
	rtnl_nest_end(m, info);
}

/* A port of a bridge. The kernel takes this in RTM_NEWLINK for a device that already has its master only. */
void rtnl_put_slave(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l)
{
	struct nlattr *info = rtnl_nest(r, m, IFLA_LINKINFO), *data;

	rtnl_put_text(r, m, IFLA_INFO_SLAVE_KIND, "bridge");
	data = rtnl_nest(r, m, IFLA_INFO_SLAVE_DATA);
	if (l->set_hairpin)
		rtnl_put_u8(r, m, IFLA_BRPORT_MODE, l->hairpin);
	if (l->set_isolated)
		rtnl_put_u8(r, m, IFLA_BRPORT_ISOLATED, l->isolated);
	rtnl_nest_end(m, data);
	rtnl_nest_end(m, info);
}
