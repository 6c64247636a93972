/* Masquerading: what leaves a container's own network seems to come from the host.
 *
 *   chain masq        what comes from an address in masq4 goes to chain masq4
 *   chain masq4       jumps to the chains of all prefix lengths; what comes back is masqueraded
 *   chain masq4-24    what goes to the container's own network, (address, network) in masq-own4, is accepted as it is
 *
 * So the rules' number follows the prefix lengths in use, not the containers. */
#include "nft.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "nft_expr.h"
#include "nft_plan.h"

/* Multicast is for the neighbours on the link, who must see who really sent it. */
static void skip_multicast(struct nft_batch *b, const char *chain, int family)
{
	static const uint8_t group4[4] = {224}, group6[1] = {0xff};
	struct nft_rule r = nft_rule_begin(chain, "multicast's rule of chain masq");

	nft_if_family(&r, family);
	if (family == AF_INET6) {
		nft_if_addr(&r, family, false, group6, sizeof(group6));
	} else {
		nft_load_addr(&r, family, false, R(0));
		nft_mask_prefix(&r, R(0), 4, 4);
		nft_compare(&r, R(0), NFT_CMP_EQ, group4, sizeof(group4));
	}
	nft_verdict(&r, NFT_RETURN, NULL);
	nft_rule_end(&r, b);
}

static void look_up_source(struct nft_batch *b, const char *chain, int family)
{
	struct nft_rule r = nft_rule_begin(chain, "a rule of chain masq");

	nft_if_family(&r, family);
	nft_load_addr(&r, family, true, R(0));
	nft_if_in_set(&r, nft_sets[family == AF_INET6 ? NFT_MASQ6 : NFT_MASQ4].name, R(0));
	nft_verdict(&r, NFT_GOTO, family == AF_INET6 ? "masq6" : "masq4");
	nft_rule_end(&r, b);
}

static void masq_rules(struct nft_batch *b, const char *chain)
{
	skip_multicast(b, chain, AF_INET);
	look_up_source(b, chain, AF_INET);
	skip_multicast(b, chain, AF_INET6);
	look_up_source(b, chain, AF_INET6);
}

/* The end of masq4 and masq6; jumps are inserted before it. */
static void masq_family_rules(struct nft_batch *b, const char *chain)
{
	struct nft_rule r = nft_rule_begin(chain, "the masquerade rule");

	nft_masquerade(&r);
	nft_rule_end(&r, b);
}

static void masq_net_rules(struct nft_batch *b, const char *chain, int family, unsigned prefix_len)
{
	uint32_t size = family == AF_INET6 ? 16 : 4;
	struct nft_rule r = nft_rule_begin(chain, "the own network's rule of a masq chain");

	nft_if_family(&r, family);
	nft_load_addr(&r, family, true, R(0));
	nft_load_addr(&r, family, false, R(size / 4));
	nft_mask_prefix(&r, R(size / 4), size, prefix_len);
	nft_if_in_set(&r, nft_sets[family == AF_INET6 ? NFT_MASQ_OWN6 : NFT_MASQ_OWN4].name, R(0));
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r, b);
}

/* After srcnat itself, so that whoever is there (kube-proxy) decides first. */
static const struct nft_chain chains[] = {
	{"masq4", NULL, 0, 0, 1, masq_family_rules},
	{"masq6", NULL, 0, 0, 1, masq_family_rules},
	{"masq", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC + 5, 4, masq_rules},
};
static const struct nft_net_chain net_chains[] = {
	{"masq4-", "masq4", AF_INET, 1, masq_net_rules},
	{"masq6-", "masq6", AF_INET6, 1, masq_net_rules},
};
const struct nft_group nft_group_masq = {NFT_MASQ, chains, ARRAY_SIZE(chains), net_chains, ARRAY_SIZE(net_chains)};

int nft_masq_add(struct cni_call *call, struct cni_conf *conf, const struct cni_result *r, struct error *err)
{
	auto_nft struct nft_socket s = {.fd = -1};
	auto_plan struct nft_plan p = {0};
	int code;

	nft_plan_start(&p, NFT_MASQ, call, conf);
	for (size_t i = 0; i < r->n_ips; i++) {
		struct ipaddr a;

		if (ipaddr_parse(r->ips[i].address, &a) < 0)
			return error_set(err, CNI_INVALID_CONFIG, "cannot masquerade '%s': not an IP address",
					 r->ips[i].address);
		nft_plan_network(&p, NFT_MASQ4, NFT_MASQ_OWN4, a.family == AF_INET6 ? "masq6-" : "masq4-", &a);
	}
	code = nft_open(call->host_fd, &s, err);
	return code < 0 ? code : nft_plan_run(&s, &p, err);
}
