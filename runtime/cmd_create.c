#include "commands.h"
#include "create_options.h"
#include "error.h"

static const struct cli_option options[] = {
	CREATE_OPTIONS,
	{"no-subreaper", 0, CLI_BOOL, offsetof(struct create_options, no_subreaper), NULL, NULL},
	{.kind = CLI_END},
};

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	struct error err = {0};

	(void)argc;
	return container_create(&c, argv[0], arg, &err) < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_create = {
	.name = "create",
	.args = "ID",
	.help = "create a container; its program waits for `start`",
	.options = options,
	.options_size = sizeof(struct create_options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
	.flags = CMD_SEALED,
};
