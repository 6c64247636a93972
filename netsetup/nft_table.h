/* The table's layout: which sets, maps and chains there are, and how they come to be. Contract: specs/nftables.md.
 * Only the nft_*.c files include this. */
#ifndef NFT_TABLE_H
#define NFT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft.h"
#include "nft_batch.h"

/* The numbers stand in the kernel, in what an owner's entry refers to: never change one, never use one again. */
enum nft_set_id {
	NFT_OWNERS = 1,
	NFT_MASQ4 = 2,
	NFT_MASQ6 = 3,
	NFT_MASQ_OWN4 = 4,
	NFT_MASQ_OWN6 = 5,
	NFT_PORT4 = 6,
	NFT_PORT6 = 7,
	NFT_PORT_AT4 = 8,
	NFT_PORT_AT6 = 9,
	NFT_PORT_NOLOCAL = 10,
	NFT_HAIRPIN4 = 11,
	NFT_HAIRPIN6 = 12,
	NFT_HAIRPIN_OWN4 = 13,
	NFT_HAIRPIN_OWN6 = 14,
	NFT_HAIRPIN_ALL4 = 15,
	NFT_HAIRPIN_ALL6 = 16,
	NFT_FORWARD4 = 17,
	NFT_FORWARD6 = 18,
	NFT_BRIDGES = 19,
	NFT_SAME_BRIDGE = 20,
	NFT_LAST_DEL = 21,
	NFT_N_SETS
};

enum { NFT_KEY_MAX = 32, NFT_DATA_SIZE = 20, NFT_CHAIN_NAME = 24 };

struct nft_set_def {
	const char *name;
	unsigned what;	   /* enum nft_what; 0: always there */
	uint32_t key_type; /* nft(8)'s numbers of data types, for `nft list` */
	uint8_t key_len;
	uint32_t value_type;
	uint8_t value_len; /* 0: a set, not a map */
	bool host_order;   /* of the key's bytes */
	bool shared; /* elements have no owner but a number of users, and live as long as they have any */
	/* What a key stands for, in an error text; NULL: nobody fights for it. */
	void (*describe)(const uint8_t *key, char *out, size_t size);
};
/* Indexed by enum nft_set_id. */
extern const struct nft_set_def nft_sets[NFT_N_SETS];

/* A chain with a hook, or one to jump to (type NULL). */
struct nft_chain {
	const char *name, *type;
	uint32_t hook;
	int32_t priority;
	uint32_t n_rules; /* what rules() makes */
	void (*rules)(struct nft_batch *b, const char *chain);
};

/* A chain for each prefix length that is in use, "masq4-24", because nftables cannot mask by a value from a map.
 * The parent jumps to all of them before it does anything else. (A map from addresses to chains would save that,
 * but the kernel checks all of a verdict map's elements whenever one is added.) */
struct nft_net_chain {
	const char *prefix; /* "masq4-" */
	const char *parent;
	int family;
	uint32_t n_rules;
	void (*rules)(struct nft_batch *b, const char *chain, int family, unsigned prefix_len);
};

/* What belongs to one job; each job's file has one. */
struct nft_group {
	unsigned what;
	const struct nft_chain *chains;
	size_t n_chains;
	const struct nft_net_chain *net_chains;
	size_t n_net_chains;
};
extern const struct nft_group nft_group_masq, nft_group_portmap, nft_group_firewall;

/* Chains of a prefix length, by name. */
struct nft_net_names {
	char (*v)[NFT_CHAIN_NAME];
	size_t n;
};
int nft_net_names_add(struct nft_net_names *names, const char *name); /* 0 or -ENOMEM; once is enough */

/* What there is of these jobs' chains and of these chains of a prefix length. */
enum nft_state {
	NFT_WHOLE,
	NFT_NET_MISSING, /* only chains of a prefix length are not there */
	NFT_BROKEN,	 /* chains are not there, or have lost rules */
};
int nft_table_check(struct nft_socket *s, unsigned what, const struct nft_net_names *nets, enum nft_state *ret,
		    struct error *err);
/* Makes what is missing. */
int nft_table_make(struct nft_socket *s, unsigned what, const struct nft_net_names *nets, struct error *err);
/* Deletes the table when nobody has anything in it. With attachments in it, or without a table, it is success and does
 * nothing: the kernel itself refuses, so nothing can come between looking and deleting. */
int nft_table_drop(struct nft_socket *s, struct error *err);
/* The same, NFT_LATER_MS after this process has ended, and only if no other DEL has left its name since: making the
 * table costs more than the rest of an attachment's nftables, and where one container goes the next often comes. Takes
 * the socket. */
void nft_table_drop_later(struct nft_socket *s);
/* Leaves this process's name as the last DEL's. */
void nft_table_put_last_del(struct nft_batch *b);

#endif
