#include <errno.h>

#include "commands.h"
#include "container.h"
#include "error.h"
#include "exec.h"

enum { EXEC_FAILED = 255 }; /* unlike what programs use to exit with */

static const struct cli_option options[] = {
	{"process", 'p', CLI_STRING, offsetof(struct exec_options, process), "FILE", "what to run, as a process object in JSON"},
	{"tty", 't', CLI_BOOL, offsetof(struct exec_options, tty), NULL, "give it a terminal"},
	{"user", 'u', CLI_STRING, offsetof(struct exec_options, user), "UID[:GID]", "run as this user, in numbers"},
	{"additional-gids", 'g', CLI_STRINGS, offsetof(struct exec_options, additional_gids), "GID",
	 "another group (may be repeated)"},
	{"env", 'e', CLI_STRINGS, offsetof(struct exec_options, env), "NAME=VALUE", "set a variable (may be repeated)"},
	{"cwd", 0, CLI_STRING, offsetof(struct exec_options, cwd), "DIR", "working directory in the container"},
	{"cap", 'c', CLI_STRINGS, offsetof(struct exec_options, caps), "CAP", "add a capability (may be repeated)"},
	{"no-new-privs", 0, CLI_BOOL, offsetof(struct exec_options, no_new_privs), NULL, "set no_new_privs"},
	{"detach", 'd', CLI_BOOL, offsetof(struct exec_options, detach), NULL, "leave the process in the background"},
	{"pid-file", 0, CLI_STRING, offsetof(struct exec_options, pid_file), "FILE", "where to write the process id"},
	{"console-socket", 0, CLI_STRING, offsetof(struct exec_options, console_socket), "SOCKET",
	 "AF_UNIX socket that receives the master of the terminal"},
	{"pidfd-socket", 0, CLI_STRING, offsetof(struct exec_options, pidfd_socket), "SOCKET",
	 "AF_UNIX socket that receives a pidfd of the process"},
	{"preserve-fds", 0, CLI_U32, offsetof(struct exec_options, preserve_fds), "N",
	 "pass N additional descriptors (3 and up) to the process"},
	{"cgroup", 0, CLI_STRINGS, offsetof(struct exec_options, cgroups), "[CONTROLLER,...:]PATH",
	 "run in this cgroup beneath the container's (may be repeated)"},
	{"ignore-paused", 0, CLI_BOOL, offsetof(struct exec_options, ignore_paused), NULL, "also in a paused container"},
	{"apparmor", 0, CLI_STRING, offsetof(struct exec_options, apparmor), "PROFILE",
	 "AppArmor profile, in place of the container's"},
	{"process-label", 0, CLI_STRING, offsetof(struct exec_options, process_label), "LABEL", NULL},
	{.kind = CLI_END},
};

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	struct exec_options *o = arg;
	struct error err = {0};
	int rc = 0;

	if (argc < 2 && !o->process)
		rc = error_set(&err, EINVAL, "process args cannot be empty: name a program, or give --process");
	if (rc == 0)
		rc = container_open(&c, argv[0], false, &err);
	if (rc == 0)
		rc = container_exec(&c, o, argv + 1, &err);
	if (rc >= 0)
		return rc;
	command_failed(&err);
	return EXEC_FAILED;
}

const struct cli_command cmd_exec = {
	.name = "exec",
	.args = "ID COMMAND [ARGUMENT...]",
	.help = "run another process in a running container",
	.options = options,
	.options_size = sizeof(struct exec_options),
	.min_args = 1,
	.max_args = -1,
	.stop_at_args = true,
	.run = run,
	.flags = CMD_SEALED,
};
