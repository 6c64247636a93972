/* An interface inside the container: IPAM's answer made real, and verified.
 *
 * All of it goes to the kernel as one batch: announce, addresses, up, routes. Addresses come before "up", so that the kernel
 * announces them by gratuitous ARP when the device comes up; routes come after, for they need a device that is up. */
#include "iface.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fs.h"
#include "netns.h"
#include "str.h"

/* --- sysctl -------------------------------------------------------------------------------------------------- */

/* "net.ipv4.conf.eth0/1.arp_notify" -> "/proc/sys/net/ipv4/conf/eth0.1/arp_notify": sysctl(8)'s exchange, which is for names
 * whose first separator is a dot. */
int iface_sysctl_path(const char *key, char out[IFACE_SYSCTL_SIZE], struct error *err)
{
	size_t len = (size_t)snprintf(out, IFACE_SYSCTL_SIZE, "/proc/sys/%s", key);
	const char *separator = strpbrk(key, "./");

	if (len >= IFACE_SYSCTL_SIZE)
		return error_set(err, CNI_INVALID_CONFIG, "sysctl %s: the name is too long", key);
	if (separator && *separator == '.')
		for (char *p = out + strlen("/proc/sys/"); *p; p++)
			*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	if (strstr(out, "/../") || str_ends(out, "/..") || str_ends(out, "/"))
		return error_set(err, CNI_INVALID_CONFIG, "sysctl %s: this is no sysctl's name", key);
	return 0;
}

/* /proc/sys/net shows the namespace of the thread that opens. */
int iface_sysctl(struct cni_call *call, bool in_container, const char *key, const char *value, struct error *err)
{
	int fd = in_container ? call->netns_fd : call->host_fd, code;
	struct error back;
	char path[IFACE_SYSCTL_SIZE];

	code = iface_sysctl_path(key, path, err);
	if (code < 0)
		return code;
	if (fd < 0)
		return error_set(err, ENOENT, "cannot set sysctl %s: its network namespace is gone", key);
	if (fd == call->own_fd)
		return fs_write_at(AT_FDCWD, path, value, err);
	code = netns_enter(fd, err);
	if (code < 0)
		return code;
	code = fs_write_at(AT_FDCWD, path, value, err);
	if (netns_enter(call->own_fd, &back) < 0)
		return error_set(err, back.code, "cannot return to the own network namespace: %s", back.msg);
	return code;
}

static bool has_family(const struct cni_result *r, int family)
{
	for (size_t i = 0; i < r->n_ips; i++)
		if ((strchr(r->ips[i].address, ':') ? AF_INET6 : AF_INET) == family)
			return true;
	return false;
}

/* Kernels without IPv6 have no such files; an IPv6 address is refused there with a clear reason. */
static int ipv6_setting(struct cni_call *call, bool in_container, const char *ifname, const char *name, const char *value,
			struct error *err)
{
	char key[96], safe[IFNAMSIZ];
	int code;

	snprintf(safe, sizeof(safe), "%s", ifname);
	for (char *p = safe; *p; p++)
		*p = *p == '.' ? '/' : *p;
	snprintf(key, sizeof(key), "net.ipv6.conf.%s.%s", safe, name);
	code = iface_sysctl(call, in_container, key, value, err);
	return code == -ENOENT ? 0 : code;
}

static int prepare_ipv6(struct cni_call *call, const char *ifname, const struct iface_how *how, struct error *err)
{
	int code = ipv6_setting(call, true, ifname, "disable_ipv6", "0", err);

	if (code == 0)
		code = ipv6_setting(call, true, ifname, "keep_addr_on_down", "1", err);
	if (code == 0)
		code = ipv6_setting(call, true, ifname, how->dad ? "enhanced_dad" : "accept_dad", how->dad ? "1" : "0", err);
	return code;
}

int iface_refuse_ra(struct cni_call *call, const char *ifname, struct error *err)
{
	return ipv6_setting(call, false, ifname, "accept_ra", "0", err);
}

int iface_skip_dad(struct cni_call *call, const char *ifname, const struct cni_result *r, struct error *err)
{
	if (!has_family(r, AF_INET6))
		return 0;
	return ipv6_setting(call, false, ifname, "accept_dad", "0", err);
}

