/* nftables rules as a sequence of calls, one for each expression. Only the nft_*.c files include this.
 *
 * Registers: R(n) is the n-th 4-byte word. A key of several fields lies in words that follow each other, each field
 * rounded up to whole words; what a map's lookup loads lies there too. */
#ifndef NFT_EXPR_H
#define NFT_EXPR_H

#include <linux/netfilter/nf_tables.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nft_batch;
struct nftnl_rule;

#define R(n) ((uint32_t)NFT_REG32_00 + (n))

struct nft_rule {
	struct nftnl_rule *r;
	const char *what;
	bool failed;
};

/* An empty rule at the end of the chain; after the expressions, nft_rule_end() puts it into the batch. */
struct nft_rule nft_rule_begin(const char *chain, const char *what);
void nft_rule_end(struct nft_rule *r, struct nft_batch *b);
/* The same, but at the chain's beginning. */
void nft_rule_insert(struct nft_rule *r, struct nft_batch *b);

/* Loads. */
void nft_load_meta(struct nft_rule *r, uint32_t key, uint32_t reg);
void nft_load_ct(struct nft_rule *r, uint32_t key, uint32_t reg);
void nft_load_payload(struct nft_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
/* The source or destination address of the family, whose headers the rule must already have been narrowed to. */
void nft_load_addr(struct nft_rule *r, int family, bool source, uint32_t reg);
void nft_load_dport(struct nft_rule *r, uint32_t reg);
/* Clears all bits after the first `prefix`, of an address of len bytes; or all but mask. */
void nft_mask_prefix(struct nft_rule *r, uint32_t reg, uint32_t len, unsigned prefix);
void nft_mask_u32(struct nft_rule *r, uint32_t reg, uint32_t mask);

/* Conditions: the rule ends unless they hold. */
void nft_compare(struct nft_rule *r, uint32_t reg, uint32_t op, const void *data, uint32_t len);
void nft_if_family(struct nft_rule *r, int family);
void nft_if_local_destination(struct nft_rule *r);
/* The destination (or source) lies in addr/prefix; prefix a whole number of bytes. */
void nft_if_addr(struct nft_rule *r, int family, bool source, const void *addr, unsigned prefix_bytes);
void nft_if_in_set(struct nft_rule *r, const char *set, uint32_t reg);

/* Loads the map's value for the key; the rule ends when there is none. */
void nft_map(struct nft_rule *r, const char *map, uint32_t key, uint32_t value);

/* Statements. */
void nft_verdict(struct nft_rule *r, int verdict, const char *chain);
void nft_dnat(struct nft_rule *r, int family, uint32_t addr, uint32_t port);
void nft_masquerade(struct nft_rule *r);

#endif
