/* netsetup: a CNI plugin when CNI_COMMAND is in the environment and there are no arguments, otherwise a verb. */
#include "cni.h"
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

static int run_verb(int argc, char **argv)
{
	static const struct word flags[] = {{"--version", 'v'}, {"-v", 'v'}, {"--help", 'h'}, {"-h", 'h'}, {NULL, 0}};
	int flag = word_value(flags, argv[1]);
	const struct cli_command *c = flag == 'v' ? &cmd_version : flag == 'h' ? &cmd_help : cli_find(&netsetup_program, argv[1]);

	if (!c) {
		fprintf(stderr, "No help topic for '%s'\n", argv[1]);
		return 3;
	}
	return cli_run(&netsetup_program, c, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0] ? argv[0] : "netsetup", '/'), *command = getenv("CNI_COMMAND");
	const char *name = slash ? slash + 1 : argv[0];

	/* A runtime's hook may have CNI_COMMAND from its own caller: arguments make it a verb. */
	if (argc > 1)
		return run_verb(argc, argv);
	if (!str_empty(command))
		return cni_main(argv[0]);
	if (name && plugin_find(name)) {
		cni_about(argv[0]);
		return 0;
	}
	cli_help(&netsetup_program, stderr);
	return 1;
}
