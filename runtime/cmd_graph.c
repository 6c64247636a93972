#include <stdio.h>
#include <time.h>

#include "cleanup.h"
#include "commands.h"
#include "error.h"
#include "graph.h"
#include "str.h"

struct graph_options {
	const char *format;
};

static const struct cli_option options[] = {
	{"format", 'f', CLI_STRING, offsetof(struct graph_options, format), "FORMAT",
	 "tree (default), dot (for Graphviz) or json"},
	{.kind = CLI_END},
};

static const struct {
	const char *name;
	void (*write)(const struct graph *g, int64_t now, struct buf *out);
} formats[] = {{"tree", graph_tree}, {"dot", graph_dot}, {"json", graph_json}};

static int run(void *arg, int argc, char **argv)
{
	const struct graph_options *o = arg;
	const char *format = o->format ? o->format : "tree";
	auto_buf struct buf out = {0};
	struct error err = {0};
	struct graph g;
	size_t i = 0;

	(void)argc;
	while (i < ARRAY_SIZE(formats) && !str_eq(formats[i].name, format))
		i++;
	if (i == ARRAY_SIZE(formats)) {
		error_set(&err, EINVAL, "unknown format '%s': tree, dot and json are there", format);
		return command_failed(&err);
	}
	if (graph_read(argv, &g, &err) < 0)
		return command_failed(&err);
	formats[i].write(&g, time(NULL), &out);
	graph_free(&g);
	if (out.failed || fwrite(out.data ? out.data : "", 1, out.len, stdout) != out.len || fflush(stdout) != 0) {
		error_sys(&err, "cannot write to stdout");
		return command_failed(&err);
	}
	return 0;
}

const struct cli_command cmd_graph = {
	.name = "graph",
	.args = "[ID...]",
	.help = "draw the containers' network namespaces, links, addresses and routes",
	.details = "Without ID: all containers that have processes. `nsrun graph -f dot | dot -Tsvg` makes an SVG file.",
	.options = options,
	.options_size = sizeof(struct graph_options),
	.max_args = -1,
	.run = run,
};
