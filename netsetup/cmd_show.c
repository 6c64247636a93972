#include <stdio.h>

#include "cleanup.h"
#include "commands.h"
#include "show.h"
#include "str.h"

struct show_options {
	char **netns;
};

static const struct cli_option options[] = {
	{"netns", 'n', CLI_STRINGS, offsetof(struct show_options, netns), "PATH",
	 "this namespace (may be repeated; default: the caller's own)"},
	{.kind = CLI_END},
};

static int show_all(struct json_doc *doc, char *const *paths, size_t n, struct json_value *out, struct error *err)
{
	struct show_netns *list = calloc(n, sizeof(*list));
	struct json_value *array = json_make(doc, JSON_ARRAY);
	size_t i, done = 0;
	int r = list ? 0 : error_oom(err);

	for (; r == 0 && done < n; done += r == 0)
		r = show_netns(doc, paths ? paths[done] : NULL, &list[done], err);
	if (r == 0)
		r = show_peers(doc, list, n, err);
	for (i = 0; r == 0 && i < n; i++)
		json_append(doc, array, list[i].value);
	for (i = 0; i < done; i++)
		show_netns_close(&list[i]);
	free(list);
	if (r == 0 && json_set(doc, out, "namespaces", array) < 0)
		return error_oom(err);
	return r;
}

static int run(void *arg, int argc, char **argv)
{
	const struct show_options *o = arg;
	auto_json struct json_doc *doc = json_new();
	struct json_value *out = json_make(doc, JSON_OBJECT);
	auto_buf struct buf b = {0};
	struct error err = {0};
	size_t n = strv_len(o->netns);

	(void)argc;
	(void)argv;
	if (show_all(doc, o->netns, n ? n : 1, out, &err) < 0)
		return command_failed(&err);
	json_write(&b, out, 2);
	buf_putc(&b, '\n');
	if (b.failed || fwrite(b.data, 1, b.len, stdout) != b.len || fflush(stdout) != 0) {
		error_sys(&err, "cannot write to stdout");
		return command_failed(&err);
	}
	return 0;
}

const struct cli_command cmd_show = {
	.name = "show",
	.args = "",
	.help = "links, addresses, routes and WireGuard peers of namespaces, as JSON",
	.options = options,
	.options_size = sizeof(struct show_options),
	.max_args = 0,
	.run = run,
};
