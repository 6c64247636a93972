/* Making the table. Chains and sets are "add", which does no harm twice, and chains' rules are flushed and put in
 * again, all in one transaction that the kernel refuses if anybody changed the ruleset since we looked. So two
 * processes that find the table missing need no lock, and a ruleset that somebody flushed is whole again with the
 * next attachment. */
#include "nft_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "nft_elem.h"
#include "nft_expr.h"
#include "nft_portmap.h"
#include "str.h"

/* nft's own numbers for data types (datatype.h there), so that `nft list table inet netsetup` shows addresses and
 * ports. */
enum {
	TYPE_IP4 = 7,
	TYPE_IP6 = 8,
	TYPE_PROTO = 12,
	TYPE_PORT = 13,
	TYPE_MARK = 19,
	TYPE_IFNAME = 41,
};
#define PAIR(a, b) ((uint32_t)(a) << 6 | (b))
#define TRIPLE(a, b, c) (PAIR(a, b) << 6 | (c))

#define SET(n, w, type, len) {.name = n, .what = w, .key_type = type, .key_len = len}
#define SHARED(n, w, type, len)                                                                                      \
	{                                                                                                            \
		.name = n, .what = w, .key_type = type, .key_len = len, .shared = true, .host_order = true           \
	}
#define PORTS(n, type, len, vtype, vlen)                                                                             \
	{                                                                                                            \
		.name = n, .what = NFT_PORTMAP, .key_type = type, .key_len = len, .value_type = vtype,               \
		.value_len = vlen, .describe = nft_portmap_describe                                                  \
	}

const struct nft_set_def nft_sets[NFT_N_SETS] = {
	[NFT_OWNERS] = SET("owners", 0, TRIPLE(TYPE_MARK, TYPE_MARK, TYPE_MARK), 12),
	[NFT_MASQ4] = SET("masq4", NFT_MASQ, TYPE_IP4, 4),
	[NFT_MASQ6] = SET("masq6", NFT_MASQ, TYPE_IP6, 16),
	[NFT_MASQ_OWN4] = SET("masq-own4", NFT_MASQ, PAIR(TYPE_IP4, TYPE_IP4), 8),
	[NFT_MASQ_OWN6] = SET("masq-own6", NFT_MASQ, PAIR(TYPE_IP6, TYPE_IP6), 32),
	[NFT_PORT4] = PORTS("port4", PAIR(TYPE_PROTO, TYPE_PORT), 8, PAIR(TYPE_IP4, TYPE_PORT), 8),
	[NFT_PORT6] = PORTS("port6", PAIR(TYPE_PROTO, TYPE_PORT), 8, PAIR(TYPE_IP6, TYPE_PORT), 20),
	[NFT_PORT_AT4] = PORTS("port-at4", TRIPLE(TYPE_PROTO, TYPE_PORT, TYPE_IP4), 12, PAIR(TYPE_IP4, TYPE_PORT), 8),
	[NFT_PORT_AT6] =
		PORTS("port-at6", TRIPLE(TYPE_PROTO, TYPE_PORT, TYPE_IP6), 24, PAIR(TYPE_IP6, TYPE_PORT), 20),
	[NFT_PORT_NOLOCAL] = SET("port-nolocal", NFT_PORTMAP, PAIR(TYPE_PROTO, TYPE_PORT), 8),
	[NFT_HAIRPIN4] = SET("hairpin4", NFT_PORTMAP, TYPE_IP4, 4),
	[NFT_HAIRPIN6] = SET("hairpin6", NFT_PORTMAP, TYPE_IP6, 16),
	[NFT_HAIRPIN_OWN4] = SET("hairpin-own4", NFT_PORTMAP, PAIR(TYPE_IP4, TYPE_IP4), 8),
	[NFT_HAIRPIN_OWN6] = SET("hairpin-own6", NFT_PORTMAP, PAIR(TYPE_IP6, TYPE_IP6), 32),
	[NFT_HAIRPIN_ALL4] = SET("hairpin-all4", NFT_PORTMAP, TYPE_IP4, 4),
	[NFT_HAIRPIN_ALL6] = SET("hairpin-all6", NFT_PORTMAP, TYPE_IP6, 16),
	[NFT_FORWARD4] = SET("forward4", NFT_FIREWALL, TYPE_IP4, 4),
	[NFT_FORWARD6] = SET("forward6", NFT_FIREWALL, TYPE_IP6, 16),
	[NFT_BRIDGES] = SHARED("bridges", NFT_FIREWALL, TYPE_IFNAME, 16),
	[NFT_LAST_DEL] = SET("last-del", 0, TYPE_MARK, 4),
	[NFT_SAME_BRIDGE] = SHARED("same-bridge", NFT_FIREWALL, PAIR(TYPE_IFNAME, TYPE_IFNAME), 32),
};

