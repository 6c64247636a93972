/* Is the interface still what ADD's result says? Changes that plugins later in the chain make are in that result, too. */
#include "iface.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "str.h"

static const struct cni_interface *find_interface(const struct cni_result *r, const char *ifname, size_t *ret_at)
{
	for (size_t i = 0; i < r->n_interfaces; i++)
		if (!str_empty(r->interfaces[i].sandbox) && str_eq(r->interfaces[i].name, ifname)) {
			*ret_at = i;
			return &r->interfaces[i];
		}
	return NULL;
}

static int check_link(const struct cni_call *call, const struct cni_interface *i, const char *kind,
		      const struct link_info *link, struct error *err)
{
	uint8_t mac[6];

	if (!str_eq(i->sandbox, call->netns))
		return error_set(err, CNI_PLUGIN, "prevResult has %s in %s, the runtime in %s", i->name, i->sandbox,
				 call->netns);
	if (kind && !str_eq(kind, link->kind))
		return error_set(err, CNI_PLUGIN, "%s is a '%s' link, not a %s", i->name, link->kind, kind);
	if (!str_empty(i->mac) && mac_parse(i->mac, mac) == 0 && link->has_mac && memcmp(mac, link->mac, 6) != 0) {
		char text[MAC_TEXT_SIZE];

		return error_set(err, CNI_PLUGIN, "%s has MAC %s, not %s", i->name, mac_text(link->mac, text), i->mac);
	}
	return 0;
}

struct wanted_addr {
	struct ipaddr addr;
	bool found;
};

static int match_addr(const struct addr_info *a, void *arg)
{
	struct wanted_addr *w = arg;

	w->found |= ipaddr_equal(&a->addr, &w->addr) && (a->peer.family || a->addr.prefix == w->addr.prefix);
	return 0;
}

static int check_address(struct rtnl *n, int index, const char *ifname, const char *address, struct error *err)
{
	struct wanted_addr w = {.found = false};
	int code;

	if (ipaddr_parse(address, &w.addr) < 0)
		return error_set(err, CNI_DECODE, "prevResult: '%s' is no address", address);
	code = rtnl_addr_list(n, index, match_addr, &w, err);
	if (code < 0)
		return code;
	return w.found ? 0 : error_set(err, CNI_PLUGIN, "%s has lost its address %s", ifname, address);
}

struct wanted_route {
	struct ipaddr dst, via;
	uint32_t table;
	bool found;
};

static int match_route(const struct route_req *q, void *arg)
{
	struct wanted_route *w = arg;

	if (q->dst.prefix != w->dst.prefix || q->table != w->table || (w->via.family && !ipaddr_equal(&w->via, &q->via)))
		return 0;
	w->found |= w->dst.prefix == 0 || ipaddr_equal(&q->dst, &w->dst);
	return 0;
}

static int check_route(struct rtnl *n, const struct cni_route *r, struct error *err)
{
	struct wanted_route w = {.table = r->has_table ? r->table : RT_TABLE_MAIN};
	int code;

	if (ipaddr_parse(r->dst, &w.dst) < 0 || (!str_empty(r->gw) && ipaddr_parse(r->gw, &w.via) < 0))
		return error_set(err, CNI_DECODE, "prevResult: route '%s' is not understood", r->dst);
	w.dst = ipaddr_network(&w.dst);
	code = rtnl_route_list(n, w.dst.family, match_route, &w, err);
	if (code < 0)
		return code;
	return w.found ? 0 : error_set(err, CNI_PLUGIN, "the route %s%s%s is gone", r->dst, str_empty(r->gw) ? "" : " via ",
				       str_empty(r->gw) ? "" : r->gw);
}

int iface_check(struct cni_call *call, const struct cni_conf *conf, const char *kind, struct error *err)
{
	const struct cni_result *r = &conf->prev_result;
	const struct cni_interface *i;
	struct link_info link;
	struct rtnl *n;
	size_t at = 0;
	int code;

	if (!conf->has_prev_result)
		return error_set(err, CNI_INVALID_CONFIG, "CHECK needs the result of ADD (prevResult)");
	i = find_interface(r, call->ifname, &at);
	if (!i)
		return error_set(err, CNI_PLUGIN, "prevResult has no interface %s in the container", call->ifname);
	code = call_container(call, &n, err);
	if (code == 0)
		code = rtnl_link_get(n, call->ifname, &link, err);
	if (code == 0)
		code = check_link(call, i, kind, &link, err);
	for (size_t k = 0; code == 0 && k < r->n_ips; k++)
		if (r->ips[k].has_interface && (size_t)r->ips[k].interface == at)
			code = check_address(n, link.index, call->ifname, r->ips[k].address, err);
	for (size_t k = 0; code == 0 && k < r->n_routes; k++)
		code = check_route(n, &r->routes[k], err);
	return code;
}
