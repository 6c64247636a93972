/* Elements as messages and back. */
#include "nft_elem.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "str.h"

/* The user data's attribute with an owner's keys. nft(8) ignores types that it does not know; it counts up from 0. */
enum { UDATA_REFS = 0x70 };
/* The kernel's NFT_USERDATA_MAXLEN. */
enum { UDATA_MAX = 256 };

/* --- keys ----------------------------------------------------------------------------------------------------- */

bool nft_key_equal(const struct nft_key *a, const struct nft_key *b)
{
	return a->set == b->set && memcmp(a->key, b->key, nft_sets[a->set].key_len) == 0;
}

size_t nft_key_pack(const struct nft_key *k, uint8_t *out, size_t room)
{
	size_t len = nft_sets[k->set].key_len;

	if (room < 1 + len)
		return 0;
	out[0] = k->set;
	memcpy(out + 1, k->key, len);
	return 1 + len;
}

size_t nft_key_unpack(const uint8_t *in, size_t len, struct nft_key *ret)
{
	size_t key_len;

	if (len == 0 || in[0] <= NFT_OWNERS || in[0] >= NFT_N_SETS)
		return 0;
	key_len = nft_sets[in[0]].key_len;
	if (len < 1 + key_len)
		return 0;
	memset(ret, 0, sizeof(*ret));
	ret->set = in[0];
	memcpy(ret->key, in + 1, key_len);
	return 1 + key_len;
}

/* --- messages ------------------------------------------------------------------------------------------------- */

/* A set object that names the set, to carry elements. */
static struct nftnl_set *named_set(uint8_t set)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s)
		return NULL;
	nftnl_set_set_str(s, NFTNL_SET_TABLE, NFT_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, nft_sets[set].name);
	return s;
}

static void put(struct nft_batch *b, uint16_t type, uint16_t flags, const struct nft_key *k,
		struct nftnl_set_elem *elem)
{
	struct nftnl_set *s = named_set(k->set);
	struct nlmsghdr *m;

	if (!s || !elem) {
		b->failed = true;
		if (elem)
			nftnl_set_elem_free(elem);
	} else {
		nftnl_set_elem_set(elem, NFTNL_SET_ELEM_KEY, k->key, nft_sets[k->set].key_len);
		nftnl_set_elem_add(s, elem);
		m = nft_batch_begin(b, type, flags, nft_sets[k->set].name);
		if (m)
			nftnl_set_elems_nlmsg_build_payload(m, s);
		nft_batch_end(b, m);
	}
	if (s)
		nftnl_set_free(s);
}

void nft_elem_flush(struct nft_batch *b, uint8_t set)
{
	struct nlmsghdr *m = nft_batch_begin(b, NFT_MSG_DELSETELEM, 0, nft_sets[set].name);

	if (!m)
		return;
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_SET, nft_sets[set].name);
	nft_batch_end(b, m);
}

static void set_udata(struct nftnl_set_elem *elem, const char *comment, const uint8_t *refs, size_t n_refs)
{
	uint8_t data[UDATA_MAX];
	size_t len = strlen(comment) + 1;

	data[0] = NFTNL_UDATA_SET_ELEM_COMMENT;
	data[1] = (uint8_t)len;
	memcpy(data + 2, comment, len);
	len += 2;
	if (n_refs) {
		data[len] = UDATA_REFS;
		data[len + 1] = (uint8_t)n_refs;
		memcpy(data + len + 2, refs, n_refs);
		len += 2 + n_refs;
	}
	nftnl_set_elem_set(elem, NFTNL_SET_ELEM_USERDATA, data, (uint32_t)len);
}

void nft_elem_add(struct nft_batch *b, const struct nft_elem *e, const char *comment, const uint8_t *refs,
		  size_t n_refs)
{
	const struct nft_set_def *d = &nft_sets[e->key.set];
	struct nftnl_set_elem *elem = nftnl_set_elem_alloc();

	if (elem) {
		set_udata(elem, comment, refs, n_refs);
		if (d->value_len)
			nftnl_set_elem_set(elem, NFTNL_SET_ELEM_DATA, e->data, d->value_len);
	}
	/* EXCL also with the same value: the element may be another owner's, and then it must not pass for ours. */
	put(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, &e->key, elem);
}