static const struct nft_group *const groups[] = {&nft_group_masq, &nft_group_portmap, &nft_group_firewall};

/* The chain's kind and prefix length, from its name; NULL: it is none of a prefix length. */
static const struct nft_net_chain *parse_net_chain(unsigned what, const char *name, uint32_t *ret_len)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		for (size_t k = 0; what & groups[i]->what && k < groups[i]->n_net_chains; k++) {
			const struct nft_net_chain *c = &groups[i]->net_chains[k];

			if (str_starts(name, c->prefix) && str_u32(name + strlen(c->prefix), 0, 128, ret_len) == 0)
				return c;
		}
	return NULL;
}

int nft_net_names_add(struct nft_net_names *names, const char *name)
{
	char(*more)[NFT_CHAIN_NAME];

	for (size_t i = 0; i < names->n; i++)
		if (str_eq(names->v[i], name))
			return 0;
	more = realloc(names->v, (names->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	names->v = more;
	snprintf(names->v[names->n++], NFT_CHAIN_NAME, "%s", name);
	return 0;
}

/* --- is it there? --------------------------------------------------------------------------------------------- */

enum { CHECK_MAX = NFT_ASK_MAX };

struct check {
	uint32_t expected[CHECK_MAX];
	size_t first_net;
	enum nft_state state;
};

static uint32_t attr_be32(const struct nlmsghdr *m, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == type)
		return ntohl(mnl_attr_get_u32(a));
	return 0;
}

static int check_chain(size_t index, int code, const struct nlmsghdr *m, void *arg)
{
	struct check *c = arg;
	enum nft_state state = NFT_WHOLE;

	if (code == -ENOENT)
		state = index < c->first_net ? NFT_BROKEN : NFT_NET_MISSING;
	else if (code == 0 && attr_be32(m, NFTA_CHAIN_USE) != c->expected[index])
		state = NFT_BROKEN;
	if (state > c->state)
		c->state = state;
	return code == -ENOENT ? 0 : code;
}

static void put_chain(struct nft_batch *b, uint16_t type, uint16_t flags, const char *name,
		      const struct nft_chain *def)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nlmsghdr *m;

	if (!c) {
		b->failed = true;
		return;
	}
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, NFT_TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
	if (def && def->type) {
		nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, def->type);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, def->hook);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, def->priority);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	}
	m = nft_batch_begin(b, type, flags, def ? def->name : "a chain of a prefix length");
	if (m)
		nftnl_chain_nlmsg_build_payload(m, c);
	nft_batch_end(b, m);
	nftnl_chain_free(c);
}

/* A chain is used by its rules and by who jumps to it, nothing for a hook's chain and the parent for one of a
 * prefix length: so its use count tells whether the rules are all there. */
int nft_table_check(struct nft_socket *s, unsigned what, const struct nft_net_names *nets, enum nft_state *ret,
		    struct error *err)
{
	auto_batch struct nft_batch b = {0};
	struct check c = {.state = NFT_WHOLE};
	int code;

	if (nets->n > CHECK_MAX / 2)
		return error_set(err, E2BIG, "one attachment has addresses of too many prefix lengths");
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		for (size_t k = 0; what & groups[i]->what && k < groups[i]->n_chains; k++) {
			const struct nft_chain *chain = &groups[i]->chains[k];

			if (!chain->type)
				continue;
			c.expected[b.n] = chain->n_rules;
			put_chain(&b, NFT_MSG_GETCHAIN, 0, chain->name, NULL);
		}
	c.first_net = b.n;
	for (size_t i = 0; i < nets->n; i++) {
		uint32_t len;

		c.expected[b.n] = parse_net_chain(what, nets->v[i], &len)->n_rules + 1;
		put_chain(&b, NFT_MSG_GETCHAIN, 0, nets->v[i], NULL);
	}
	code = nft_ask(s, &b, check_chain, &c, err);
	if (code == 0)
		*ret = c.state;
	return code;
}

/* --- making it ------------------------------------------------------------------------------------------------ */

static void put_table(struct nft_batch *b, uint16_t type, uint16_t flags)
{
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *m;

	if (!t) {
		b->failed = true;
		return;
	}
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, NFT_TABLE);
	m = nft_batch_begin(b, type, flags, "the table");
	if (m)
		nftnl_table_nlmsg_build_payload(m, t);
	nft_batch_end(b, m);
	nftnl_table_free(t);
}

