/* Port maps: connections to a port of the host lead to a port of the container.
 *
 *   chains portmap-pre, portmap-out   what is addressed to the host itself (fib: local), from outside and from the host
 *   chain portmap                     (protocol, port, address), then (protocol, port) -> container's address and port
 *   chain portmap-post                of what was so mapped, to addresses in hairpin4: go to chain hairpin4
 *   chain hairpin4, hairpin4-24, ...  masquerade what comes from 127/8 or from the container's own network ((address,
 *                                     network) in hairpin-own4), whose answers would not come back through the host
 *   chain portmap-guard               127/8 from the wire is dropped: route_localnet would let it in
 *
 * The fib test stands before every lookup: a packet that is only passing through keeps its destination, whatever
 * its port (CVE-2025-67499). Priorities are behind dstnat itself, so that a service address of Kubernetes is
 * decided by kube-proxy before a port map of the same number is looked at (CVE-2019-9946). */
#include "nft_portmap.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_ipv4.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "nft_expr.h"
#include "nft_plan.h"
#include "portmap.h"
#include "str.h"

static const uint8_t loopback4[1] = {127};
static const uint8_t loopback6[16] = {[15] = 1};

static bool is6(int family)
{
	return family == AF_INET6;
}

/* --- rules ---------------------------------------------------------------------------------------------------- */

/* (protocol, port) in R(0) and R(1): what every key starts with. */
static void load_port(struct nft_rule *r)
{
	nft_load_meta(r, NFT_META_L4PROTO, R(0));
	nft_load_dport(r, R(1));
}

static void put_dnat(struct nft_batch *b, const char *chain, int family, bool with_address)
{
	struct nft_rule r = nft_rule_begin(chain, "a rule of chain portmap");
	int base = with_address ? NFT_PORT_AT4 : NFT_PORT4;

	nft_if_family(&r, family);
	load_port(&r);
	if (with_address)
		nft_load_addr(&r, family, false, R(2));
	nft_map(&r, nft_sets[base + is6(family)].name, R(0), R(0));
	nft_dnat(&r, family, R(0), is6(family) ? R(4) : R(1));
	nft_rule_end(&r, b);
}

static void portmap_rules(struct nft_batch *b, const char *chain)
{
	put_dnat(b, chain, AF_INET, true);
	put_dnat(b, chain, AF_INET, false);
	put_dnat(b, chain, AF_INET6, true);
	put_dnat(b, chain, AF_INET6, false);
}

static void put_jump(struct nft_batch *b, const char *chain)
{
	struct nft_rule r = nft_rule_begin(chain, "the jump to chain portmap");

	nft_if_local_destination(&r);
	nft_verdict(&r, NFT_JUMP, "portmap");
	nft_rule_end(&r, b);
}

static void pre_rules(struct nft_batch *b, const char *chain)
{
	put_jump(b, chain);
}

/* To 127/8 only where answers find back, which needs snat; there is no route_localnet for IPv6, so ::1 stays the
 * host's. */
static void out_rules(struct nft_batch *b, const char *chain)
{
	struct nft_rule r = nft_rule_begin(chain, "the rule for 127.0.0.0/8 of chain portmap-out");

	nft_if_family(&r, AF_INET);
	nft_if_addr(&r, AF_INET, false, loopback4, sizeof(loopback4));
	load_port(&r);
	nft_if_in_set(&r, nft_sets[NFT_PORT_NOLOCAL].name, R(0));
	nft_verdict(&r, NFT_RETURN, NULL);
	nft_rule_end(&r, b);
	r = nft_rule_begin(chain, "the rule for ::1 of chain portmap-out");
	nft_if_family(&r, AF_INET6);
	nft_if_addr(&r, AF_INET6, false, loopback6, sizeof(loopback6));
	nft_verdict(&r, NFT_RETURN, NULL);
	nft_rule_end(&r, b);
	put_jump(b, chain);
}

static void look_up_target(struct nft_batch *b, const char *chain, int family)
{
	struct nft_rule r = nft_rule_begin(chain, "a rule of chain portmap-post");

	nft_if_family(&r, family);
	nft_load_addr(&r, family, false, R(0));
	nft_if_in_set(&r, nft_sets[NFT_HAIRPIN_ALL4 + is6(family)].name, R(0));
	nft_masquerade(&r);
	nft_rule_end(&r, b);
	r = nft_rule_begin(chain, "a rule of chain portmap-post");
	nft_if_family(&r, family);
	nft_load_addr(&r, family, false, R(0));
	nft_if_in_set(&r, nft_sets[NFT_HAIRPIN4 + is6(family)].name, R(0));
	nft_verdict(&r, NFT_GOTO, is6(family) ? "hairpin6" : "hairpin4");
	nft_rule_end(&r, b);
}

