/* loopback: lo up, and addresses on it if an ipam section asks for some (a router's own). Its name is lo whatever the
 * runtime says, for some runtimes pass on that of the container's first interface. */
#include "iface.h"

#include <errno.h>
#include <linux/rtnetlink.h>

#include "str.h"

static int loopback_del(struct cni_call *call, struct cni_conf *conf, struct error *err);

static int describe(struct cni_call *call, struct cni_conf *conf, const struct cni_result *ipam, struct cni_result *result)
{
	struct cni_interface lo = {.name = "lo", .mac = "00:00:00:00:00:00", .sandbox = call->netns};
	struct cni_result mine = {0};
	int code = result_add_interface(conf->doc, &mine, &lo);

	if (code == 0)
		code = result_add_ip(conf->doc, &mine, &(struct cni_ip){.address = "127.0.0.1/8"});
	if (code == 0)
		code = result_add_ip(conf->doc, &mine, &(struct cni_ip){.address = "::1/128"});
	for (size_t i = 0; code == 0 && i < ipam->n_ips; i++)
		code = result_add_ip(conf->doc, &mine, &ipam->ips[i]);
	iface_number_ips(&mine, 0);
	return code < 0 ? code : result_append(conf->doc, result, &mine);
}

static int loopback_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct iface_how how = {.index = 1, .quiet = true};
	struct cni_result ipam = {0};
	int code = ipam_add(call, conf, &ipam, err);

	call->ifname = "lo";
	if (code == 0)
		code = iface_setup(call, "lo", &how, &ipam, err);
	/* Another plugin's result goes through as it is, unless there is something to add to it. */
	if (code == 0 && (!conf->has_prev_result || ipam.n_ips > 0) && describe(call, conf, &ipam, result) < 0)
		code = error_oom(err);
	if (code < 0)
		loopback_del(call, conf, NULL);
	return code;
}

/* Addresses on lo that are not the kernel's own. */
static int drop_address(const struct addr_info *a, void *arg)
{
	if (a->scope == RT_SCOPE_HOST || a->scope == RT_SCOPE_LINK)
		return 0;
	rtnl_addr_del(arg, &(struct addr_req){.index = a->index, .addr = a->addr}, NULL);
	return 0;
}

static int loopback_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct rtnl *n;
	int code = 0;

	if (call->netns_fd >= 0) {
		code = call_container(call, &n, err);
		if (code == 0 && conf->ipam)
			rtnl_addr_list(n, 1, drop_address, n, NULL);
		if (code == 0)
			code = rtnl_link_set(n, &(struct link_req){.index = 1, .flags_off = IFF_UP}, err);
	}
	return code < 0 ? code : ipam_del(call, conf, err);
}

static int loopback_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct link_info lo;
	struct rtnl *n;
	int code = call_container(call, &n, err);

	if (code == 0)
		code = rtnl_link_get_index(n, 1, &lo, err);
	if (code == 0 && !(lo.flags & IFF_UP))
		code = error_set(err, CNI_PLUGIN, "lo is down");
	return code < 0 ? code : ipam_check(call, conf, err);
}

const struct plugin plugin_loopback = {
	.type = "loopback",
	.add = loopback_add,
	.del = loopback_del,
	.check = loopback_check,
	.gc = ipam_gc,
	.status = ipam_status,
};
