/* Owners: the set `owners` has entries for each attachment and job, which list its elements. An entry is made and
 * removed in the same transaction as the elements, so the two never disagree; elements that have passed to another
 * owner meanwhile are told by their comment. What an attachment has is therefore found by its name alone, at the
 * same cost however many others there are, and it is found as long as the table exists. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "hash.h"
#include "nft_plan.h"
#include "str.h"

enum { NETWORK_MAX = 32, ID_MAX = 64, HASH_TEXT = 17 };

/* Appends s, cut to max characters; what is cut is told apart by a hash of the whole. */
static void put_part(struct buf *b, const char *s, size_t max)
{
	size_t len = strlen(s);

	if (len <= max) {
		buf_puts(b, s);
		return;
	}
	buf_add(b, s, max - HASH_TEXT);
	buf_printf(b, "~%016llx", (unsigned long long)hash_text(HASH_START, s));
}

static void mark_network(struct buf *b, const char *network)
{
	buf_puts(b, "nsrun:");
	put_part(b, network ? network : "", NETWORK_MAX);
	buf_putc(b, '/');
}

void nft_mark(const char *network, const char *id, const char *ifname, char out[NFT_MARK_SIZE])
{
	auto_buf struct buf b = {0};

	mark_network(&b, network);
	put_part(&b, id ? id : "", ID_MAX);
	buf_putc(&b, '/');
	put_part(&b, ifname ? ifname : "", 17);
	snprintf(out, NFT_MARK_SIZE, "%s", b.failed ? "" : b.data);
}

void nft_owner_key(const char *mark, unsigned what, unsigned n, struct nft_key *ret)
{
	uint64_t hash = hash_text(HASH_START, mark);
	uint32_t last = what << 24 | n;

	memset(ret, 0, sizeof(*ret));
	ret->set = NFT_OWNERS;
	memcpy(ret->key, &hash, sizeof(hash));
	memcpy(ret->key + sizeof(hash), &last, sizeof(last));
}

/* --- shared elements ------------------------------------------------------------------------------------------ */

int nft_shared_change(struct nft_shared *s, const struct nft_key *k, int delta, struct error *err)
{
	size_t i = 0;

	while (i < s->n && !nft_key_equal(&s->keys[i], k))
		i++;
	if (i == ARRAY_SIZE(s->keys))
		return error_set(err, E2BIG, "one attachment shares too many nftables elements");
	s->keys[i] = *k;
	s->delta[i] += delta;
	s->n += i == s->n;
	return 0;
}

/* The comment says how many there are: "3 attachments". */
static uint32_t users(const struct nft_found *f)
{
	return f->there ? (uint32_t)strtoul(f->comment, NULL, 10) : 0;
}

int nft_shared_write(struct nft_socket *s, struct nft_batch *b, const struct nft_shared *shared, struct error *err)
{
	struct nft_found found[ARRAY_SIZE(shared->keys)];
	int code = shared->n ? nft_elem_get(s, shared->keys, shared->n, found, err) : 0;

	for (size_t i = 0; code == 0 && i < shared->n; i++) {
		int64_t n = (int64_t)users(&found[i]) + shared->delta[i];
		struct nft_elem e = {.key = shared->keys[i]};
		char comment[32];

		if (shared->delta[i] == 0)
			continue;
		if (found[i].there)
			nft_elem_del(b, &shared->keys[i]);
		snprintf(comment, sizeof(comment), "%lld attachment%s", (long long)n, n == 1 ? "" : "s");
		if (n > 0)
			nft_elem_add(b, &e, comment, NULL, 0);
	}
	return code;
}

/* --- what an owner has ---------------------------------------------------------------------------------------- */

struct keys {
	struct nft_key *v;
	size_t n, cap;
};

static int append_refs(struct keys *to, const struct nft_found *f, struct error *err)
{
	struct nft_key k;
	size_t got;

	for (size_t at = 0; (got = nft_key_unpack(f->refs + at, f->n_refs - at, &k)) > 0; at += got) {
		if (to->n == to->cap) {
			size_t cap = to->cap ? to->cap * 2 : 16;
			struct nft_key *more = realloc(to->v, cap * sizeof(*more));

			if (!more)
				return error_oom(err);
			to->v = more;
			to->cap = cap;
		}
		to->v[to->n++] = k;
	}
	return 0;
}

int nft_owner_load(struct nft_socket *s, const char *mark, unsigned what, struct nft_key **ret, size_t *ret_n,
		   unsigned *ret_entries, struct error *err)
{
	enum { AT_ONCE = 2 };
	struct keys keys = {0};
	unsigned entries = 0;
	bool more = true;
	int code = 0;

	while (code == 0 && more) {
		struct nft_found found[AT_ONCE];
		struct nft_key ask[AT_ONCE];

		for (unsigned i = 0; i < AT_ONCE; i++)
			nft_owner_key(mark, what, entries + i, &ask[i]);
		code = nft_elem_get(s, ask, AT_ONCE, found, err);
		for (unsigned i = 0; code == 0 && more && i < AT_ONCE; i++) {
			more = found[i].there && str_eq(found[i].comment, mark);
			if (more)
				code = append_refs(&keys, &found[i], err);
			entries += more;
		}
	}
	if (code < 0) {
		free(keys.v);
		return code;
	}
	*ret = keys.v;
	*ret_n = keys.n;
	*ret_entries = entries;
	return 0;
}

/* --- removing ------------------------------------------------------------------------------------------------- */

/* One attempt; -ERESTART: the ruleset changed between looking and deleting. */
static int remove_once(struct nft_socket *s, const char *mark, unsigned what, struct error *err)
{
	auto_batch struct nft_batch b = {0};
	auto_free struct nft_key *keys = NULL;
	auto_free struct nft_found *found = NULL;
	struct nft_shared shared = {0};
	struct nft_key entry;
	unsigned entries = 0;
	uint32_t generation = 0;
	size_t n = 0;
	int code = nft_generation(s, &generation, err);

	if (code == 0)
		code = nft_owner_load(s, mark, what, &keys, &n, &entries, err);
	if (code < 0)
		return code;
	found = calloc(n + 1, sizeof(*found));
	if (!found)
		return error_oom(err);
	code = nft_elem_get(s, keys, n, found, err);
	for (size_t i = 0; code == 0 && i < n; i++) {
		if (!found[i].there)
			continue;
		if (str_eq(found[i].comment, mark))
			nft_elem_del(&b, &keys[i]);
		else if (nft_sets[keys[i].set].shared)
			code = nft_shared_change(&shared, &keys[i], -1, err);
	}
	if (code == 0)
		code = nft_shared_write(s, &b, &shared, err);
	if (code < 0)
		return code;
	for (unsigned i = 0; i < entries; i++) {
		nft_owner_key(mark, what, i, &entry);
		nft_elem_del(&b, &entry);
	}
	/* Also when there was nothing: who made the table may have been killed before it put its elements in. */
	nft_table_put_last_del(&b);
	code = nft_commit(s, &b, generation, err);
	return code == -ENOENT && entries == 0 ? 0 : code;
}

int nft_owner_remove(struct nft_socket *s, const char *mark, unsigned what, struct error *err)
{
	int code = -ERESTART;
	struct error why;

	for (int i = 0; code == -ERESTART && i < NFT_TRIES; i++)
		code = remove_once(s, mark, what, &why);
	if (code < 0 && err)
		*err = why;
	return code;
}
