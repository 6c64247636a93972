/* netsetup status: could a network be used now? */
#include "commands.h"
#include "list.h"

#include <stdio.h>

#include "cleanup.h"
#include "str.h"

static int status_of(const char *file, struct error *err)
{
	auto_json struct json_doc *doc = NULL;
	struct cni_call call = CALL_INIT;
	struct list l;
	int code = list_load_file(file, &doc, &l, err);

	call.path = getenv("CNI_PATH");
	if (code == 0)
		code = list_status(&l, &call, err);
	call_close(&call);
	return code;
}

/* Without a network: can links be made at all? */
static int status_of_host(struct error *err)
{
	static const struct cni_conf none = {.host_netns = NULL};
	struct cni_call call = CALL_INIT;
	struct link_info lo;
	struct rtnl *host;
	int code;

	call.command = CNI_STATUS;
	code = call_open(&call, &none, err);
	if (code == 0)
		code = call_host(&call, &host, err);
	if (code == 0)
		code = rtnl_link_get_index(host, 1, &lo, err);
	call_close(&call);
	return code;
}

static int run_status(void *options, int argc, char **argv)
{
	struct error err = {0};
	int code;

	(void)options;
	code = argc ? status_of(argv[0], &err) : status_of_host(&err);
	if (code < 0)
		return command_failed(&err);
	puts("ready");
	return 0;
}

const struct cli_command cmd_status = {
	.name = "status",
	.args = "[FILE]",
	.help = "tell whether a network can be used",
	.details = "   Asks each plugin of the network configuration FILE (STATUS, version 1.1.0); without FILE, whether rtnetlink answers.\n"
		   "   Prints \"ready\", or fails with the reason.",
	.max_args = 1,
	.run = run_status,
};
