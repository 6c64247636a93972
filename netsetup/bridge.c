/* bridge: a veth pair between the container and a bridge of the host side.
 *
 * add: the bridge (made if there is none), the pair with one end in it, the bridge's uplink, IPAM, the container's interface, the
 * bridge as gateway, masquerade. The pair is what claims the attachment: what fails before it has changed nothing but the
 * bridge, what fails after it is undone by del. */
#include "bridge.h"
#include "iface.h"
#include "nft.h"
#include "record.h"
#include "veth.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "str.h"

struct bridge_conf {
	const char *bridge, *uplink, *masq_backend, *mac;
	bool is_gateway, is_default_gateway, force_address, ip_masq, hairpin, promisc, macspoofchk, enable_dad,
		no_container_interface, isolated;
	uint32_t mtu, vlan;
	const struct json_value *vlan_trunk;
};
static const struct json_field bridge_fields[] = {
	F_STRING(struct bridge_conf, "bridge", bridge, JSON_FOLD),
	F_STRING(struct bridge_conf, "uplink", uplink, JSON_FOLD),
	F_BOOL(struct bridge_conf, "isGateway", is_gateway, JSON_FOLD),
	F_BOOL(struct bridge_conf, "isDefaultGateway", is_default_gateway, JSON_FOLD),
	F_BOOL(struct bridge_conf, "forceAddress", force_address, JSON_FOLD),
	F_BOOL(struct bridge_conf, "ipMasq", ip_masq, JSON_FOLD),
	F_STRING(struct bridge_conf, "ipMasqBackend", masq_backend, JSON_FOLD), /* it is always nftables */
	F_U32(struct bridge_conf, "mtu", mtu, JSON_FOLD),
	F_STRING(struct bridge_conf, "mac", mac, JSON_FOLD),
	F_BOOL(struct bridge_conf, "hairpinMode", hairpin, JSON_FOLD),
	F_BOOL(struct bridge_conf, "promiscMode", promisc, JSON_FOLD),
	F_BOOL(struct bridge_conf, "macspoofchk", macspoofchk, JSON_FOLD),
	F_BOOL(struct bridge_conf, "enabledad", enable_dad, JSON_FOLD),
	F_BOOL(struct bridge_conf, "disableContainerInterface", no_container_interface, JSON_FOLD),
	F_BOOL(struct bridge_conf, "portIsolation", isolated, JSON_FOLD),
	F_U32(struct bridge_conf, "vlan", vlan, JSON_FOLD),
	F_RAW(struct bridge_conf, "vlanTrunk", vlan_trunk, JSON_FOLD),
	F_END,
};
static JSON_TYPE(bridge_type, struct bridge_conf, bridge_fields);

static bool has_ipam(const struct cni_conf *conf)
{
	return !str_empty(json_get_text(conf->ipam, "type"));
}

static int load(const struct cni_conf *conf, struct bridge_conf *b, struct error *err)
{
	int code = json_decode(conf->doc, conf->raw, &bridge_type, b, "bridge", err);

	if (code < 0)
		return conf_decode_error(code, err);
	if (str_empty(b->bridge))
		b->bridge = "cni0";
	if (b->is_default_gateway)
		b->is_gateway = true;
	return 0;
}

/* What ADD must refuse. DEL does not ask: a configuration that has been changed meanwhile must not keep things alive. */
static int refuse(const struct cni_conf *conf, const struct bridge_conf *b, struct error *err)
{
	if (b->hairpin && b->promisc)
		return error_set(err, CNI_INVALID_CONFIG, "cannot set hairpinMode and promiscMode at the same time");
	if (b->no_container_interface && has_ipam(conf))
		return error_set(err, CNI_INVALID_CONFIG,
				 "cannot use IPAM when disableContainerInterface is set: the interface stays down");
	if (b->vlan != 0 || !json_is_empty(b->vlan_trunk))
		return error_set(err, CNI_UNSUPPORTED_FIELD,
				 "%s: not supported; use a bridge of its own for each VLAN", b->vlan ? "vlan" : "vlanTrunk");
	if (b->macspoofchk)
		return error_set(err, CNI_UNSUPPORTED_FIELD, "macspoofchk: not supported; leave it out or set it to false");
	if (b->is_gateway && !has_ipam(conf))
		return error_set(err, CNI_INVALID_CONFIG, "isGateway needs addresses: an ipam section is missing");
	return 0;
}

/* --- the bridge ---------------------------------------------------------------------------------------------- */

/* Its MAC is set, not left to the kernel: that takes the lowest of the ports', so it would change with them, and every
 * neighbour that knows the gateway by it would be cut off for a while. */
