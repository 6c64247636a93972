/* Adding.
 *
 * Nearly always the table is there and nobody has the elements: one question (are the chains whole?), one
 * transaction. When that fails, the failure says what to do. Something is missing (ENOENT): the table went between
 * the two, make it anew. Something is there already (EEXIST, EBUSY): look at it, and add ours in a transaction that
 * the kernel refuses (ERESTART) if anybody changed the ruleset since we looked. */
#include "nft_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "str.h"

void nft_plan_start(struct nft_plan *p, unsigned what, const struct cni_call *call, const struct cni_conf *conf)
{
	*p = (struct nft_plan){.what = what};
	nft_mark(conf->name, call->container_id, call->ifname, p->mark);
}

void nft_plan_free(struct nft_plan *p)
{
	free(p->elems);
	free(p->nets.v);
	*p = (struct nft_plan){0};
}

struct nft_elem *nft_plan_add(struct nft_plan *p, uint8_t set, const void *key, bool *ret_again)
{
	static struct nft_elem scratch;
	struct nft_key k = {.set = set};

	memcpy(k.key, key, nft_sets[set].key_len);
	if (ret_again)
		*ret_again = false;
	for (size_t i = 0; i < p->n; i++)
		if (nft_key_equal(&p->elems[i].key, &k)) {
			if (ret_again)
				*ret_again = true;
			return &p->elems[i];
		}
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		struct nft_elem *more = realloc(p->elems, cap * sizeof(*more));

		if (!more) {
			p->failed = true;
			return &scratch;
		}
		p->elems = more;
		p->cap = cap;
	}
	p->elems[p->n] = (struct nft_elem){.key = k};
	return &p->elems[p->n++];
}

void nft_plan_network(struct nft_plan *p, uint8_t set, uint8_t own_set, const char *chain_prefix,
		      const struct ipaddr *addr)
{
	uint8_t six = addr->family == AF_INET6;
	size_t size = (size_t)ipaddr_size(addr);
	struct ipaddr net = ipaddr_network(addr);
	char chain[NFT_CHAIN_NAME];
	uint8_t pair[32] = {0};

	memcpy(pair, addr->bytes, size);
	memcpy(pair + size, net.bytes, size);
	nft_plan_add(p, (uint8_t)(set + six), addr->bytes, NULL);
	nft_plan_add(p, (uint8_t)(own_set + six), pair, NULL);
	snprintf(chain, sizeof(chain), "%s%u", chain_prefix, addr->prefix);
	p->failed |= nft_net_names_add(&p->nets, chain) < 0;
}

static bool shared(const struct nft_elem *e)
{
	return nft_sets[e->key.set].shared;
}

/* --- the transaction ------------------------------------------------------------------------------------------ */

/* The owner's entries, each of which lists as many elements as it has room for. */
static void put_entries(struct nft_batch *b, const struct nft_plan *p)
{
	uint8_t refs[NFT_REFS_MAX];
	size_t used = 0, i = 0;

	for (unsigned entry = 0; i < p->n; entry++, used = 0) {
		struct nft_elem e = {0};

		for (size_t got; i < p->n; i++, used += got) {
			got = nft_key_pack(&p->elems[i].key, refs + used, sizeof(refs) - used);
			if (got == 0)
				break;
		}
		nft_owner_key(p->mark, p->what, entry, &e.key);
		nft_elem_add(b, &e, p->mark, refs, used);
	}
}

static void put_elems(struct nft_batch *b, const struct nft_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!shared(&p->elems[i]))
			nft_elem_add(b, &p->elems[i], p->mark, NULL, 0);
}

static int add_new(struct nft_socket *s, const struct nft_plan *p, struct error *err)
{
	auto_batch struct nft_batch b = {0};

	put_entries(&b, p);
	put_elems(&b, p);
	return nft_commit(s, &b, 0, err);
}

static int taken(const struct nft_plan *p, const struct nft_key *k, const struct nft_found *f, struct error *err)
{
	char what[96];

	if (!nft_sets[k->set].describe || str_eq(f->comment, p->mark))
		return 0;
	nft_sets[k->set].describe(k->key, what, sizeof(what));
	return error_set(
		err, EADDRINUSE,
		"cannot map %s: it is mapped for %s; remove that attachment, or run `netsetup gc` if its container is gone",
		what, f->comment[0] ? f->comment : "somebody who left no name");
}

/* Deletes what stands in the way of our elements, or says who has it. */
static int clear_way(struct nft_socket *s, struct nft_batch *b, const struct nft_plan *p, struct error *err)
{
	auto_free struct nft_key *keys = calloc(p->n, sizeof(*keys));
	auto_free struct nft_found *found = calloc(p->n, sizeof(*found));
	size_t n = 0;
	int code;

	if (!keys || !found)
		return error_oom(err);
	for (size_t i = 0; i < p->n; i++)
		if (!shared(&p->elems[i]))
			keys[n++] = p->elems[i].key;
	code = nft_elem_get(s, keys, n, found, err);
	for (size_t i = 0; code == 0 && i < n; i++) {
		if (!found[i].there)
			continue;
		code = taken(p, &keys[i], &found[i], err);
		nft_elem_del(b, &keys[i]);
	}
	return code;
}

static int add_over(struct nft_socket *s, const struct nft_plan *p, struct error *err)
{
	auto_batch struct nft_batch b = {0};
	struct nft_shared counts = {0};
	uint32_t generation = 0;
	int code = nft_owner_remove(s, p->mark, p->what, err);

	if (code == 0)
		code = nft_generation(s, &generation, err);
	if (code == 0)
		code = clear_way(s, &b, p, err);
	for (size_t i = 0; code == 0 && i < p->n; i++)
		if (shared(&p->elems[i]))
			code = nft_shared_change(&counts, &p->elems[i].key, 1, err);
	if (code == 0)
		code = nft_shared_write(s, &b, &counts, err);
	if (code < 0)
		return code;
	put_entries(&b, p);
	put_elems(&b, p);
	return nft_commit(s, &b, generation, err);
}

/* --- carrying it out ------------------------------------------------------------------------------------------ */

/* One attempt, after having made sure of the table. */
static int run_once(struct nft_socket *s, struct nft_plan *p, bool over, struct error *err)
{
	enum nft_state state;
	int code = nft_table_check(s, p->what, &p->nets, &state, err);

	if (code == 0 && state != NFT_WHOLE)
		code = nft_table_make(s, p->what, &p->nets, err);
	if (code < 0)
		return code == -ENOENT ? -EOPNOTSUPP : code;
	return over ? add_over(s, p, err) : add_new(s, p, err);
}

int nft_plan_run(struct nft_socket *s, struct nft_plan *p, struct error *err)
{
	struct error why;
	bool over = false;
	int code = -ERESTART;

	if (p->failed)
		return error_oom(err);
	if (p->n == 0)
		return 0;
	for (size_t i = 0; i < p->n; i++)
		over |= shared(&p->elems[i]);
	for (int i = 0; i < NFT_TRIES; i++) {
		code = run_once(s, p, over, &why);
		if (code == 0)
			return 0;
		if ((code == -EEXIST || code == -EBUSY) && !over)
			over = true;
		else if (code != -ERESTART && code != -ENOENT)
			break;
	}
	if (err)
		*err = why;
	return code;
}
