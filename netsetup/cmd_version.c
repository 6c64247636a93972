/* netsetup version. */
#include "commands.h"
#include "netsetup.h"

#include <stdio.h>

static int run_version(void *options, int argc, char **argv)
{
	size_t n;
	const char *const *versions = conf_versions(&n);

	(void)options;
	(void)argc;
	(void)argv;
	printf("%s version %s\ncni:", netsetup_program.name, netsetup_program.version);
	for (size_t i = 0; i < n; i++)
		printf(" %s", versions[i]);
	printf("\nplugins:");
	for (const struct plugin *const *p = plugins; *p; p++)
		printf(" %s", (*p)->type);
	putchar('\n');
	return 0;
}

const struct cli_command cmd_version = {
	.name = "version",
	.help = "print the version, CNI's versions and the plugins",
	.run = run_version,
};
