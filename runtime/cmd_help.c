#include <stdio.h>

#include "commands.h"

static int run(void *options, int argc, char **argv)
{
	const struct cli_command *c;

	(void)options;
	if (argc == 0) {
		cli_help(&nsrun_program, stdout);
		return 0;
	}
	c = cli_find(&nsrun_program, argv[0]);
	if (!c) {
		fprintf(stderr, "No help topic for '%s'\n", argv[0]);
		return 3;
	}
	cli_help_command(&nsrun_program, c, stdout);
	return 0;
}

const struct cli_command cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.help = "show what there is, or help for one command",
	.max_args = 1,
	.run = run,
};
