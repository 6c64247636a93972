/* netsetup gc: removes what no living attachment owns.
 *
 * First attachments: those that were not completed and that nobody is working on, and those whose network namespace is gone, are
 * undone by their records. Then what is left without a record: leases, elements of the nftables table, ends of veth pairs,
 * WireGuard processes, empty bridges of ours. Nobody can make an attachment meanwhile (record_lock_all()). */
#include "attach.h"
#include "bridge.h"
#include "commands.h"
#include "nft.h"
#include "veth.h"

#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "str.h"

/* Alive: add it to the list of the valid. Otherwise its reason to go, or NULL when it is left alone. */
static const char *judge(const struct record *r)
{
	auto_close int netns = -1;

	if (!r->result)
		return "not completed";
	netns = record_netns(r);
	return netns < 0 ? "its network namespace is gone" : NULL;
}

static int keep(struct json_doc *doc, struct json_value *valid, const struct record *r)
{
	struct json_value *o = json_make(doc, JSON_OBJECT);

	if (json_set(doc, o, "containerID", json_make_text(doc, r->container_id)) < 0 ||
	    json_set(doc, o, "ifname", json_make_text(doc, r->ifname)) < 0 ||
	    json_set(doc, o, "network", json_make_text(doc, r->network)) < 0)
		return -ENOMEM;
	return json_append(doc, valid, o);
}

/* One that is being made cannot be here: its maker shares the lock that we have alone. One that is being undone can; it is
 * left to whoever does that. */
static int collect_one(const char *path, struct json_doc *doc, struct json_value *valid, struct error *err)
{
	auto_json struct json_doc *own = NULL;
	const char *why;
	struct record r;
	int code = record_load(path, &own, &r, err);

	if (code == -ENOENT)
		return 0;
	if (code == -EINVAL)
		return attach_undo(path, err);
	if (code < 0)
		return code;
	why = judge(&r);
	if (!why)
		return keep(doc, valid, &r) < 0 ? error_oom(err) : 0;
	code = attach_undo(path, err);
	if (code == 0)
		printf("removed %s/%s: %s\n", r.container_id, r.ifname, why);
	/* What cannot be undone now keeps what it owns until it can. */
	else if (keep(doc, valid, &r) < 0)
		return error_oom(err);
	return code;
}

static int collect(struct json_doc *doc, struct json_value *valid, struct error *err)
{
	auto_strv char **paths = NULL;
	int code = record_paths(NULL, &paths, err);

	for (char **p = paths; p && *p; p++) {
		int one = collect_one(*p, doc, valid, code < 0 ? NULL : err);

		if (one == -ENOMEM)
			return one;
		code = code < 0 ? code : one;
	}
	return code;
}

static int nft_gc_all(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return nft_gc(call, conf, NFT_ALL, err);
}

static int tuning_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return plugin_tuning.gc(call, conf, err);
}

static int wireguard_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return plugin_wireguard.gc(call, conf, err);
}

/* Each sweeps all networks: the configuration has no name. */
static int sweep(struct json_doc *doc, struct json_value *valid, struct error *err)
{
	static int (*const sweepers[])(struct cni_call *, struct cni_conf *, struct error *) = {
		veth_gc, nft_gc_all, tuning_gc, wireguard_gc, ipam_gc, bridge_gc_empty,
	};
	struct cni_call call = CALL_INIT;
	struct cni_conf conf = {
		.cni_version = "1.1.0", .valid_attachments = valid, .doc = doc, .raw = json_make(doc, JSON_OBJECT)};
	int code;

	call.command = CNI_GC;
	code = conf.raw ? call_open(&call, &conf, err) : error_oom(err);
	for (size_t i = 0; i < ARRAY_SIZE(sweepers) && call.own_fd >= 0; i++) {
		int one = sweepers[i](&call, &conf, code < 0 ? NULL : err);

		code = code < 0 ? code : one;
	}
	call_close(&call);
	return code;
}

static int gc(struct error *err)
{
	auto_json struct json_doc *doc = json_new();
	struct json_value *valid = doc ? json_make(doc, JSON_ARRAY) : NULL;
	auto_close int lock = -1;
	int code, next;

	if (!valid)
		return error_oom(err);
	lock = record_lock_all(err);
	if (lock < 0)
		return lock;
	code = collect(doc, valid, err);
	if (code == -ENOMEM)
		return code;
	record_sweep(NULL);
	next = sweep(doc, valid, code < 0 ? NULL : err);
	return code < 0 ? code : next;
}

static int run_gc(void *options, int argc, char **argv)
{
	struct error err = {0};

	(void)options;
	(void)argc;
	(void)argv;
	return gc(&err) < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_gc = {
	.name = "gc",
	.help = "remove what no living attachment owns",
	.details = "   Attachments that were not completed or whose network namespace is gone; leases, nftables elements, veth ends and\n"
		   "   WireGuard processes without an attachment; bridges of ours without ports. Prints what it has removed.",
	.run = run_gc,
};
