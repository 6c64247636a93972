/* netsetup check: are a container's attachments still as they were made? */
#include "attach.h"
#include "commands.h"

#include <errno.h>

#include "cleanup.h"
#include "str.h"

struct check_options {
	const char *id, *netns;
};
static const struct cli_option check_options[] = {
	{"id", 0, CLI_STRING, offsetof(struct check_options, id), "ID", "the container's id"},
	{"netns", 0, CLI_STRING, offsetof(struct check_options, netns), "NAME|PATH", NULL},
	{0},
};

static int check_all(const struct check_options *o, struct error *err)
{
	auto_strv char **paths = NULL;
	int code;

	if (str_empty(o->id) || !call_id_valid(o->id))
		return error_set(err, EINVAL, "--id: a container's id is needed");
	code = record_paths(o->id, &paths, err);
	if (code == 0 && !paths)
		return error_set(err, ENOENT, "there is no attachment of container %s", o->id);
	for (char **p = paths; code == 0 && p && *p; p++)
		code = attach_check(*p, err);
	return code;
}

static int run_check(void *options, int argc, char **argv)
{
	struct error err = {0};

	(void)argc;
	(void)argv;
	return check_all(options, &err) < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_check = {
	.name = "check",
	.help = "verify the attachments of a container",
	.options = check_options,
	.options_size = sizeof(struct check_options),
	.run = run_check,
};
