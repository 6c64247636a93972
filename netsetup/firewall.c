/* firewall: forwarding from and to the container (ingressPolicy). The rules: nft_firewall.c. */
#include <errno.h>

#include "cleanup.h"
#include "netsetup.h"
#include "nft.h"
#include "str.h"

enum policy { POLICY_OPEN, POLICY_SAME_BRIDGE, POLICY_ISOLATED };
static const struct word policies[] = {
	{"", POLICY_OPEN},
	{"open", POLICY_OPEN},
	{"same-bridge", POLICY_SAME_BRIDGE},
	{"isolated", POLICY_ISOLATED},
	{NULL, 0},
};
/* Accepted as they are in everybody's configuration; there is one way here, the own nftables table. */
static const struct word backends[] = {{"", 0}, {"iptables", 0}, {"firewalld", 0}, {"nftables", 0}, {NULL, 0}};

struct conf {
	int policy, backend;
	const char *admin_chain, *zone;
};

static const struct json_field fields[] = {
	F_WORD(struct conf, "ingressPolicy", policy, policies, JSON_FOLD),
	F_WORD(struct conf, "backend", backend, backends, JSON_FOLD),
	F_STRING(struct conf, "iptablesAdminChainName", admin_chain, JSON_FOLD),
	F_STRING(struct conf, "firewalldZone", zone, JSON_FOLD),
	F_END,
};
static JSON_TYPE(conf_type, struct conf, fields);

static int load(const struct cni_conf *conf, struct conf *ret, struct error *err)
{
	int code = json_decode(conf->doc, conf->raw, &conf_type, ret, "firewall", err);

	return code < 0 ? conf_decode_error(code, err) : 0;
}

/* Ports of a bridge never speak through the forward hook with one another (unless br_netfilter is on); the bridge
 * itself must keep them apart. */
static int isolate_ports(struct cni_call *call, const struct cni_result *r, struct error *err)
{
	struct rtnl *host;
	int code = call_host(call, &host, err);

	for (size_t i = 0; code == 0 && i < r->n_interfaces; i++) {
		struct link_req req = {.isolated = true, .set_isolated = true};
		struct link_info link;

		if (!str_empty(r->interfaces[i].sandbox))
			continue;
		code = rtnl_link_get(host, r->interfaces[i].name, &link, err);
		if (code < 0 || !str_eq(link.slave_kind, "bridge"))
			continue;
		req.index = link.index;
		code = rtnl_link_set(host, &req, err);
	}
	return code;
}

static int firewall_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct conf c;
	int code = load(conf, &c, err);

	if (code < 0)
		return code;
	if (!conf->has_prev_result)
		return error_set(
			err, CNI_INVALID_CONFIG,
			"firewall needs a prevResult: it stands in a list, after the plugin that makes the interface");
	code = nft_firewall_add(call, conf, result, word_name(policies + 1, c.policy), err);
	if (code < 0 || c.policy != POLICY_ISOLATED)
		return code;
	code = isolate_ports(call, result, err);
	if (code < 0)
		nft_del(call, conf, NFT_FIREWALL, NULL);
	return code;
}

static int firewall_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return nft_del(call, conf, NFT_FIREWALL, err);
}

static int firewall_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	bool any = conf->has_prev_result && conf->prev_result.n_ips > 0;

	return any ? nft_check(call, conf, NFT_FIREWALL, err) : 0;
}

static int firewall_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return nft_gc(call, conf, NFT_FIREWALL, err);
}

const struct plugin plugin_firewall = {
	.type = "firewall",
	.add = firewall_add,
	.del = firewall_del,
	.check = firewall_check,
	.gc = firewall_gc,
};
