/* The table of verbs, and how they fail. */
#include "commands.h"

#include <stdio.h>

#include "error.h"
#include "version.h"

static const struct cli_command *const commands[] = {
	&cmd_add,  &cmd_del,  &cmd_check, &cmd_gc,  &cmd_list,	  &cmd_status,
	&cmd_move, &cmd_show, &cmd_keep,  &cmd_key, &cmd_version, &cmd_help,
	NULL,
};

const struct cli_program netsetup_program = {
	.name = "netsetup",
	.summary = "container networks: CNI plugins and a helper for them",
	.version = PROJECT_VERSION " (" GIT_COMMIT ")",
	.commands = commands,
};

int command_failed(const struct error *err)
{
	fprintf(stderr, "netsetup: %s\n", err->msg);
	return 1;
}
