/* The tables of global options and commands, and how errors are told. */
#include <stdio.h>

#include "commands.h"
#include "error.h"
#include "log.h"
#include "version.h"

struct globals globals;

static const struct cli_option main_options[] = {
	{"debug", 0, CLI_BOOL, offsetof(struct main_options, globals.debug), NULL, "enable debug logging"},
	{"log", 0, CLI_STRING, offsetof(struct main_options, globals.log), "FILE", "write the log to FILE (default: stderr)"},
	{"log-format", 0, CLI_STRING, offsetof(struct main_options, globals.log_format), "FORMAT", "text (default) or json"},
	{"log-level", 0, CLI_STRING, offsetof(struct main_options, log_level), "LEVEL", "error, warning (default), info or debug"},
	{"root", 0, CLI_STRING, offsetof(struct main_options, globals.root), "DIR",
	 "where the containers' state is kept (default: /run/nsrun)"},
	{"cgroup-manager", 0, CLI_STRING, offsetof(struct main_options, globals.cgroup_manager), "NAME",
	 "cgroupfs (default), systemd or disabled"},
	{"systemd-cgroup", 0, CLI_BOOL, offsetof(struct main_options, globals.systemd_cgroup), NULL,
	 "the same as --cgroup-manager systemd"},
	{"rootless", 0, CLI_STRING, offsetof(struct main_options, globals.rootless), "WORD",
	 "true, false or auto (default): whether to do without cgroups that cannot be made"},
	{"version", 'v', CLI_BOOL, offsetof(struct main_options, version), NULL, NULL},
	{"help", 'h', CLI_BOOL, offsetof(struct main_options, help), NULL, NULL},
	{.kind = CLI_END},
};

static const struct cli_command *const commands[] = {
	&cmd_run,      &cmd_create,  &cmd_start, &cmd_exec,  &cmd_kill,	   &cmd_pause,	 &cmd_resume,  &cmd_update,
	&cmd_delete,   &cmd_state,   &cmd_list,	 &cmd_ps,    &cmd_services, &cmd_service, &cmd_logs,   &cmd_graph,
	&cmd_spec,     &cmd_features, &cmd_version, &cmd_help, NULL,
};

const struct cli_program nsrun_program = {
	.name = "nsrun",
	.summary = "OCI runtime whose first-class citizen is the network stack",
	.version = PROJECT_VERSION,
	.options = main_options,
	.commands = commands,
};

int command_failed(const struct error *err)
{
	log_error("%s", err->msg);
	if (!log_is_stderr())
		fprintf(stderr, "nsrun: %s\n", err->msg);
	return 1;
}
