/* Every command, one file each: cmd_NAME.c. main.c holds the order. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli.h"
#include "container.h"

/* cli_command.flags. */
enum { CMD_SEALED = 1 << 0 }; /* enters a container: runs from a read-only copy of itself (seal.c) */

/* program.c */
struct main_options {
	struct globals globals;
	const char *log_level;
	bool version, help;
};

extern const struct cli_program nsrun_program;

extern const struct cli_command cmd_create, cmd_start, cmd_run, cmd_state, cmd_kill, cmd_delete, cmd_exec, cmd_list,
	cmd_pause, cmd_resume, cmd_update, cmd_ps, cmd_spec, cmd_features, cmd_services, cmd_service, cmd_logs, cmd_graph, cmd_help, cmd_version;

/* Prints the error as the log and stderr want it; returns 1. */
struct error;
int command_failed(const struct error *err);

#endif
