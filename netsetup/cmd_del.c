/* netsetup del: undoes what the records of a container say, newest first. */
#include "attach.h"
#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "str.h"

struct del_options {
	const char *id, *netns;
};
static const struct cli_option del_options[] = {
	{"id", 0, CLI_STRING, offsetof(struct del_options, id), "ID", "the container's id"},
	/* The record knows it, and knows whether it is still the same one. */
	{"netns", 0, CLI_STRING, offsetof(struct del_options, netns), "NAME|PATH", NULL},
	{0},
};

struct item {
	const char *path;
	char created[STR_TIME_SIZE];
};

/* Newest first. A record that cannot be read is of no time: last. */
static int newest_first(const void *a, const void *b)
{
	return strcmp(((const struct item *)b)->created, ((const struct item *)a)->created);
}

/* Whether the record is wanted, and when it was made. */
static bool consider(struct item *item, char *const *ifnames)
{
	auto_json struct json_doc *doc = NULL;
	struct record r;

	if (record_load(item->path, &doc, &r, NULL) < 0)
		return !*ifnames;
	snprintf(item->created, sizeof(item->created), "%s", r.created ? r.created : "");
	return !*ifnames || strv_has(ifnames, r.ifname);
}

static int undo_items(struct item *items, size_t n, struct error *err)
{
	int code = 0;

	qsort(items, n, sizeof(*items), newest_first);
	for (size_t i = 0; i < n; i++) {
		int one = attach_undo(items[i].path, code < 0 ? NULL : err);

		code = code < 0 ? code : one;
	}
	return code;
}

static int del_all(const struct del_options *o, char *const *ifnames, struct error *err)
{
	auto_strv char **paths = NULL;
	auto_free struct item *items = NULL;
	size_t n = 0;
	int code;

	if (str_empty(o->id) || !call_id_valid(o->id))
		return error_set(err, EINVAL, "--id: a container's id is needed");
	code = record_paths(o->id, &paths, err);
	if (code < 0)
		return code;
	items = calloc(strv_len(paths) + 1, sizeof(*items));
	if (!items)
		return error_oom(err);
	for (char **p = paths; p && *p; p++) {
		items[n].path = *p;
		n += consider(&items[n], ifnames);
	}
	code = undo_items(items, n, err);
	record_sweep(o->id);
	return code;
}

static int run_del(void *options, int argc, char **argv)
{
	struct error err = {0};

	(void)argc;
	return del_all(options, argv, &err) < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_del = {
	.name = "del",
	.args = "[IFNAME...]",
	.help = "undo attachments of a container",
	.details = "   All of them, or those of the interfaces given, by the records that `netsetup add` and the plugins have written:\n"
		   "   also those that were not completed, and also when the network namespace is gone. Nothing recorded is success.",
	.options = del_options,
	.options_size = sizeof(struct del_options),
	.max_args = -1,
	.run = run_del,
};
