/* Taking back, checking, sweeping: the same for all jobs, because owners' entries know what there is. */
#include "nft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "nft_plan.h"
#include "str.h"

/* Each bit of `what`, lowest first. */
#define FOR_EACH_JOB(job, what) for (unsigned job = 1; job <= NFT_ALL; job <<= 1) if ((what)&job)

static void own_mark(const struct cni_call *call, const struct cni_conf *conf, char out[NFT_MARK_SIZE])
{
	nft_mark(conf->name, call->container_id, call->ifname, out);
}

int nft_del(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err)
{
	auto_nft struct nft_socket s = {.fd = -1};
	char mark[NFT_MARK_SIZE];
	int code;

	if (call->host_fd < 0)
		return 0;
	code = nft_open(call->host_fd, &s, err);
	own_mark(call, conf, mark);
	FOR_EACH_JOB(job, what)
		if (code == 0)
			code = nft_owner_remove(&s, mark, job, err);
	if (code == 0)
		nft_table_drop_later(&s);
	return code;
}

/* --- check ---------------------------------------------------------------------------------------------------- */

static const struct word job_names[] = {
	{"masquerading", NFT_MASQ},
	{"port maps", NFT_PORTMAP},
	{"forwarding", NFT_FIREWALL},
	{NULL, 0},
};

static int missing(const char *mark, unsigned job, const char *what, const char *set, struct error *err)
{
	return error_set(err, ENOENT, "%s of %s: %s%s%s not in nftables table inet " NFT_TABLE
			 "; was the ruleset flushed? (attach the container anew)",
			 word_name(job_names, (int)job), mark, what, set ? " " : "", set ? set : "");
}

static int check_job(struct nft_socket *s, const char *mark, unsigned job, struct error *err)
{
	auto_free struct nft_key *keys = NULL;
	auto_free struct nft_found *found = NULL;
	unsigned entries = 0;
	size_t n = 0;
	static const struct nft_net_names none;
	enum nft_state state;
	int code = nft_table_check(s, job, &none, &state, err);

	if (code == 0 && state != NFT_WHOLE)
		return missing(mark, job, "the rules are", NULL, err);
	if (code == 0)
		code = nft_owner_load(s, mark, job, &keys, &n, &entries, err);
	if (code < 0)
		return code;
	if (entries == 0)
		return missing(mark, job, "its entry is", NULL, err);
	found = calloc(n + 1, sizeof(*found));
	if (!found)
		return error_oom(err);
	code = nft_elem_get(s, keys, n, found, err);
	for (size_t i = 0; code == 0 && i < n; i++) {
		if (!found[i].there || (!nft_sets[keys[i].set].shared && !str_eq(found[i].comment, mark)))
			code = missing(mark, job, "its element is missing or another's:", nft_sets[keys[i].set].name,
				       err);
	}
	return code;
}

int nft_check(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err)
{
	auto_nft struct nft_socket s = {.fd = -1};
	char mark[NFT_MARK_SIZE];
	int code = nft_open(call->host_fd, &s, err);

	own_mark(call, conf, mark);
	FOR_EACH_JOB(job, what)
		if (code == 0)
			code = check_job(&s, mark, job, err);
	return code;
}

/* --- gc ------------------------------------------------------------------------------------------------------- */

struct sweep {
	unsigned what;
	char network[NFT_MARK_SIZE]; /* what marks of the network start with */
	char **valid;		     /* marks */
	char **dead;		     /* found so: "JOB:mark" */
};

static int note_dead(const struct nft_key *k, const struct nft_found *f, void *arg)
{
	struct sweep *w = arg;
	uint32_t last;

	memcpy(&last, k->key + sizeof(uint64_t), sizeof(last));
	/* An owner's first entry stands for all of them. */
	if ((last & 0xffffff) != 0 || !(last >> 24 & w->what))
		return 0;
	if (!str_starts(f->comment, w->network) || strv_has(w->valid, f->comment))
		return 0;
	return strv_addf(&w->dead, "%u:%s", last >> 24, f->comment);
}

static int list_valid(const struct cni_conf *conf, struct sweep *w)
{
	const struct json_value *list = conf->valid_attachments;
	size_t n = list && list->what == JSON_ARRAY ? list->n : 0;

	for (size_t i = 0; i < n; i++) {
		const struct json_value *a = list->items[i];
		char mark[NFT_MARK_SIZE];

		nft_mark(conf->name ? conf->name : json_get_text(a, "network"), json_get_text(a, "containerID"),
			 json_get_text(a, "ifname"), mark);
		if (strv_add(&w->valid, mark) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int sweep(int netns_fd, struct sweep *w, struct error *err)
{
	auto_nft struct nft_socket s = {.fd = -1};
	int code = nft_open(netns_fd, &s, err);

	if (code == 0)
		code = nft_elem_list(&s, NFT_OWNERS, note_dead, w, err);
	for (char **d = w->dead; code == 0 && d && *d; d++) {
		char *mark;
		unsigned job = (unsigned)strtoul(*d, &mark, 10);

		code = nft_owner_remove(&s, mark + 1, job, err);
	}
	return code < 0 ? code : nft_table_drop(&s, err);
}

int nft_gc(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err)
{
	struct sweep w = {.what = what, .network = "nsrun:"};
	int code;

	if (call->host_fd < 0)
		return 0;
	if (conf->name) {
		nft_mark(conf->name, "", "", w.network);
		/* "nsrun:NETWORK//": all but the last slash is what the network's marks have in common. */
		w.network[strlen(w.network) - 1] = '\0';
	}
	code = list_valid(conf, &w) < 0 ? error_oom(err) : sweep(call->host_fd, &w, err);
	strv_free(w.valid);
	strv_free(w.dead);
	return code;
}
