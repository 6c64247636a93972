#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "create_options.h"
#include "error.h"
#include "notify.h"
#include "str.h"

static const struct cli_option options[] = {
	CREATE_OPTIONS,
	{"detach", 'd', CLI_BOOL, offsetof(struct create_options, detach), NULL, "leave the container in the background"},
	{"keep", 0, CLI_BOOL, offsetof(struct create_options, keep), NULL, "do not delete the container after it has ended"},
	{"no-subreaper", 0, CLI_BOOL, offsetof(struct create_options, no_subreaper), NULL,
	 "do not take over the orphans of a container without a pid namespace"},
	{.kind = CLI_END},
};

/* `nsrun run DIR`: when here is no bundle but there is one in DIR, DIR is meant, and its name is the id. *ret_id is an
 * allocation of the caller's; NULL: the argument is an id. */
static int directory_form(const char *arg, struct create_options *o, char **ret_id, struct error *err)
{
	auto_free char *config = str_printf("%s/config.json", arg), *real = NULL;

	*ret_id = NULL;
	if (!config)
		return error_oom(err);
	if (o->bundle || access("config.json", F_OK) == 0 || access(config, F_OK) < 0)
		return 0;
	real = realpath(arg, NULL);
	if (!real)
		return error_sys(err, "cannot find out the name of the bundle %s", arg);
	*ret_id = strdup(strrchr(real, '/') + 1);
	if (!*ret_id)
		return error_oom(err);
	o->bundle = arg;
	return 0;
}

/* Takes away what there is of a container that could not be started, or has ended; an error of its own only counts
 * when there was none before. */
static int clean_up(struct container *c, int rc, struct error *err)
{
	struct error second = {0};
	int deleted = container_delete(c, true, &second);

	/* Somebody else has deleted it meanwhile. */
	if (deleted == -ENOENT || deleted >= 0 || rc < 0)
		return rc;
	*err = second;
	return deleted;
}

static int run_container(struct container *c, const char *id, const struct create_options *o, struct error *err)
{
	int rc = o->foreground ? container_block_signals(err) : 0;

	if (o->foreground && !o->no_subreaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (rc == 0)
		rc = container_create(c, id, o, err);
	if (rc < 0)
		return rc;
	rc = container_start(c, err);
	if (rc < 0)
		return clean_up(c, rc, err);
	/* A supervisor in the foreground tells itself when its services are ready. */
	if (c->report < 0)
		notify_ready(o->detach ? c->state.pid : 0);
	if (o->detach)
		return 0;
	rc = container_wait(c, err);
	return o->keep ? rc : clean_up(c, rc, err);
}

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	struct create_options *o = arg;
	auto_free char *id = NULL;
	struct error err = {0};
	int rc = directory_form(argv[0], o, &id, &err);

	(void)argc;
	o->run = true;
	o->foreground = !o->detach;
	notify_open();
	if (rc == 0)
		rc = run_container(&c, id ? id : argv[0], o, &err);
	if (rc >= 0)
		return rc;
	notify_status(err.msg);
	return command_failed(&err);
}

const struct cli_command cmd_run = {
	.name = "run",
	.args = "ID|DIR",
	.help = "create a container, start it, and wait for its end",
	.details = "   With the directory of a bundle instead of an id, the directory's name is the id.",
	.options = options,
	.options_size = sizeof(struct create_options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
	.flags = CMD_SEALED,
};
