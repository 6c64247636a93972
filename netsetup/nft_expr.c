/* One function an expression: libnftnl's generic setters, in the words of nft(8). */
#include "nft_expr.h"

#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "nft_batch.h"

struct nft_rule nft_rule_begin(const char *chain, const char *what)
{
	struct nft_rule r = {.r = nftnl_rule_alloc(), .what = what};

	if (!r.r) {
		r.failed = true;
		return r;
	}
	nftnl_rule_set_str(r.r, NFTNL_RULE_TABLE, NFT_TABLE);
	nftnl_rule_set_str(r.r, NFTNL_RULE_CHAIN, chain);
	nftnl_rule_set_u32(r.r, NFTNL_RULE_FAMILY, NFPROTO_INET);
	return r;
}

static void put_rule(struct nft_rule *r, struct nft_batch *b, uint16_t flags)
{
	struct nlmsghdr *m;

	b->failed |= r->failed;
	m = nft_batch_begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | flags, r->what);
	if (m)
		nftnl_rule_nlmsg_build_payload(m, r->r);
	nft_batch_end(b, m);
	if (r->r)
		nftnl_rule_free(r->r);
	r->r = NULL;
}

void nft_rule_end(struct nft_rule *r, struct nft_batch *b)
{
	put_rule(r, b, NLM_F_APPEND);
}

void nft_rule_insert(struct nft_rule *r, struct nft_batch *b)
{
	put_rule(r, b, 0);
}

/* A new expression of that name at the rule's end, or NULL. */
static struct nftnl_expr *add(struct nft_rule *r, const char *name)
{
	struct nftnl_expr *e = r->failed ? NULL : nftnl_expr_alloc(name);

	if (e)
		nftnl_rule_add_expr(r->r, e);
	else
		r->failed = true;
	return e;
}

/* --- loads ---------------------------------------------------------------------------------------------------- */

void nft_load_meta(struct nft_rule *r, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = add(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

void nft_load_ct(struct nft_rule *r, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = add(r, "ct");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, reg);
}

void nft_load_payload(struct nft_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = add(r, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

/* Offsets of struct iphdr and struct ipv6hdr. */
static uint32_t addr_offset(int family, bool source)
{
	if (family == AF_INET6)
		return source ? 8 : 24;
	return source ? 12 : 16;
}

void nft_load_addr(struct nft_rule *r, int family, bool source, uint32_t reg)
{
	nft_load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, addr_offset(family, source), family == AF_INET6 ? 16 : 4,
			 reg);
}

/* TCP, UDP, UDP-Lite, SCTP and DCCP have it at the same place. */
void nft_load_dport(struct nft_rule *r, uint32_t reg)
{
	nft_load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
}

static void mask_bytes(struct nft_rule *r, uint32_t reg, const void *mask, uint32_t len)
{
	static const uint8_t none[16];
	struct nftnl_expr *e = add(r, "bitwise");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, none, len);
}

void nft_mask_prefix(struct nft_rule *r, uint32_t reg, uint32_t len, unsigned prefix)
{
	uint8_t mask[16] = {0};

	for (unsigned i = 0; i < prefix && i < len * 8; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
	mask_bytes(r, reg, mask, len);
}

void nft_mask_u32(struct nft_rule *r, uint32_t reg, uint32_t mask)
{
	mask_bytes(r, reg, &mask, sizeof(mask));
}

/* --- conditions ----------------------------------------------------------------------------------------------- */

void nft_compare(struct nft_rule *r, uint32_t reg, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = add(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

void nft_if_family(struct nft_rule *r, int family)
{
	uint8_t nfproto = family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4;

	nft_load_meta(r, NFT_META_NFPROTO, R(0));
	nft_compare(r, R(0), NFT_CMP_EQ, &nfproto, sizeof(nfproto));
}

void nft_if_local_destination(struct nft_rule *r)
{
	struct nftnl_expr *e = add(r, "fib");
	uint32_t local = RTN_LOCAL;

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, R(0));
	nft_compare(r, R(0), NFT_CMP_EQ, &local, sizeof(local));
}

void nft_if_addr(struct nft_rule *r, int family, bool source, const void *addr, unsigned prefix_bytes)
{
	nft_load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, addr_offset(family, source), prefix_bytes, R(0));
	nft_compare(r, R(0), NFT_CMP_EQ, addr, prefix_bytes);
}

/* --- sets and maps -------------------------------------------------------------------------------------------- */

static struct nftnl_expr *lookup(struct nft_rule *r, const char *set, uint32_t key)
{
	struct nftnl_expr *e = add(r, "lookup");

	if (!e)
		return NULL;
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, key);
	return e;
}

void nft_if_in_set(struct nft_rule *r, const char *set, uint32_t reg)
{
	lookup(r, set, reg);
}

void nft_map(struct nft_rule *r, const char *map, uint32_t key, uint32_t value)
{
	struct nftnl_expr *e = lookup(r, map, key);

	if (e)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, value);
}

/* --- statements ----------------------------------------------------------------------------------------------- */

void nft_verdict(struct nft_rule *r, int verdict, const char *chain)
{
	struct nftnl_expr *e = add(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
	if (chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
}

void nft_dnat(struct nft_rule *r, int family, uint32_t addr, uint32_t port)
{
	struct nftnl_expr *e = add(r, "nat");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_FAMILY, family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_ADDR_MIN, addr);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_ADDR_MAX, addr);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_PROTO_MIN, port);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_PROTO_MAX, port);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED);
}

void nft_masquerade(struct nft_rule *r)
{
	add(r, "masq");
}