static int create_bridge(struct cni_call *call, struct rtnl *host, const struct bridge_conf *b, struct link_info *ret,
			 struct error *err)
{
	uint8_t mac[6];
	struct link_req l = {
		.kind = "bridge",
		.name = b->bridge,
		.mac = mac,
		.mtu = b->mtu,
		.flags_on = IFF_UP | (b->promisc ? IFF_PROMISC : 0),
		.no_stp_delay = true,
		.alias = BRIDGE_MARK,
	};
	int code;

	mac_random(mac);
	code = rtnl_link_add(host, &l, ret, err);
	return code < 0 ? code : iface_refuse_ra(call, b->bridge, err);
}

static int use_bridge(struct rtnl *host, const struct bridge_conf *b, const struct link_info *l, struct error *err)
{
	struct link_req change = {.index = l->index, .name = b->bridge, .flags_on = IFF_UP};

	if (!str_eq(l->kind, "bridge"))
		return error_set(err, CNI_INVALID_CONFIG, "%s exists and is no bridge but a '%s' device", b->bridge,
				 *l->kind ? l->kind : "hardware");
	if (b->promisc)
		change.flags_on |= IFF_PROMISC;
	return (l->flags & change.flags_on) == change.flags_on ? 0 : rtnl_link_set(host, &change, err);
}

static int ensure_bridge(struct cni_call *call, struct rtnl *host, const struct bridge_conf *b, struct link_info *ret,
			 bool *ret_made, struct error *err)
{
	int code = rtnl_link_get(host, b->bridge, ret, err);

	*ret_made = false;
	if (code == -ENODEV) {
		code = create_bridge(call, host, b, ret, err);
		if (code == 0)
			*ret_made = true;
		if (code != -EEXIST)
			return code;
		code = rtnl_link_get(host, b->bridge, ret, err); /* another ADD was faster */
	}
	return code < 0 ? code : use_bridge(host, b, ret, err);
}

/* --- the bridge as gateway ----------------------------------------------------------------------------------- */

/* The first address of the network, if IPAM names none. */
static int default_gateway(struct cni_conf *conf, struct cni_ip *ip, struct error *err)
{
	char text[IPADDR_TEXT_SIZE];
	struct ipaddr a;

	if (!str_empty(ip->gateway))
		return 0;
	if (ipaddr_parse(ip->address, &a) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "IPAM's address '%s' is no IP address", ip->address);
	a = ipaddr_network(&a);
	for (int i = ipaddr_size(&a) - 1; i >= 0 && ++a.bytes[i] == 0; i--)
		;
	ip->gateway = json_strdup(conf->doc, ipaddr_text(&a, false, text));
	return ip->gateway ? 0 : error_oom(err);
}

static int add_default_route(struct cni_conf *conf, struct cni_result *r, const struct cni_ip *ip, struct error *err)
{
	const char *dst = strchr(ip->address, ':') ? "::/0" : "0.0.0.0/0";

	for (size_t i = 0; i < r->n_routes; i++)
		if (str_eq(r->routes[i].dst, dst))
			return 0;
	if (result_add_route(conf->doc, r, &(struct cni_route){.dst = dst, .gw = ip->gateway}) < 0)
		return error_oom(err);
	return 0;
}

static int plan_gateways(struct cni_conf *conf, const struct bridge_conf *b, struct cni_result *r, struct error *err)
{
	int code = 0;

	for (size_t i = 0; code == 0 && b->is_gateway && i < r->n_ips; i++) {
		code = default_gateway(conf, &r->ips[i], err);
		if (code == 0 && b->is_default_gateway)
			code = add_default_route(conf, r, &r->ips[i], err);
	}
	return code;
}

struct addresses {
	struct ipaddr want; /* with the subnet's prefix */
	bool there;
	struct ipaddr other; /* one that is in the way */
};

/* One IPv4 address, and IPv6 addresses of disjoint subnets, live together on a bridge. */
static int compare_address(const struct addr_info *a, void *arg)
{
	struct addresses *s = arg;

	if (a->addr.family != s->want.family || a->scope == RT_SCOPE_LINK)
		return 0;
	if (ipaddr_equal(&a->addr, &s->want) && a->addr.prefix == s->want.prefix)
		s->there = true;
	else if (s->want.family == AF_INET || ipaddr_contains(&a->addr, &s->want) || ipaddr_contains(&s->want, &a->addr))
		s->other = a->addr;
	return 0;
}

struct ports {
	int bridge, own, n;
};

static int count_port(const struct link_info *l, void *arg)
{
	struct ports *p = arg;

	p->n += l->master == p->bridge && l->index != p->own;
	return 0;
}