int iface_forward(struct cni_call *call, const struct cni_result *r, struct error *err)
{
	int code = 0;

	if (has_family(r, AF_INET))
		code = iface_sysctl(call, false, "net.ipv4.ip_forward", "1", err);
	if (code == 0 && has_family(r, AF_INET6))
		code = iface_sysctl(call, false, "net.ipv6.conf.all.forwarding", "1", err);
	return code;
}

/* --- addresses and routes ------------------------------------------------------------------------------------ */

static int parse(const char *text, const char *what, struct ipaddr *ret, struct error *err)
{
	if (ipaddr_parse(text, ret) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "%s '%s' is no IP address", what, text);
	return 0;
}

static int add_addresses(struct rtnl *n, int index, const struct iface_how *how, const struct cni_result *r,
			 struct error *err)
{
	for (size_t i = 0; i < r->n_ips; i++) {
		struct addr_req q = {.index = index, .nodad = !how->dad, .noprefixroute = how->gateway_only};
		int code = parse(r->ips[i].address, "IPAM's address", &q.addr, err);

		if (code == 0)
			code = rtnl_addr_add(n, &q, err);
		if (code < 0)
			return code;
	}
	return 0;
}

/* The gateway is on the link, the subnet behind it: two containers of one subnet reach each other through the host. */
static int add_gateway_routes(struct rtnl *n, int index, const struct cni_result *r, struct error *err)
{
	for (size_t i = 0; i < r->n_ips; i++) {
		struct route_req gateway = {.index = index, .scope = RT_SCOPE_LINK, .set_scope = true, .exists_ok = true},
				 subnet = {.index = index, .exists_ok = true};
		int code;

		if (str_empty(r->ips[i].gateway))
			continue;
		code = parse(r->ips[i].gateway, "IPAM's gateway", &gateway.dst, err);
		if (code == 0)
			code = parse(r->ips[i].address, "IPAM's address", &subnet.dst, err);
		if (code < 0)
			return code;
		gateway.dst.prefix = (uint8_t)(ipaddr_size(&gateway.dst) * 8);
		gateway.src = subnet.src = subnet.dst;
		subnet.via = gateway.dst;
		code = rtnl_route_add(n, &gateway, err);
		if (code == 0)
			code = rtnl_route_add(n, &subnet, err);
		if (code < 0)
			return code;
	}
	return 0;
}

static const char *first_gateway(const struct cni_result *r, int family)
{
	for (size_t i = 0; i < r->n_ips; i++)
		if (!str_empty(r->ips[i].gateway) && (strchr(r->ips[i].gateway, ':') ? AF_INET6 : AF_INET) == family)
			return r->ips[i].gateway;
	return NULL;
}

static int fill_route(const struct cni_route *r, const struct cni_result *of, int index, struct route_req *q,
		      struct error *err)
{
	const char *gw;
	int code;

	*q = (struct route_req){
		.index = index,
		.table = r->table,
		.set_table = r->has_table,
		.priority = r->priority,
		.mtu = r->mtu,
		.advmss = r->advmss,
		.scope = (uint8_t)r->scope,
		.set_scope = r->has_scope,
		.protocol = RTPROT_STATIC, /* configured; routing daemons do not take routes of "boot" for that */
		.append = true, /* several gateways for one destination: several next hops */
		.exists_ok = true,
	};
	code = parse(r->dst, "the route's destination", &q->dst, err);
	if (code < 0)
		return code;
	gw = str_empty(r->gw) ? first_gateway(of, q->dst.family) : r->gw;
	/* A route of link scope is to the link itself. */
	if (gw && !(r->has_scope && r->scope == RT_SCOPE_LINK && str_empty(r->gw)))
		code = parse(gw, "the route's gateway", &q->via, err);
	return code;
}

static int add_routes(struct rtnl *n, int index, const struct cni_result *r, struct error *err)
{
	for (size_t i = 0; i < r->n_routes; i++) {
		struct route_req q;
		int code = fill_route(&r->routes[i], r, index, &q, err);

		if (code == 0)
			code = rtnl_route_add(n, &q, err);
		if (code < 0)
			return code;
	}
	return 0;
}