/* Only connections that were mapped: with br_netfilter, neighbours' direct traffic comes along here too. */
static void post_rules(struct nft_batch *b, const char *chain)
{
	struct nft_rule r = nft_rule_begin(chain, "the first rule of chain portmap-post");
	static const uint32_t none = 0;

	nft_load_ct(&r, NFT_CT_STATUS, R(0));
	nft_mask_u32(&r, R(0), IPS_DST_NAT);
	nft_compare(&r, R(0), NFT_CMP_EQ, &none, sizeof(none));
	nft_verdict(&r, NFT_RETURN, NULL);
	nft_rule_end(&r, b);
	look_up_target(b, chain, AF_INET);
	look_up_target(b, chain, AF_INET6);
}

static void hairpin4_rules(struct nft_batch *b, const char *chain)
{
	struct nft_rule r = nft_rule_begin(chain, "the rule for 127.0.0.0/8 of chain hairpin4");

	nft_if_family(&r, AF_INET);
	nft_if_addr(&r, AF_INET, true, loopback4, sizeof(loopback4));
	nft_masquerade(&r);
	nft_rule_end(&r, b);
}

static void no_rules(struct nft_batch *b, const char *chain)
{
	(void)b;
	(void)chain;
}

static void hairpin_net_rules(struct nft_batch *b, const char *chain, int family, unsigned prefix_len)
{
	uint32_t size = is6(family) ? 16 : 4;
	struct nft_rule r = nft_rule_begin(chain, "the own network's rule of a hairpin chain");

	nft_if_family(&r, family);
	nft_load_addr(&r, family, false, R(0));
	nft_load_addr(&r, family, true, R(size / 4));
	nft_mask_prefix(&r, R(size / 4), size, prefix_len);
	nft_if_in_set(&r, nft_sets[NFT_HAIRPIN_OWN4 + is6(family)].name, R(0));
	nft_masquerade(&r);
	nft_rule_end(&r, b);
}

static void guard_rules(struct nft_batch *b, const char *chain)
{
	static const uint16_t loopback_type = ARPHRD_LOOPBACK;

	for (int source = 0; source < 2; source++) {
		struct nft_rule r = nft_rule_begin(chain, "a rule of chain portmap-guard");

		nft_load_meta(&r, NFT_META_IIFTYPE, R(0));
		nft_compare(&r, R(0), NFT_CMP_NEQ, &loopback_type, sizeof(loopback_type));
		nft_if_family(&r, AF_INET);
		nft_if_addr(&r, AF_INET, source, loopback4, sizeof(loopback4));
		nft_verdict(&r, NF_DROP, NULL);
		nft_rule_end(&r, b);
	}
}

static const struct nft_chain chains[] = {
	{"portmap", NULL, 0, 0, 4, portmap_rules},
	{"hairpin4", NULL, 0, 0, 1, hairpin4_rules},
	{"hairpin6", NULL, 0, 0, 0, no_rules},
	{"portmap-pre", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST + 5, 1, pre_rules},
	{"portmap-out", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST + 5, 3, out_rules},
	{"portmap-post", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC + 5, 5, post_rules},
	{"portmap-guard", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW, 2, guard_rules},
};
static const struct nft_net_chain net_chains[] = {
	{"hairpin4-", "hairpin4", AF_INET, 1, hairpin_net_rules},
	{"hairpin6-", "hairpin6", AF_INET6, 1, hairpin_net_rules},
};
const struct nft_group nft_group_portmap = {NFT_PORTMAP, chains, ARRAY_SIZE(chains), net_chains,
					    ARRAY_SIZE(net_chains)};

/* --- elements ------------------------------------------------------------------------------------------------- */

void nft_portmap_describe(const uint8_t *key, char *out, size_t size)
{
	const char *name = portmap_protocol_name(key[0]);

	snprintf(out, size, "host port %s/%u", name ? name : "?", (unsigned)key[4] << 8 | key[5]);
}

/* Fields of a concatenation are padded to whole words. */
static void put_port(uint8_t *at, uint16_t port)
{
	at[0] = (uint8_t)(port >> 8);
	at[1] = (uint8_t)port;
}

