#include <errno.h>
#include <signal.h>

#include "commands.h"
#include "container.h"
#include "error.h"
#include "spawn.h"

struct options {
	bool all;
};

static const struct cli_option options[] = {
	{"all", 'a', CLI_BOOL, offsetof(struct options, all), NULL, "send the signal to every process of the container"},
	{.kind = CLI_END},
};

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	const struct options *o = arg;
	struct error err = {0};
	int signo = argc > 1 ? signal_number(argv[1]) : SIGTERM;

	if (signo < 0)
		error_set(&err, EINVAL, "unknown signal \"%s\"", argv[1]);
	else if (container_open(&c, argv[0], false, &err) == 0 && container_kill(&c, signo, o->all, &err) == 0)
		return 0;
	return command_failed(&err);
}

const struct cli_command cmd_kill = {
	.name = "kill",
	.args = "ID [SIGNAL]",
	.help = "send a signal (default: TERM) to the init process of a container",
	.options = options,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
