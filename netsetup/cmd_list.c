/* netsetup list: the attachments that are recorded. */
#include "commands.h"
#include "record.h"

#include <stdio.h>

#include "cleanup.h"
#include "str.h"

struct list_options {
	bool json;
};
static const struct cli_option list_options[] = {
	{"json", 0, CLI_BOOL, offsetof(struct list_options, json), NULL, "print the records, with their state"},
	{0},
};

static const char *state_of(const struct record *r, const char *path)
{
	auto_close int netns = -1;

	if (!r->result)
		return record_locked(path) ? "being made" : "incomplete";
	netns = record_netns(r);
	return netns < 0 ? "stale" : "ready";
}

static void put_addresses(struct json_doc *doc, const struct record *r, struct buf *out)
{
	struct cni_result result;

	if (!r->result || result_decode(doc, r->result, NULL, &result, NULL) < 0 || result.n_ips == 0) {
		buf_putc(out, '-');
		return;
	}
	for (size_t i = 0; i < result.n_ips; i++)
		buf_printf(out, "%s%s", i ? "," : "", result.ips[i].address);
}

static int print_row(const char *path)
{
	auto_json struct json_doc *doc = NULL;
	auto_buf struct buf addresses = {0};
	struct record r;

	if (record_load(path, &doc, &r, NULL) < 0)
		return 0;
	put_addresses(doc, &r, &addresses);
	printf("%-24s %-12s %-16s %-12s %-11s %s\n", r.container_id, r.ifname, r.network, r.type ? r.type : "(list)",
	       state_of(&r, path), addresses.data);
	return 0;
}

static int add_object(struct json_doc *doc, struct json_value *all, const char *path)
{
	auto_json struct json_doc *own = NULL;
	struct json_value *o;
	struct record r;

	if (record_load(path, &own, &r, NULL) < 0)
		return 0;
	o = json_copy(doc, json_root(own));
	if (json_set(doc, o, "state", json_make_text(doc, state_of(&r, path))) < 0)
		return -1;
	return json_append(doc, all, o);
}

static int print_json(char **paths, struct error *err)
{
	auto_json struct json_doc *doc = json_new();
	struct json_value *all = doc ? json_make(doc, JSON_ARRAY) : NULL;
	auto_buf struct buf out = {0};

	if (!all)
		return error_oom(err);
	for (char **p = paths; p && *p; p++)
		if (add_object(doc, all, *p) < 0)
			return error_oom(err);
	json_write(&out, all, 2);
	if (out.failed)
		return error_oom(err);
	puts(out.data);
	return 0;
}

static int run_list(void *options, int argc, char **argv)
{
	const struct list_options *o = options;
	auto_strv char **paths = NULL;
	struct error err = {0};
	int code = record_paths(NULL, &paths, &err);

	(void)argc;
	(void)argv;
	if (code == 0 && o->json) {
		code = print_json(paths, &err);
	} else if (code == 0) {
		printf("%-24s %-12s %-16s %-12s %-11s %s\n", "ID", "IFNAME", "NETWORK", "PLUGIN", "STATE", "ADDRESSES");
		for (char **p = paths; p && *p; p++)
			print_row(*p);
	}
	return code < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_list = {
	.name = "list",
	.help = "list attachments",
	.details = "   STATE is ready, being made, incomplete (its maker was killed) or stale (its network namespace is gone).\n"
		   "   `netsetup gc` removes the last two.",
	.options = list_options,
	.options_size = sizeof(struct list_options),
	.run = run_list,
};
