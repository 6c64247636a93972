/* Elements of the table's sets and maps, and what is written on them. Only the nft_*.c files include this.
 *
 * An element bears its owner's mark as nft's comment. The owner's entries in the set `owners` list its elements in
 * a second attribute of the same user data, which nft passes over. */
#ifndef NFT_ELEM_H
#define NFT_ELEM_H

#include "nft_table.h"

/* One element, by set and key. */
struct nft_key {
	uint8_t set; /* enum nft_set_id */
	uint8_t key[NFT_KEY_MAX];
};

struct nft_elem {
	struct nft_key key;
	uint8_t data[NFT_DATA_SIZE]; /* of a map */
};

/* What an owner's entry can list, packed: a set's number and its key, one after the other. */
enum { NFT_REFS_MAX = 128 };

/* What a question found. */
struct nft_found {
	bool there;
	char comment[256];
	uint8_t data[NFT_DATA_SIZE];
	uint8_t refs[256];
	size_t n_refs;
};

/* Adds the element with a comment; it must not exist (EEXIST, or EBUSY with another value). refs may be NULL. */
void nft_elem_add(struct nft_batch *b, const struct nft_elem *e, const char *comment, const uint8_t *refs,
		  size_t n_refs);
/* Deletes it; it must exist. */
void nft_elem_del(struct nft_batch *b, const struct nft_key *k);

/* Deletes all of the set's. */
void nft_elem_flush(struct nft_batch *b, uint8_t set);

/* Looks elements up; ret[i] is keys[i]'s. */
int nft_elem_get(struct nft_socket *s, const struct nft_key *keys, size_t n, struct nft_found *ret,
		 struct error *err);

/* Every element of a set; a missing set is empty. */
typedef int nft_elem_cb(const struct nft_key *k, const struct nft_found *f, void *arg);
int nft_elem_list(struct nft_socket *s, uint8_t set, nft_elem_cb *cb, void *arg, struct error *err);

bool nft_key_equal(const struct nft_key *a, const struct nft_key *b);
/* Packs a key at out; returns its size, 0 without room. */
size_t nft_key_pack(const struct nft_key *k, uint8_t *out, size_t room);
/* The reverse; 0: no (whole) key there. */
size_t nft_key_unpack(const uint8_t *in, size_t len, struct nft_key *ret);

#endif