/* Another address may go when that is asked for, or when nobody else is on the bridge to use it. */
static int replace_address(struct rtnl *host, const struct bridge_conf *b, int bridge, int own_port, const struct addresses *s,
			   struct error *err)
{
	struct ports p = {.bridge = bridge, .own = own_port};
	char have[IPADDR_TEXT_SIZE], want[IPADDR_TEXT_SIZE];
	int code = b->force_address ? 0 : rtnl_link_list(host, count_port, &p, err);

	if (code < 0)
		return code;
	if (p.n > 0)
		return error_set(err, CNI_PLUGIN,
				 "%s already has an IP address different from %s: %s (forceAddress replaces it)", b->bridge,
				 ipaddr_text(&s->want, true, want), ipaddr_text(&s->other, true, have));
	return rtnl_addr_del(host, &(struct addr_req){.index = bridge, .addr = s->other}, err);
}

static int ensure_address(struct rtnl *host, const struct bridge_conf *b, int bridge, bool fresh, int own_port,
			  const struct cni_ip *ip, struct error *err)
{
	struct ipaddr subnet;
	struct addresses s = {.there = false};
	int code = 0;

	if (ipaddr_parse(ip->address, &subnet) < 0 || ipaddr_parse(ip->gateway, &s.want) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "IPAM's gateway '%s' is no IP address", ip->gateway);
	s.want.prefix = subnet.prefix;
	if (!fresh)
		code = rtnl_addr_list(host, bridge, compare_address, &s, err);
	if (code == 0 && s.other.family && !s.there)
		code = replace_address(host, b, bridge, own_port, &s, err);
	if (code < 0 || s.there)
		return code;
	return rtnl_addr_add(host, &(struct addr_req){.index = bridge, .addr = s.want, .nodad = true}, err);
}

static int be_gateway(struct cni_call *call, const struct bridge_conf *b, int bridge, bool fresh, int own_port,
		      const struct cni_result *r, struct error *err)
{
	struct rtnl *host;
	int code = call_host(call, &host, err);

	for (size_t i = 0; code == 0 && b->is_gateway && i < r->n_ips; i++)
		code = ensure_address(host, b, bridge, fresh && i == 0, own_port, &r->ips[i], err);
	if (code == 0 && (b->is_gateway || b->ip_masq))
		code = iface_forward(call, r, err);
	return code;
}

/* --- add ----------------------------------------------------------------------------------------------------- */

static int run_ipam(struct cni_call *call, struct cni_conf *conf, struct cni_result *r, struct error *err)
{
	int code = ipam_add(call, conf, r, err);

	if (code == 0 && has_ipam(conf) && r->n_ips == 0)
		return error_set(err, CNI_PLUGIN, "IPAM plugin %s gave no address", json_get_text(conf->ipam, "type"));
	return code;
}

/* The host end may forward only when the kernel has noticed that the other is up: a first packet would be lost, and ARP
 * waits a second before it tries again. */
static void settle(struct rtnl *host, const struct bridge_conf *b, const struct veth *v)
{
	rtnl_link_settle(host, v->host.name);
	rtnl_link_settle(host, b->bridge);
}

/* What follows the pair. *r has IPAM's part afterwards. */
static int finish(struct cni_call *call, struct cni_conf *conf, const struct bridge_conf *b, const struct link_info *bridge,
		  bool fresh, const struct veth *v, struct cni_result *r, struct error *err)
{
	struct iface_how how = {.index = v->container_index, .dad = b->enable_dad};
	struct rtnl *host;
	int code = call_host(call, &host, err);

	if (code == 0)
		code = iface_refuse_ra(call, v->host.name, err);
	/* IPAM may ask somebody behind it. */
	if (code == 0 && !str_empty(b->uplink))
		code = uplink_add(host, bridge, b->uplink, err);
	if (code == 0)
		code = run_ipam(call, conf, r, err);
	if (code == 0)
		code = plan_gateways(conf, b, r, err);
	if (code == 0 && !b->no_container_interface)
		code = iface_setup(call, call->ifname, &how, r, err);
	if (code == 0)
		code = be_gateway(call, b, bridge->index, fresh, v->host.index, r, err);
	if (code == 0 && b->ip_masq)
		code = nft_masq_add(call, conf, r, err);
	if (code == 0 && !b->no_container_interface)
		settle(host, b, v);
	return code;
}

static int describe(struct cni_call *call, struct cni_conf *conf, const struct link_info *bridge, const struct veth *v,
		    const struct cni_result *ipam, struct cni_result *result, struct error *err)
{
	struct cni_interface i = {
		.name = json_strdup(conf->doc, bridge->name),
		.mac = iface_mac_text(conf->doc, bridge->mac),
		.mtu = bridge->mtu,
	};
	struct cni_result mine = {0};
	int code;

	if (!i.name || !i.mac || result_add_interface(conf->doc, &mine, &i) < 0)
		return error_oom(err);
	code = veth_result(call, conf, v, &mine, err);
	if (code < 0)
		return code;
	mine.ips = ipam->ips;
	mine.n_ips = ipam->n_ips;
	mine.routes = ipam->routes;
	mine.n_routes = ipam->n_routes;
	mine.dns = conf->has_dns ? conf->dns : ipam->dns;
	iface_number_ips(&mine, 2);
	return result_append(conf->doc, result, &mine) < 0 ? error_oom(err) : 0;
}

