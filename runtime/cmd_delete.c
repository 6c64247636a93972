#include <errno.h>

#include "commands.h"
#include "container.h"
#include "error.h"

struct options {
	bool force;
};

static const struct cli_option options[] = {
	{"force", 'f', CLI_BOOL, offsetof(struct options, force), NULL, "kill it first if it still runs; a missing one is fine"},
	{.kind = CLI_END},
};

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	const struct options *o = arg;
	struct error err = {0};
	int rc = container_open(&c, argv[0], true, &err);

	(void)argc;
	if (rc == 0)
		rc = container_delete(&c, o->force, &err);
	return rc == 0 || (rc == -ENOENT && c.dir_fd < 0 && o->force) ? 0 : command_failed(&err);
}

const struct cli_command cmd_delete = {
	.name = "delete",
	.args = "ID",
	.help = "remove a container and everything that it made on the host",
	.options = options,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
