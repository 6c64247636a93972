/* Every verb, one file each: cmd_NAME.c. program.c holds the order. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli.h"

struct error;

extern const struct cli_program netsetup_program;

extern const struct cli_command cmd_add, cmd_del, cmd_check, cmd_gc, cmd_list, cmd_status, cmd_move, cmd_show, cmd_keep,
	cmd_key, cmd_version, cmd_help;

/* Prints "netsetup: the error" on stderr; returns 1. */
int command_failed(const struct error *err);

#endif