/* A bridge that was made for an attachment that failed goes again, unless somebody else has begun to use it, or may be
 * about to. */
static void discard_bridge(struct rtnl *host, const struct link_info *bridge)
{
	struct ports p = {.bridge = bridge->index};

	if (record_alone() && rtnl_link_list(host, count_port, &p, NULL) == 0 && p.n == 0)
		rtnl_link_del_name(host, bridge->name, NULL);
}

static int bridge_del(struct cni_call *call, struct cni_conf *conf, struct error *err);

static int bridge_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct cni_result ipam = {0};
	struct veth_want want = {.port = true};
	struct bridge_conf b;
	struct link_info bridge;
	struct veth v;
	struct rtnl *host;
	uint8_t mac[6];
	bool made;
	int code = load(conf, &b, err);

	if (code == 0)
		code = refuse(conf, &b, err);
	if (code == 0)
		code = iface_wanted_mac(call, conf, b.mac, mac, err);
	if (code > 0)
		want.mac = mac;
	if (code >= 0)
		code = call_host(call, &host, err);
	if (code == 0)
		code = ensure_bridge(call, host, &b, &bridge, &made, err);
	if (code < 0)
		return code;
	want.mtu = b.mtu;
	want.master = bridge.index;
	want.hairpin = b.hairpin;
	want.isolated = b.isolated;
	code = veth_add(call, conf, &want, &v, err);
	if (code == 0) {
		code = finish(call, conf, &b, &bridge, made, &v, &ipam, err);
		if (code == 0)
			code = describe(call, conf, &bridge, &v, &ipam, result, err);
		if (code < 0)
			bridge_del(call, conf, NULL);
	}
	if (code < 0 && made)
		discard_bridge(host, &bridge);
	return code;
}

/* --- del, check, gc, status ---------------------------------------------------------------------------------- */

/* Each step is done whatever became of the others; the first failure is told. The lease goes last: an address must not be
 * given away while its old owner can still be reached. */
static int release_uplink(struct cni_call *call, const struct cni_conf *conf, struct error *err)
{
	struct bridge_conf b;
	struct rtnl *host;
	int code;

	if (call->host_fd < 0 || load(conf, &b, NULL) < 0 || str_empty(b.uplink))
		return 0;
	code = call_host(call, &host, err);
	return code < 0 ? code : uplink_release_unused(host, err);
}

static int bridge_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int code = veth_del(call, conf, err), next;

	next = release_uplink(call, conf, code < 0 ? NULL : err);
	code = code < 0 ? code : next;
	next = call->host_fd < 0 ? 0 : nft_del(call, conf, NFT_MASQ, code < 0 ? NULL : err);
	code = code < 0 ? code : next;
	next = ipam_del(call, conf, code < 0 ? NULL : err);
	return code < 0 ? code : next;
}

static int bridge_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct bridge_conf b;
	struct link_info bridge;
	struct rtnl *host;
	int code = load(conf, &b, err);

	if (code == 0)
		code = call_host(call, &host, err);
	if (code == 0)
		code = rtnl_link_get(host, b.bridge, &bridge, err);
	if (code == 0 && !str_eq(bridge.kind, "bridge"))
		code = error_set(err, CNI_PLUGIN, "%s is no bridge", b.bridge);
	if (code == 0 && !str_empty(b.uplink))
		code = uplink_check(host, &bridge, b.uplink, err);
	if (code == 0)
		code = veth_check(call, conf, bridge.index, err);
	if (code == 0)
		code = iface_check(call, conf, "veth", err);
	if (code == 0 && b.ip_masq)
		code = nft_check(call, conf, NFT_MASQ, err);
	return code < 0 ? code : ipam_check(call, conf, err);
}

static int bridge_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int code = veth_gc(call, conf, err), next;

	next = release_uplink(call, conf, code < 0 ? NULL : err);
	code = code < 0 ? code : next;
	next = nft_gc(call, conf, NFT_MASQ, code < 0 ? NULL : err);
	code = code < 0 ? code : next;
	next = ipam_gc(call, conf, code < 0 ? NULL : err);
	return code < 0 ? code : next;
}

const struct plugin plugin_bridge = {
	.type = "bridge",
	.add = bridge_add,
	.del = bridge_del,
	.check = bridge_check,
	.gc = bridge_gc,
	.status = ipam_status,
};
