/* netsetup add: makes attachments, all or none. */
#include "attach.h"
#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "netns.h"
#include "str.h"

struct add_options {
	const char *id, *netns, *capabilities, *args, *path;
	bool json;
};
static const struct cli_option add_options[] = {
	{"id", 0, CLI_STRING, offsetof(struct add_options, id), "ID", "the container's id"},
	{"netns", 0, CLI_STRING, offsetof(struct add_options, netns), "NAME|PATH", "its network namespace"},
	{"cap", 0, CLI_STRING, offsetof(struct add_options, capabilities), "JSON", "capability arguments, as {\"portMappings\": [...]}"},
	{"args", 0, CLI_STRING, offsetof(struct add_options, args), "K=V;...", "CNI_ARGS for the plugins"},
	{"path", 0, CLI_STRING, offsetof(struct add_options, path), "DIR:...", "where other plugins are (default: $CNI_PATH, or " LIST_DEFAULT_PATH ")"},
	{"json", 0, CLI_BOOL, offsetof(struct add_options, json), NULL, "print the results on one line"},
	{0},
};

/* What this process has made: undone in reverse when something after it fails. */
struct made {
	char **paths;
};

static void undo_all(struct made *m)
{
	for (size_t n = strv_len(m->paths); n-- > 0;)
		attach_undo(m->paths[n], NULL);
}

static int split(struct json_doc *doc, const char *arg, const char **ret_ifname, const char **ret_file, struct error *err)
{
	char *copy = json_strdup(doc, arg), *eq = copy ? strchr(copy, '=') : NULL;

	if (!copy)
		return error_oom(err);
	if (!eq || !eq[1])
		return error_set(err, EINVAL, "'%s': expected IFNAME=FILE", arg);
	*eq = '\0';
	if (!call_ifname_valid(copy))
		return error_set(err, EINVAL, "'%s' is no interface name", copy);
	*ret_ifname = copy;
	*ret_file = eq + 1;
	return 0;
}

/* Remembers it for the case that one after it fails, and puts its result among the others. */
static int note(struct json_doc *doc, const struct cni_call *call, const struct json_value *result,
		struct json_value *results, struct made *made, struct error *err)
{
	struct record r = {.container_id = call->container_id, .ifname = call->ifname};
	auto_free char *path = record_path(&r);
	struct json_value *copy = result ? json_copy(doc, result) : json_make(doc, JSON_OBJECT);

	if (path && strv_add(&made->paths, path) == 0 && json_set(doc, results, call->ifname, copy) == 0)
		return 0;
	if (path)
		attach_undo(path, NULL);
	return error_oom(err);
}

static int add_one(struct json_doc *doc, struct cni_call *call, const struct json_value *capabilities, const char *arg,
		   struct json_value *results, struct made *made, struct error *err)
{
	auto_json struct json_doc *file_doc = NULL;
	struct json_value *result = NULL;
	const char *file = NULL;
	struct list l;
	int code = split(doc, arg, &call->ifname, &file, err);

	if (code == 0)
		code = list_load_file(file, &file_doc, &l, err);
	if (code == 0)
		code = attach_make(&l, call, capabilities, &result, err);
	return code < 0 ? code : note(doc, call, result, results, made, err);
}

static int prepare(struct json_doc *doc, const struct add_options *o, struct cni_call *call, struct error *err)
{
	int code;

	if (str_empty(o->id) || str_empty(o->netns))
		return error_set(err, EINVAL, "--id and --netns are needed");
	if (!call_id_valid(o->id))
		return error_set(err, EINVAL, "--id: '%s' is no container id: a letter or digit, then letters, digits, '_', '.', '-'",
				 o->id);
	call->command = CNI_ADD;
	call->container_id = o->id;
	call->netns = attach_netns_path(doc, o->netns);
	call->path = o->path ? o->path : getenv("CNI_PATH");
	if (!call->netns)
		return error_oom(err);
	code = call_parse_args(doc, call, o->args, err);
	if (code < 0)
		return code;
	call->netns_fd = netns_open(call->netns, err);
	return call->netns_fd < 0 ? call->netns_fd : 0;
}

static int parse_capabilities(const char *text, struct json_doc **ret, struct error *err)
{
	struct json_doc *doc;

	if (str_empty(text))
		return 0;
	doc = json_parse("--cap", text, strlen(text), err);
	if (!doc)
		return -EINVAL;
	*ret = doc;
	if (json_root(doc)->what != JSON_OBJECT)
		return error_set(err, EINVAL, "--cap: expected an object");
	return 0;
}

static int add_all(const struct add_options *o, int argc, char **argv, struct error *err)
{
	auto_json struct json_doc *doc = json_new(), *cap_doc = NULL;
	struct json_value *results = doc ? json_make(doc, JSON_OBJECT) : NULL;
	auto_buf struct buf out = {0};
	struct cni_call call = CALL_INIT;
	struct made made = {0};
	int code = results ? prepare(doc, o, &call, err) : error_oom(err);

	if (code == 0)
		code = parse_capabilities(o->capabilities, &cap_doc, err);
	for (int i = 0; code == 0 && i < argc; i++)
		code = add_one(doc, &call, cap_doc ? json_root(cap_doc) : NULL, argv[i], results, &made, err);
	if (code == 0) {
		json_write(&out, results, o->json ? 0 : 4);
		buf_putc(&out, '\n');
		if (out.failed || fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
			code = error_set(err, EIO, "cannot write the result");
	}
	if (code < 0)
		undo_all(&made);
	strv_free(made.paths);
	call_close(&call);
	return code;
}

static int run_add(void *options, int argc, char **argv)
{
	struct error err = {0};

	return add_all(options, argc, argv, &err) < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_add = {
	.name = "add",
	.args = "IFNAME=FILE...",
	.help = "make attachments of a container, all or none",
	.details = "   FILE is a CNI network configuration (.conflist or .conf). Attachments are made in the order given; when one fails,\n"
		   "   those before it are undone. Prints {IFNAME: result}. Each is recorded before it is made, so that `netsetup del`\n"
		   "   needs no FILE, and undoes what a killed `netsetup add` has begun.",
	.options = add_options,
	.options_size = sizeof(struct add_options),
	.min_args = 1,
	.max_args = -1,
	.run = run_add,
};
