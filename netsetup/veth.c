#include "veth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "iface.h"
#include "str.h"

static void host_name(const struct cni_call *call, const struct cni_conf *conf, char out[IFNAMSIZ])
{
	call_link_name(call, conf, "veth", out);
}

/* --- add ----------------------------------------------------------------------------------------------------- */

static int create(struct cni_call *call, struct cni_conf *conf, const struct veth_want *want, struct veth *v,
		  struct error *err)
{
	char owner[CALL_OWNER_SIZE], name[IFNAMSIZ];
	uint8_t host_mac[6];
	struct rtnl *host;
	struct link_req l = {
		.kind = "veth",
		.name = name,
		.mac = host_mac,
		.mtu = want->mtu,
		.master = want->master,
		.flags_on = IFF_UP,
		.one_queue = true,
		.no_addrgen = want->port,
		.peer_name = call->ifname,
		.peer_mac = v->container_mac,
		.peer_netns_fd = call->netns_fd,
		.set_peer_netns = true,
		.hairpin = want->hairpin,
		.set_hairpin = want->hairpin,
		.isolated = want->isolated,
		.set_isolated = want->isolated,
	};
	int code = call_host(call, &host, err);

	if (code < 0)
		return code;
	host_name(call, conf, name);
	/* A MAC of the kernel's own choosing would be changed by systemd-udevd under our hands. */
	mac_random(host_mac);
	l.alias = call_owner(call, conf, owner);
	code = rtnl_link_add(host, &l, &v->host, err);
	if (code == 0)
		v->container_index = v->host.parent;
	return code;
}

/* EEXIST tells not which of the two names is taken. The container's is the caller's error. Ours is what is left of an
 * attachment whose container end has been renamed or moved: made again, it replaces that. */
static int clear_way(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	char name[IFNAMSIZ], owner[CALL_OWNER_SIZE];
	struct rtnl *host, *container;
	struct link_info l;
	int code = call_container(call, &container, err);

	if (code == 0)
		code = call_host(call, &host, err);
	if (code < 0)
		return code;
	if (rtnl_link_get(container, call->ifname, &l, NULL) == 0)
		return error_set(err, CNI_PLUGIN, "the container has an interface %s already", call->ifname);
	host_name(call, conf, name);
	code = rtnl_link_get(host, name, &l, err);
	if (code == -ENODEV)
		return 0;
	if (code == 0 && !str_eq(l.alias, call_owner(call, conf, owner)))
		return error_set(err, CNI_PLUGIN, "the interface %s, which the host's end should become, belongs to '%s'", name,
				 l.alias);
	return code < 0 ? code : rtnl_link_del_name(host, name, err);
}

int veth_add(struct cni_call *call, struct cni_conf *conf, const struct veth_want *want, struct veth *ret,
	     struct error *err)
{
	struct veth v = {.container_index = 0};
	int code;

	if (want->mac)
		memcpy(v.container_mac, want->mac, 6);
	else
		mac_random(v.container_mac);
	code = create(call, conf, want, &v, err);
	if (code == -EEXIST) {
		code = clear_way(call, conf, err);
		if (code == 0)
			code = create(call, conf, want, &v, err);
	}
	if (code == -EXFULL)
		return error_set(err, CNI_NOT_AVAILABLE, "the bridge has no free port (the kernel's limit is 1023)");
	if (code < 0)
		return code;
	*ret = v;
	return 0;
}

int veth_result(struct cni_call *call, struct cni_conf *conf, const struct veth *v, struct cni_result *r,
		struct error *err)
{
	struct cni_interface host = {
		.name = json_strdup(conf->doc, v->host.name),
		.mac = iface_mac_text(conf->doc, v->host.mac),
		.mtu = v->host.mtu,
	};
	struct cni_interface container = {
		.name = call->ifname,
		.mac = iface_mac_text(conf->doc, v->container_mac),
		.mtu = v->host.mtu,
		.sandbox = call->netns,
	};

	if (!host.name || !host.mac || !container.mac || result_add_interface(conf->doc, r, &host) < 0 ||
	    result_add_interface(conf->doc, r, &container) < 0)
		return error_oom(err);
	return 0;
}

/* --- del ----------------------------------------------------------------------------------------------------- */

/* One that another implementation made has another name on the host; the result tells it is that. */
static int delete_container_end(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	const struct cni_result *r = &conf->prev_result;
	struct rtnl *container;
	struct link_info l;
	uint8_t mac[6];

	if (call->netns_fd < 0 || !conf->has_prev_result)
		return 0;
	for (size_t i = 0; i < r->n_interfaces; i++) {
		const struct cni_interface *f = &r->interfaces[i];

		if (str_empty(f->sandbox) || !str_eq(f->name, call->ifname) || str_empty(f->mac) || mac_parse(f->mac, mac) < 0)
			continue;
		if (call_container(call, &container, err) < 0 || rtnl_link_get(container, call->ifname, &l, NULL) < 0)
			return 0;
		if (str_eq(l.kind, "veth") && l.has_mac && memcmp(l.mac, mac, 6) == 0)
			return rtnl_link_del_name(container, call->ifname, err);
	}
	return 0;
}

int veth_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	char name[IFNAMSIZ];
	struct rtnl *host;
	int code;

	/* The host side's namespace has taken its end along, and the other with it. */
	if (call->host_fd < 0)
		return 0;
	code = call_host(call, &host, err);
	if (code < 0)
		return code;
	host_name(call, conf, name);
	code = rtnl_link_del_name(host, name, err);
	return code == -ENODEV ? delete_container_end(call, conf, err) : code;
}

/* --- check, gc ----------------------------------------------------------------------------------------------- */

int veth_check(struct cni_call *call, struct cni_conf *conf, int master, struct error *err)
{
	char name[IFNAMSIZ];
	struct link_info l;
	struct rtnl *host;
	int code = call_host(call, &host, err);

	if (code < 0)
		return code;
	host_name(call, conf, name);
	code = rtnl_link_get(host, name, &l, err);
	if (code < 0)
		return error_wrap(err, "the host's end of %s", call->ifname);
	if (!(l.flags & IFF_UP))
		return error_set(err, CNI_PLUGIN, "%s, the host's end of %s, is down", name, call->ifname);
	if (master && l.master != master)
		return error_set(err, CNI_PLUGIN, "%s, the host's end of %s, is no port of the bridge", name, call->ifname);
	return 0;
}

int veth_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct rtnl *host;
	int code = call_host(call, &host, err);

	return code < 0 ? code : iface_gc(host, conf, "veth", err);
}