static uint16_t get_port(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static int plan_mapping(struct nft_plan *p, const struct cni_port_mapping *m, const struct ipaddr *container,
			const struct ipaddr *host, unsigned flags, struct error *err)
{
	uint8_t key[NFT_KEY_MAX] = {(uint8_t)portmap_protocol(m->protocol)}, data[NFT_DATA_SIZE] = {0};
	size_t size = (size_t)ipaddr_size(container);
	uint8_t set = (uint8_t)((host->family ? NFT_PORT_AT4 : NFT_PORT4) + is6(container->family));
	struct nft_elem *e;
	bool again;

	put_port(key + 4, (uint16_t)m->host_port);
	memcpy(key + 8, host->bytes, host->family ? size : 0);
	memcpy(data, container->bytes, size);
	put_port(data + size, (uint16_t)m->container_port);
	e = nft_plan_add(p, set, key, &again);
	if (again && memcmp(e->data, data, sizeof(data)) != 0) {
		char what[64];

		nft_portmap_describe(key, what, sizeof(what));
		return error_set(err, CNI_INVALID_CONFIG, "%s is mapped twice, to different ports", what);
	}
	memcpy(e->data, data, sizeof(data));
	if (!(flags & (NFT_SNAT | NFT_SNAT_ALL)) && !is6(container->family))
		nft_plan_add(p, NFT_PORT_NOLOCAL, key, NULL);
	return 0;
}

static void plan_hairpin(struct nft_plan *p, const struct ipaddr *a, unsigned flags)
{
	if (flags & NFT_SNAT_ALL)
		nft_plan_add(p, (uint8_t)(NFT_HAIRPIN_ALL4 + is6(a->family)), a->bytes, NULL);
	else if (flags & NFT_SNAT)
		nft_plan_network(p, NFT_HAIRPIN4, NFT_HAIRPIN_OWN4, is6(a->family) ? "hairpin6-" : "hairpin4-", a);
}

/* One mapping, for each family in which the container has an address and the host address asked for allows it. */
static int plan_families(struct nft_plan *p, const struct cni_port_mapping *m, const struct ipaddr container[2],
			 unsigned flags, struct error *err)
{
	struct ipaddr host = {0}, any = {0};
	int code = portmap_host_ip(m, &host, err), mapped = 0;
	bool every = host.family == 0 || memcmp(host.bytes, any.bytes, sizeof(any.bytes)) == 0;

	for (int six = 0; code == 0 && six < 2; six++) {
		const struct ipaddr *a = &container[six];

		if (a->family == 0 || (host.family && host.family != a->family))
			continue;
		code = plan_mapping(p, m, a, every ? &any : &host, flags, err);
		plan_hairpin(p, a, flags);
		mapped++;
	}
	if (code == 0 && mapped == 0)
		return error_set(
			err, CNI_INVALID_CONFIG,
			"cannot map host port %s/%u: the container has no %saddress (portmap stands after the plugin that makes the interface)",
			m->protocol, m->host_port,
			is6(host.family) ? "IPv6 "
			: host.family	 ? "IPv4 "
					 : "");
	return code;
}

int nft_portmap_add(struct cni_call *call, struct cni_conf *conf, const struct cni_port_mapping *m, size_t n,
		    const struct cni_result *r, unsigned flags, struct error *err)
{
	auto_nft struct nft_socket s = {.fd = -1};
	auto_plan struct nft_plan p = {0};
	struct ipaddr container[2];
	int code = portmap_container(r, container, err);

	nft_plan_start(&p, NFT_PORTMAP, call, conf);
	for (size_t i = 0; code == 0 && i < n; i++)
		code = plan_families(&p, &m[i], container, flags, err);
	if (code == 0)
		code = nft_open(call->host_fd, &s, err);
	return code < 0 ? code : nft_plan_run(&s, &p, err);
}

/* --- what there is -------------------------------------------------------------------------------------------- */

static int call_back(const struct nft_key *k, const struct nft_found *f, nft_port_cb *cb, void *arg)
{
	bool six = k->set == NFT_PORT6 || k->set == NFT_PORT_AT6;
	struct nft_port p = {
		.proto = k->key[0],
		.host_port = get_port(k->key + 4),
		.container_port = get_port(f->data + (six ? 16 : 4)),
		.container = {.family = six ? AF_INET6 : AF_INET, .prefix = six ? 128 : 32},
	};

	memcpy(p.container.bytes, f->data, six ? 16 : 4);
	if (k->set == NFT_PORT_AT4 || k->set == NFT_PORT_AT6) {
		p.host = p.container;
		memcpy(p.host.bytes, k->key + 8, six ? 16 : 4);
	}
	return cb(&p, arg);
}

int nft_portmap_list(struct cni_call *call, struct cni_conf *conf, nft_port_cb *cb, void *arg, struct error *err)
{
	auto_nft struct nft_socket s = {.fd = -1};
	auto_free struct nft_key *keys = NULL;
	auto_free struct nft_found *found = NULL;
	char mark[NFT_MARK_SIZE];
	unsigned entries;
	size_t n = 0;
	int code;

	if (call->host_fd < 0)
		return 0;
	code = nft_open(call->host_fd, &s, err);
	nft_mark(conf->name, call->container_id, call->ifname, mark);
	if (code == 0)
		code = nft_owner_load(&s, mark, NFT_PORTMAP, &keys, &n, &entries, err);
	if (code < 0 || n == 0)
		return code;
	found = calloc(n, sizeof(*found));
	if (!found)
		return error_oom(err);
	code = nft_elem_get(&s, keys, n, found, err);
	for (size_t i = 0; code == 0 && i < n; i++)
		if (found[i].there && str_eq(found[i].comment, mark) && nft_sets[keys[i].set].value_len)
			code = call_back(&keys[i], &found[i], cb, arg);
	return code;
}
