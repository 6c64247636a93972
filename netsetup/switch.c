/* switch (ours): a bridge inside the container, named as the interface; a gateway's side towards its clients. Others are
 * plugged into it by `bridge` with hostNetns. */
#include "iface.h"

#include <errno.h>

#include "str.h"

struct switch_conf {
	const char *mac;
	uint32_t mtu;
};
static const struct json_field switch_fields[] = {
	F_STRING(struct switch_conf, "mac", mac, JSON_FOLD),
	F_U32(struct switch_conf, "mtu", mtu, JSON_FOLD),
	F_END,
};
static JSON_TYPE(switch_type, struct switch_conf, switch_fields);

/* Made in the container's namespace, it is that namespace's in every respect, and goes with it. */
static int create(struct cni_call *call, struct cni_conf *conf, struct link_info *ret, struct error *err)
{
	char owner[CALL_OWNER_SIZE];
	struct switch_conf s;
	struct link_req l = {.kind = "bridge", .name = call->ifname, .no_stp_delay = true};
	struct rtnl *n;
	uint8_t mac[6];
	int code = conf_decode_error(json_decode(conf->doc, conf->raw, &switch_type, &s, "switch", err), err);

	if (code == 0)
		code = iface_wanted_mac(call, conf, s.mac, mac, err);
	if (code == 0)
		mac_random(mac);
	if (code >= 0)
		code = call_container(call, &n, err);
	if (code < 0)
		return code;
	l.mac = mac;
	l.mtu = s.mtu;
	l.alias = call_owner(call, conf, owner);
	code = rtnl_link_add(n, &l, ret, err);
	if (code == -EEXIST)
		return error_set(err, CNI_PLUGIN, "the container has an interface %s already", call->ifname);
	return code;
}

static int switch_del(struct cni_call *call, struct cni_conf *conf, struct error *err);

static int switch_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct cni_result mine = {0};
	struct cni_interface i = {.name = call->ifname, .sandbox = call->netns};
	struct link_info bridge;
	int code = create(call, conf, &bridge, err);

	if (code < 0)
		return code;
	i.mac = iface_mac_text(conf->doc, bridge.mac);
	i.mtu = bridge.mtu;
	code = ipam_add(call, conf, &mine, err);
	if (code == 0)
		code = iface_setup(call, call->ifname, &(struct iface_how){.index = bridge.index}, &mine, err);
	iface_number_ips(&mine, 0);
	if (conf->has_dns)
		mine.dns = conf->dns;
	/* IPAM may have described interfaces of its own idea; there is only this one. */
	mine.n_interfaces = 0;
	if (code == 0 && (!i.mac || result_add_interface(conf->doc, &mine, &i) < 0 ||
			  result_append(conf->doc, result, &mine) < 0))
		code = error_oom(err);
	if (code < 0)
		switch_del(call, conf, NULL);
	return code;
}

static int switch_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	char owner[CALL_OWNER_SIZE];
	struct link_info l;
	struct rtnl *n;
	int code = 0, next;

	if (call->netns_fd >= 0) {
		code = call_container(call, &n, err);
		/* Only what is ours: the name may be another's by now. */
		if (code == 0 && rtnl_link_get(n, call->ifname, &l, NULL) == 0 &&
		    str_eq(l.alias, call_owner(call, conf, owner)))
			code = rtnl_link_del_name(n, call->ifname, err);
		if (code == -ENODEV)
			code = 0;
	}
	next = ipam_del(call, conf, code < 0 ? NULL : err);
	return code < 0 ? code : next;
}

static int switch_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int code = iface_check(call, conf, "bridge", err);

	return code < 0 ? code : ipam_check(call, conf, err);
}

const struct plugin plugin_switch = {
	.type = "switch",
	.add = switch_add,
	.del = switch_del,
	.check = switch_check,
	.gc = ipam_gc,
	.status = ipam_status,
};
