/* Forwarding: the containers' addresses are let through, and bridges under a policy are kept apart.
 *
 *   chain forward   answers to a container are accepted; between two bridges of the set `bridges` nothing passes,
 *                   except within one bridge of the set `same-bridge`; what a container sends is accepted
 *
 * To accept here ends this chain only: a drop in another table (docker's policy, the host's own firewall) still
 * drops. */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_ipv4.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "nft_expr.h"
#include "nft_plan.h"
#include "str.h"

static void accept_answers(struct nft_batch *b, const char *chain, int family)
{
	struct nft_rule r = nft_rule_begin(chain, "a rule for answers of chain forward");
	/* nft's "established,related": one bit for each state, after the one for "invalid". */
	static const uint32_t states = 1u << (IP_CT_ESTABLISHED + 1) | 1u << (IP_CT_RELATED + 1), none = 0;

	nft_if_family(&r, family);
	nft_load_addr(&r, family, false, R(0));
	nft_if_in_set(&r, nft_sets[family == AF_INET6 ? NFT_FORWARD6 : NFT_FORWARD4].name, R(0));
	nft_load_ct(&r, NFT_CT_STATE, R(0));
	nft_mask_u32(&r, R(0), states);
	nft_compare(&r, R(0), NFT_CMP_NEQ, &none, sizeof(none));
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r, b);
}

static void accept_source(struct nft_batch *b, const char *chain, int family)
{
	struct nft_rule r = nft_rule_begin(chain, "a rule for containers of chain forward");

	nft_if_family(&r, family);
	nft_load_addr(&r, family, true, R(0));
	nft_if_in_set(&r, nft_sets[family == AF_INET6 ? NFT_FORWARD6 : NFT_FORWARD4].name, R(0));
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r, b);
}

static void part_bridges(struct nft_batch *b, const char *chain)
{
	struct nft_rule r = nft_rule_begin(chain, "the same-bridge rule of chain forward");

	nft_load_meta(&r, NFT_META_IIFNAME, R(0));
	nft_load_meta(&r, NFT_META_OIFNAME, R(4));
	nft_if_in_set(&r, nft_sets[NFT_SAME_BRIDGE].name, R(0));
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r, b);
	r = nft_rule_begin(chain, "the rule between bridges of chain forward");
	nft_load_meta(&r, NFT_META_IIFNAME, R(0));
	nft_if_in_set(&r, nft_sets[NFT_BRIDGES].name, R(0));
	nft_load_meta(&r, NFT_META_OIFNAME, R(0));
	nft_if_in_set(&r, nft_sets[NFT_BRIDGES].name, R(0));
	nft_verdict(&r, NF_DROP, NULL);
	nft_rule_end(&r, b);
}

static void forward_rules(struct nft_batch *b, const char *chain)
{
	accept_answers(b, chain, AF_INET);
	accept_answers(b, chain, AF_INET6);
	part_bridges(b, chain);
	accept_source(b, chain, AF_INET);
	accept_source(b, chain, AF_INET6);
}

static const struct nft_chain chains[] = {
	{"forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER, 6, forward_rules},
};
const struct nft_group nft_group_firewall = {NFT_FIREWALL, chains, ARRAY_SIZE(chains), NULL, 0};

/* The bridge (or the host's end of a veth): the first interface that is not in the container. */
static const char *host_interface(const struct cni_result *r)
{
	for (size_t i = 0; i < r->n_interfaces; i++)
		if (str_empty(r->interfaces[i].sandbox) && !str_empty(r->interfaces[i].name))
			return r->interfaces[i].name;
	return NULL;
}

static int plan_policy(struct nft_plan *p, const struct cni_result *r, const char *policy, struct error *err)
{
	const char *bridge = host_interface(r);
	uint8_t pair[2 * IFNAMSIZ] = {0};

	if (str_empty(policy) || str_eq(policy, "open"))
		return 0;
	if (!bridge || strlen(bridge) >= IFNAMSIZ)
		return error_set(
			err, CNI_INVALID_CONFIG,
			"ingressPolicy %s needs a bridge in prevResult: put firewall after the bridge plugin",
			policy);
	memcpy(pair, bridge, strlen(bridge));
	memcpy(pair + IFNAMSIZ, bridge, strlen(bridge));
	nft_plan_add(p, NFT_BRIDGES, pair, NULL);
	if (str_eq(policy, "same-bridge"))
		nft_plan_add(p, NFT_SAME_BRIDGE, pair, NULL);
	return 0;
}

int nft_firewall_add(struct cni_call *call, struct cni_conf *conf, const struct cni_result *r, const char *policy,
		     struct error *err)
{
	auto_nft struct nft_socket s = {.fd = -1};
	auto_plan struct nft_plan p = {0};
	int code;

	nft_plan_start(&p, NFT_FIREWALL, call, conf);
	for (size_t i = 0; i < r->n_ips; i++) {
		struct ipaddr a;

		if (ipaddr_parse(r->ips[i].address, &a) < 0)
			return error_set(err, CNI_INVALID_CONFIG, "cannot let '%s' through: not an IP address",
					 r->ips[i].address);
		nft_plan_add(&p, a.family == AF_INET6 ? NFT_FORWARD6 : NFT_FORWARD4, a.bytes, NULL);
	}
	code = plan_policy(&p, r, policy, err);
	if (code == 0)
		code = nft_open(call->host_fd, &s, err);
	return code < 0 ? code : nft_plan_run(&s, &p, err);
}
