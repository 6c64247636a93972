#include "commands.h"
#include "container.h"
#include "error.h"

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	struct error err = {0};

	(void)arg, (void)argc;
	if (container_open(&c, argv[0], true, &err) == 0 && container_resume(&c, &err) == 0)
		return 0;
	return command_failed(&err);
}

const struct cli_command cmd_resume = {
	.name = "resume",
	.args = "ID",
	.help = "let a paused container go on",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
