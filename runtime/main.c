/* From the command line to the command: global options, the log, the state root, the sealed self. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "log.h"
#include "rootless.h"
#include "seal.h"
#include "str.h"
#include "version.h"

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
	bool user = !globals.root && !str_empty(runtime_dir) && rootless_state();

	globals.root_given = globals.root;
	if (!globals.root)
		globals.root = user ? str_printf("%s/nsrun", runtime_dir) : "/run/nsrun";
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
	if (rc == 0)
		rc = rootless_check_option(err);
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
	/* Ignored by the caller, it would let the kernel reap our children, and with them how they ended. */
	(void)signal(SIGCHLD, SIG_DFL);
	memcpy(whole, argv, (size_t)argc * sizeof(*whole));
	n = cli_parse(nsrun_program.options, &o, argc - 1, argv + 1, true, &err);
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