/* Interface names and marks are in the host's order, which nft(8) wants to be told of. */
static void set_byte_order(struct nftnl_set *s, const struct nft_set_def *d)
{
	enum { HOST_ENDIAN = 1 };
	struct nftnl_udata_buf *u;

	if (!d->host_order)
		return;
	u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	if (!u)
		return; /* only the listing would be prettier */
	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, HOST_ENDIAN);
	nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
}

/* A set by its name; NULL without memory. */
static struct nftnl_set *begin_set(struct nft_batch *b, uint32_t id)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s) {
		b->failed = true;
		return NULL;
	}
	nftnl_set_set_str(s, NFTNL_SET_TABLE, NFT_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, nft_sets[id].name);
	return s;
}

static void end_set(struct nft_batch *b, struct nftnl_set *s, uint16_t type, uint16_t flags, uint32_t id)
{
	struct nlmsghdr *m = nft_batch_begin(b, type, flags, nft_sets[id].name);

	if (m)
		nftnl_set_nlmsg_build_payload(m, s);
	nft_batch_end(b, m);
	nftnl_set_free(s);
}

static void put_set(struct nft_batch *b, uint32_t id)
{
	const struct nft_set_def *d = &nft_sets[id];
	struct nftnl_set *s = begin_set(b, id);

	if (!s)
		return;
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, d->value_len ? NFT_SET_MAP : 0);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, d->key_type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, d->key_len);
	if (d->value_len) {
		nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, d->value_type);
		nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, d->value_len);
	}
	set_byte_order(s, d);
	end_set(b, s, NFT_MSG_NEWSET, NLM_F_CREATE, id);
}

static void flush_chain(struct nft_batch *b, const char *name)
{
	struct nftnl_rule *r = nftnl_rule_alloc();
	struct nlmsghdr *m;

	if (!r) {
		b->failed = true;
		return;
	}
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, NFT_TABLE);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, name);
	m = nft_batch_begin(b, NFT_MSG_DELRULE, 0, "a chain's old rules");
	if (m)
		nftnl_rule_nlmsg_build_payload(m, r);
	nft_batch_end(b, m);
	nftnl_rule_free(r);
}

/* All chains before any rule, because rules jump to chains. */
static void put_group(struct nft_batch *b, const struct nft_group *g)
{
	for (uint32_t id = NFT_OWNERS; id < NFT_N_SETS; id++)
		if (nft_sets[id].what & g->what)
			put_set(b, id);
	for (size_t i = 0; i < g->n_chains; i++)
		put_chain(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, g->chains[i].name, &g->chains[i]);
	for (size_t i = 0; i < g->n_chains; i++) {
		flush_chain(b, g->chains[i].name);
		g->chains[i].rules(b, g->chains[i].name);
	}
}

static void put_net_chain(struct nft_batch *b, unsigned what, const char *name)
{
	uint32_t len;
	const struct nft_net_chain *c = parse_net_chain(what, name, &len);
	struct nft_rule jump;

	put_chain(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, name, NULL);
	flush_chain(b, name);
	c->rules(b, name, c->family, len);
	jump = nft_rule_begin(c->parent, "the jump to a chain of a prefix length");
	nft_verdict(&jump, NFT_JUMP, name);
	nft_rule_insert(&jump, b);
}

/* --- chains of a prefix length that are there already --------------------------------------------------------- */

struct present {
	unsigned what;
	struct nft_net_names *names;
};

static int note_chain(size_t index, int code, const struct nlmsghdr *m, void *arg)
{
	struct present *p = arg;
	const char *table = NULL, *name = NULL;
	const struct nfgenmsg *g;
	const struct nlattr *a;
	uint32_t len;

	(void)index;
	if (code < 0)
		return code == -ENOENT ? 0 : code;
	g = mnl_nlmsg_get_payload(m);
	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(a) == NFTA_CHAIN_TABLE)
			table = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == NFTA_CHAIN_NAME)
			name = mnl_attr_get_str(a);
	}
	if (g->nfgen_family != NFPROTO_INET || !str_eq(table, NFT_TABLE) || !name ||
	    !parse_net_chain(p->what, name, &len))
		return 0;
	return nft_net_names_add(p->names, name);
}

