#include <stdio.h>

#include "commands.h"
#include "container.h"
#include "error.h"
#include "str.h"

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	auto_buf struct buf b = {0};
	struct error err = {0};

	(void)arg, (void)argc;
	if (container_open(&c, argv[0], false, &err) < 0)
		return command_failed(&err);
	state_write_oci(&b, &c.state, word_name(status_words, c.state.status), c.pidfd < 0 ? 0 : c.state.pid, 2);
	if (b.failed) {
		error_oom(&err);
		return command_failed(&err);
	}
	puts(b.data);
	return 0;
}

const struct cli_command cmd_state = {
	.name = "state",
	.args = "ID",
	.help = "print the state of a container as JSON",
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
