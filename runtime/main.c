/* Global options, the table of commands, and how errors are told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "log.h"
#include "seal.h"
#include "str.h"
#include "version.h"

struct globals globals;

struct main_options {
	struct globals globals;
	const char *log_level;
	bool version, help;
};

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
	{"rootless", 0, CLI_STRING, offsetof(struct main_options, globals.rootless), "WORD", NULL},
	{"version", 'v', CLI_BOOL, offsetof(struct main_options, version), NULL, NULL},
	{"help", 'h', CLI_BOOL, offsetof(struct main_options, help), NULL, NULL},
	{.kind = CLI_END},
};

static const struct cli_command *const commands[] = {
	&cmd_run,      &cmd_create,  &cmd_start, &cmd_exec,  &cmd_kill,	  &cmd_delete, &cmd_state,    &cmd_list, &cmd_ps,
	&cmd_services, &cmd_service, &cmd_logs,	 &cmd_graph, &cmd_spec, &cmd_features, &cmd_version, &cmd_help, NULL,
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

static const struct word log_formats[] = {{"text", LOG_TEXT}, {"json", LOG_JSON}, {NULL, 0}};

static const struct word log_levels[] = {
	{"error", LOG_ERROR_LEVEL}, {"warning", LOG_WARN_LEVEL}, {"warn", LOG_WARN_LEVEL},
	{"info", LOG_INFO_LEVEL},   {"debug", LOG_DEBUG_LEVEL},	 {NULL, 0},
};

static int open_log(const struct main_options *o, struct error *err)
{
	int format = o->globals.log_format ? word_value(log_formats, o->globals.log_format) : (int)LOG_TEXT;
	int level = o->log_level ? word_value(log_levels, o->log_level) : (int)LOG_WARN_LEVEL;

	if (format < 0)
		return error_set(err, EINVAL, "--log-format %s: must be text or json", o->globals.log_format);
	if (level < 0)
		return error_set(err, EINVAL, "--log-level %s: must be error, warning, info or debug", o->log_level);
	log_set_level(o->globals.debug ? LOG_DEBUG_LEVEL : (enum log_level)level);
	/* The default is what the log is before it is opened. */
	return o->globals.log || format != LOG_TEXT ? log_open(o->globals.log, (enum log_format)format, err) : 0;
}

/* $XDG_RUNTIME_DIR is for those who may not write to /run. */
static int choose_root(struct error *err)
{
	const char *runtime_dir = getenv("XDG_RUNTIME_DIR");

	globals.root_given = globals.root;
	if (!globals.root)
		globals.root = geteuid() != 0 && !str_empty(runtime_dir) ? str_printf("%s/nsrun", runtime_dir) : "/run/nsrun";
	if (!globals.root)
		return error_oom(err);
	if (strspn(globals.root, "/") == strlen(globals.root))
		return error_set(err, EINVAL, "--root %s: the root directory cannot hold the containers' state", globals.root);
	return 0;
}

static int take_globals(const struct main_options *o, struct error *err)
{
	int rc;

	globals = o->globals;
	if (globals.systemd_cgroup)
		globals.cgroup_manager = "systemd";
	rc = open_log(o, err);
	return rc < 0 ? rc : choose_root(err);
}

static int run_command(const struct cli_command *c, int argc, char **argv, char **whole)
{
	struct error err = {0};

	if (c->flags & CMD_SEALED && seal_self(whole, &err) < 0)
		return command_failed(&err);
	return cli_run(&nsrun_program, c, argc, argv);
}

int main(int argc, char **argv)
{
	struct main_options o = {0};
	struct error err = {0};
	const struct cli_command *c;
	/* Parsing moves words about; the re-execution needs them as they were. */
	auto_free char **whole = calloc((size_t)argc + 1, sizeof(*whole));
	int n;

	if (!whole)
		return 1;
	memcpy(whole, argv, (size_t)argc * sizeof(*whole));
	n = cli_parse(main_options, &o, argc - 1, argv + 1, true, &err);
	if (n < 0) {
		fprintf(stdout, "Incorrect Usage.\n\n");
		cli_help(&nsrun_program, stdout);
		fflush(stdout);
		fprintf(stderr, "nsrun: %s\n", err.msg);
		return 1;
	}
	if (o.version)
		return cmd_version.run(NULL, 0, NULL);
	if (o.help || n == 0) {
		cli_help(&nsrun_program, stdout);
		return 0;
	}
	c = cli_find(&nsrun_program, argv[1]);
	if (!c) {
		fprintf(stderr, "No help topic for '%s'\n", argv[1]);
		return 3;
	}
	if (take_globals(&o, &err) < 0)
		return command_failed(&err);
	return run_command(c, n - 1, argv + 2, whole);
}
