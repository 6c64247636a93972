/* netsetup help [VERB]. */
#include "commands.h"
#include "netsetup.h"

#include <stdio.h>

static void list_plugins(void)
{
	printf("\nPLUGINS (CNI, by the environment variable CNI_COMMAND; link their names to this program):\n  ");
	for (const struct plugin *const *p = plugins; *p; p++)
		printf(" %s", (*p)->type);
	putchar('\n');
}

static int run_help(void *options, int argc, char **argv)
{
	const struct cli_command *c = argc ? cli_find(&netsetup_program, argv[0]) : NULL;

	(void)options;
	if (argc && !c) {
		fprintf(stderr, "No help topic for '%s'\n", argv[0]);
		return 3;
	}
	if (c) {
		cli_help_command(&netsetup_program, c, stdout);
		return 0;
	}
	cli_help(&netsetup_program, stdout);
	list_plugins();
	return 0;
}

const struct cli_command cmd_help = {
	.name = "help",
	.args = "[VERB]",
	.help = "show the verbs, or one verb's help",
	.max_args = 1,
	.run = run_help,
};
