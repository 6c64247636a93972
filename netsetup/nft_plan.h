/* What one attachment wants to have in the table, put together by the job's file and carried out by nft_plan.c.
 * Only the nft_*.c files include this. */
#ifndef NFT_PLAN_H
#define NFT_PLAN_H

#include "nft_elem.h"

struct nft_plan {
	unsigned what; /* the one job */
	char mark[NFT_MARK_SIZE];
	struct nft_elem *elems;
	size_t n, cap;
	struct nft_net_names nets; /* chains of a prefix length that it needs */
	bool failed;
};

void nft_plan_start(struct nft_plan *p, unsigned what, const struct cni_call *call, const struct cni_conf *conf);
void nft_plan_free(struct nft_plan *p);
#define auto_plan __attribute__((cleanup(nft_plan_free)))

/* A new element with this key (nft_sets[set].key_len bytes), to be filled; never NULL: without memory it is a
 * scratch one, and nft_plan_run() fails. An element that is planned already is returned as it is: *ret_again (may
 * be NULL). */
struct nft_elem *nft_plan_add(struct nft_plan *p, uint8_t set, const void *key, bool *ret_again);
/* Two elements: the address, and the pair of the address and its network; and the need of the chain PREFIX-LENGTH,
 * where the pair is looked up. The sets are those of IPv4; IPv6's follow them. */
void nft_plan_network(struct nft_plan *p, uint8_t set, uint8_t own_set, const char *chain_prefix,
		      const struct ipaddr *addr);

/* Adds it all, or nothing. What the owner had of this job before is replaced; an element that another owner left is
 * taken over, except a host port, which is an error that names the owner. */
int nft_plan_run(struct nft_socket *s, struct nft_plan *p, struct error *err);

/* --- owners: nft_owner.c -------------------------------------------------------------------------------------- */

/* The key of the n-th entry of the owner, for one job, in the set `owners`. */
void nft_owner_key(const char *mark, unsigned what, unsigned n, struct nft_key *ret);

/* The transaction in which a shared element's users are counted: changes are collected first and written once. */
struct nft_shared {
	struct nft_key keys[8];
	int delta[8];
	size_t n;
};
int nft_shared_change(struct nft_shared *s, const struct nft_key *k, int delta, struct error *err);
int nft_shared_write(struct nft_socket *s, struct nft_batch *b, const struct nft_shared *shared, struct error *err);

/* The elements that the owner's entries list, in order, and how many entries there are. Caller frees *ret. */
int nft_owner_load(struct nft_socket *s, const char *mark, unsigned what, struct nft_key **ret, size_t *ret_n,
		   unsigned *ret_entries, struct error *err);
/* Removes everything the owner has of this job. Nothing there is success. */
int nft_owner_remove(struct nft_socket *s, const char *mark, unsigned what, struct error *err);

#endif