/* Whoever flushed the hooks' chains has probably flushed these too, and others' addresses still need them. */
static int list_net_chains(struct nft_socket *s, unsigned what, struct nft_net_names *names, struct error *err)
{
	auto_batch struct nft_batch question = {0};
	struct present p = {.what = what, .names = names};

	nft_batch_end(&question, nft_batch_begin(&question, NFT_MSG_GETCHAIN, NLM_F_DUMP, "chains"));
	return nft_dump(s, &question, note_chain, &p, err);
}

/* --- putting it right ----------------------------------------------------------------------------------------- */

/* Everything anew: the jobs' own chains, and all chains of a prefix length. */
static int put_all(struct nft_socket *s, struct nft_batch *b, unsigned what, const struct nft_net_names *nets,
		   struct error *err)
{
	struct nft_net_names names = {0};
	int code = list_net_chains(s, what, &names, err);

	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	put_set(b, NFT_OWNERS);
	put_set(b, NFT_LAST_DEL);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (groups[i]->what & what)
			put_group(b, groups[i]);
	for (size_t i = 0; code == 0 && i < nets->n; i++)
		code = nft_net_names_add(&names, nets->v[i]) < 0 ? error_oom(err) : 0;
	for (size_t i = 0; code == 0 && i < names.n; i++)
		put_net_chain(b, what, names.v[i]);
	free(names.v);
	return code;
}

static int put_missing(struct nft_socket *s, struct nft_batch *b, unsigned what, const struct nft_net_names *nets,
		       struct error *err)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < nets->n; i++) {
		struct nft_net_names one = {.v = nets->v + i, .n = 1};
		enum nft_state state;

		code = nft_table_check(s, what, &one, &state, err);
		if (code == 0 && state != NFT_WHOLE)
			put_net_chain(b, what, nets->v[i]);
	}
	return code;
}

/* One attempt; -ERESTART: the ruleset changed between looking and making. */
static int make_once(struct nft_socket *s, unsigned what, const struct nft_net_names *nets, struct error *err)
{
	auto_batch struct nft_batch b = {0};
	uint32_t generation = 0;
	enum nft_state state = NFT_WHOLE;
	int code = nft_generation(s, &generation, err);

	if (code == 0)
		code = nft_table_check(s, what, nets, &state, err);
	if (code == 0 && state == NFT_BROKEN)
		code = put_all(s, &b, what, nets, err);
	else if (code == 0 && state == NFT_NET_MISSING)
		code = put_missing(s, &b, what, nets, err);
	return code < 0 ? code : nft_commit(s, &b, generation, err);
}

int nft_table_make(struct nft_socket *s, unsigned what, const struct nft_net_names *nets, struct error *err)
{
	int code = -ERESTART;
	struct error why;

	for (int i = 0; code == -ERESTART && i < NFT_TRIES; i++)
		code = make_once(s, what, nets, &why);
	if (code < 0 && err)
		*err = why;
	/* The transaction brings everything it speaks of; what the kernel misses is code. */
	if (code == -ENOENT)
		return error_wrap(
			err,
			"the kernel lacks a part of nftables (modules nft_chain_nat, nft_masq, nft_nat, nft_ct, nft_fib_inet)");
	return code;
}

/* Without NLM_F_NONREC the kernel would delete a set with all that is in it. */
static void put_drop(struct nft_batch *b)
{
	struct nftnl_set *owners = begin_set(b, NFT_OWNERS);

	if (owners)
		end_set(b, owners, NFT_MSG_DELSET, NLM_F_NONREC, NFT_OWNERS);
	put_table(b, NFT_MSG_DELTABLE, 0);
}

int nft_table_drop(struct nft_socket *s, struct error *err)
{
	auto_batch struct nft_batch b = {0};
	struct error why;
	int code;

	put_drop(&b);
	code = nft_commit(s, &b, 0, &why);
	if (code == -EBUSY || code == -ENOENT)
		return 0;
	if (code < 0 && err)
		*err = why;
	return code;
}

/* The one element of the set `last-del`. */
static struct nft_elem own_name(void)
{
	struct nft_elem e = {.key.set = NFT_LAST_DEL};
	uint32_t pid = (uint32_t)getpid();

	memcpy(e.key.key, &pid, sizeof(pid));
	return e;
}

void nft_table_put_last_del(struct nft_batch *b)
{
	struct nft_elem own = own_name();

	nft_elem_flush(b, NFT_LAST_DEL);
	nft_elem_add(b, &own, "process", NULL, 0);
}

void nft_table_drop_later(struct nft_socket *s)
{
	auto_batch struct nft_batch b = {0};
	struct nft_elem own = own_name();

	nft_elem_del(&b, &own.key); /* it must be there */
	put_drop(&b);
	nft_commit_later(s, &b);
}
