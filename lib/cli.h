/* Command lines from tables: a program has global options and commands, a command has options and arguments. Help
 * and completion come from the same tables.
 *
 * Options are "--name VALUE", "--name=VALUE", "-n VALUE"; a bool takes none, but "--name=false" is understood. They may
 * stand after arguments, unless the command says that its arguments end them (exec, ps). "--" ends options. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct error;

enum cli_kind { CLI_END, CLI_BOOL, CLI_STRING, CLI_STRINGS, CLI_U32, CLI_I64 };

struct cli_option {
	const char *name;
	char letter; /* 0: none */
	enum cli_kind kind;
	size_t offset;	   /* in the options struct: bool, const char *, char **, uint32_t, int64_t */
	const char *value; /* the word in the help text: FILE, ID */
	const char *help;  /* NULL: accepted, not shown */
};

struct cli_command {
	const char *name;
	const char *args; /* "ID [SIGNAL]" */
	const char *help; /* one line */
	const char *details; /* more lines for `help NAME`, or NULL */
	const struct cli_option *options;
	size_t options_size;  /* of the options struct */
	int min_args, max_args; /* max_args -1: any */
	bool stop_at_args;    /* the first argument ends the options */
	/* argv: the arguments that are left, NULL-terminated. Returns the exit status. */
	int (*run)(void *options, int argc, char **argv);
	unsigned flags; /* the program's own */
};

struct cli_program {
	const char *name, *summary, *version;
	const struct cli_option *options;
	const struct cli_command *const *commands; /* NULL-terminated, in the order of the help */
};

/* Parses options from argv[0..] into *out (zeroed by the caller). Returns the number of arguments left, moved to the
 * front of argv and NULL-terminated, or -EINVAL with err set. */
int cli_parse(const struct cli_option *options, void *out, int argc, char **argv, bool stop_at_args, struct error *err);

const struct cli_command *cli_find(const struct cli_program *p, const char *name);
void cli_help(const struct cli_program *p, FILE *f);
void cli_help_command(const struct cli_program *p, const struct cli_command *c, FILE *f);

/* Parses the command's options and runs it: its exit status, or 1 after printing what is wrong with the command line
 * ("Incorrect Usage.", the reason, the command's help). -h and --help are understood. */
int cli_run(const struct cli_program *p, const struct cli_command *c, int argc, char **argv);

#endif
