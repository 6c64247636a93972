#include <seccomp.h>
#include <stdio.h>

#include "commands.h"
#include "version.h"

static int run(void *options, int argc, char **argv)
{
	const struct scmp_version *v = seccomp_version();

	(void)options, (void)argc, (void)argv;
	/* Engines look for the word "version" in the first line and for lines "commit:" and "spec:". */
	printf("nsrun version %s\ncommit: %s\nspec: %s\n", PROJECT_VERSION, GIT_COMMIT, OCI_SPEC_VERSION);
	if (v)
		printf("libseccomp: %u.%u.%u\n", v->major, v->minor, v->micro);
	return 0;
}

const struct cli_command cmd_version = {
	.name = "version",
	.help = "print the version",
	.max_args = 0,
	.run = run,
};