void nft_elem_del(struct nft_batch *b, const struct nft_key *k)
{
	put(b, NFT_MSG_DELSETELEM, 0, k, nftnl_set_elem_alloc());
}

/* --- answers -------------------------------------------------------------------------------------------------- */

/* Splits the user data; anything may stand there, another program can have written it. */
static void parse_udata(const uint8_t *p, size_t len, struct nft_found *ret)
{
	while (len >= 2 && len - 2 >= p[1]) {
		if (p[0] == NFTNL_UDATA_SET_ELEM_COMMENT && p[1] > 0 && p[1 + p[1]] == '\0') {
			memcpy(ret->comment, p + 2, p[1]);
		} else if (p[0] == UDATA_REFS) {
			memcpy(ret->refs, p + 2, p[1]);
			ret->n_refs = p[1];
		}
		len -= 2 + p[1];
		p += 2 + p[1];
	}
}

struct parse {
	uint8_t set;
	nft_elem_cb *cb;
	void *arg;
};

static int parse_elem(struct nftnl_set_elem *e, void *arg)
{
	struct parse *p = arg;
	struct nft_key key = {.set = p->set};
	struct nft_found f = {.there = true};
	uint32_t len = 0;
	const void *data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);

	if (data && len <= sizeof(key.key))
		memcpy(key.key, data, len);
	data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_DATA, &len);
	if (data && len <= sizeof(f.data))
		memcpy(f.data, data, len);
	data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_USERDATA, &len);
	if (data)
		parse_udata(data, len, &f);
	return p->cb(&key, &f, p->arg);
}

static int parse_message(const struct nlmsghdr *m, struct parse *p)
{
	struct nftnl_set *s = nftnl_set_alloc();
	int code;

	if (!s)
		return -ENOMEM;
	code = nftnl_set_elems_nlmsg_parse(m, s) < 0 ? -EBADMSG : nftnl_set_elem_foreach(s, parse_elem, p);
	nftnl_set_free(s);
	return code;
}

/* --- questions ------------------------------------------------------------------------------------------------ */

struct get {
	const struct nft_key *keys;
	struct nft_found *found;
};

static int copy_found(const struct nft_key *k, const struct nft_found *f, void *arg)
{
	(void)k;
	*(struct nft_found *)arg = *f;
	return 0;
}

static int take_found(size_t i, int code, const struct nlmsghdr *m, void *arg)
{
	struct get *g = arg;
	struct parse p = {.set = g->keys[i].set, .cb = copy_found, .arg = &g->found[i]};

	if (code == -ENOENT)
		return 0;
	return code < 0 ? code : parse_message(m, &p);
}

int nft_elem_get(struct nft_socket *s, const struct nft_key *keys, size_t n, struct nft_found *ret, struct error *err)
{
	memset(ret, 0, n * sizeof(*ret));
	for (size_t at = 0; at < n; at += NFT_ASK_MAX) {
		auto_batch struct nft_batch b = {0};
		struct get g = {.keys = keys + at, .found = ret + at};
		int code;

		for (size_t i = at; i < n && i < at + NFT_ASK_MAX; i++)
			put(&b, NFT_MSG_GETSETELEM, 0, &keys[i], nftnl_set_elem_alloc());
		code = nft_ask(s, &b, take_found, &g, err);
		if (code < 0)
			return code;
	}
	return 0;
}

static int list_answer(size_t i, int code, const struct nlmsghdr *m, void *arg)
{
	(void)i;
	if (code == -ENOENT)
		return 0;
	return code < 0 ? code : parse_message(m, arg);
}

int nft_elem_list(struct nft_socket *s, uint8_t set, nft_elem_cb *cb, void *arg, struct error *err)
{
	auto_batch struct nft_batch b = {0};
	struct parse p = {.set = set, .cb = cb, .arg = arg};
	struct nftnl_set *question = named_set(set);
	struct nlmsghdr *m;

	if (!question)
		return error_oom(err);
	m = nft_batch_begin(&b, NFT_MSG_GETSETELEM, NLM_F_DUMP, nft_sets[set].name);
	if (m)
		nftnl_set_elems_nlmsg_build_payload(m, question);
	nft_batch_end(&b, m);
	nftnl_set_free(question);
	return nft_dump(s, &b, list_answer, &p, err);
}