static int queue_all(struct rtnl *n, int index, const struct iface_how *how, const struct cni_result *r,
		     struct error *err)
{
	int code = 0;

	if (!how->quiet)
		code = rtnl_link_set(n, &(struct link_req){.index = index, .arp_notify = true}, err);
	if (code == 0)
		code = add_addresses(n, index, how, r, err);
	if (code == 0)
		code = rtnl_link_set(n, &(struct link_req){.index = index, .flags_on = IFF_UP}, err);
	if (code == 0 && how->gateway_only)
		code = add_gateway_routes(n, index, r, err);
	if (code == 0)
		code = add_routes(n, index, r, err);
	return code;
}

int iface_setup(struct cni_call *call, const char *ifname, const struct iface_how *how, const struct cni_result *r,
		struct error *err)
{
	struct link_info link = {.index = how->index};
	struct rtnl *n;
	int code = call_container(call, &n, err), sent;

	if (code == 0 && link.index == 0)
		code = rtnl_link_get(n, ifname, &link, err);
	if (code == 0 && has_family(r, AF_INET6))
		code = prepare_ipv6(call, ifname, how, err);
	if (code < 0)
		return code;
	rtnl_batch(n);
	code = queue_all(n, link.index, how, r, err);
	sent = rtnl_commit(n, code < 0 ? NULL : err);
	if (code == 0)
		code = sent;
	return code < 0 ? error_wrap(err, "%s", ifname) : 0;
}

int iface_configure(struct cni_call *call, const char *ifname, const struct cni_result *r, struct error *err)
{
	return iface_setup(call, ifname, &(struct iface_how){.index = 0}, r, err);
}

void iface_number_ips(struct cni_result *r, int32_t interface)
{
	for (size_t i = 0; i < r->n_ips; i++) {
		r->ips[i].interface = interface;
		r->ips[i].has_interface = true;
	}
}

/* --- MAC ----------------------------------------------------------------------------------------------------- */

int iface_wanted_mac(const struct cni_call *call, const struct cni_conf *conf, const char *conf_mac, uint8_t mac[6],
		     struct error *err)
{
	const struct {
		const char *where, *value;
	} sources[] = {
		{"runtimeConfig.mac", json_get_text(conf->runtime_config, "mac")},
		{"args.cni.mac", json_get_text(conf->args_cni, "mac")},
		{"CNI_ARGS MAC", call_arg(call, "MAC")},
		{"mac", conf_mac},
	};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if (str_empty(sources[i].value))
			continue;
		if (mac_parse(sources[i].value, mac) < 0 || (mac[0] & 1))
			return error_set(err, CNI_INVALID_CONFIG, "%s: '%s' is no MAC address of one interface",
					 sources[i].where, sources[i].value);
		return 1;
	}
	return 0;
}

const char *iface_mac_text(struct json_doc *doc, const uint8_t mac[6])
{
	char text[MAC_TEXT_SIZE];

	return json_strdup(doc, mac_text(mac, text));
}

/* --- gc ------------------------------------------------------------------------------------------------------ */

struct stale {
	const struct cni_conf *conf;
	const char *kind;
	char **names;
};

static int find_stale(const struct link_info *l, void *arg)
{
	struct stale *s = arg;
	struct owner o;

	if (!str_eq(l->kind, s->kind) || !call_owner_split(l->alias, &o))
		return 0;
	if (s->conf->name && !str_eq(s->conf->name, o.network))
		return 0;
	if (conf_attachment_valid(s->conf, o.container_id, o.ifname))
		return 0;
	return strv_add(&s->names, l->name);
}

int iface_gc(struct rtnl *r, const struct cni_conf *conf, const char *kind, struct error *err)
{
	struct stale s = {.conf = conf, .kind = kind};
	int code = rtnl_link_list(r, find_stale, &s, err), one;

	for (char **name = s.names; name && *name; name++) {
		one = rtnl_link_del_name(r, *name, code == 0 ? err : NULL);
		if (one < 0 && one != -ENODEV && code == 0)
			code = one;
	}
	strv_free(s.names);
	return code;
}
