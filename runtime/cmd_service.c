/* nsrun service: starts, stops, restarts or reloads one service, or reloads all, and waits until that is done. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "json.h"
#include "services_client.h"

static int run(void *arg, int argc, char **argv)
{
	static const char *const requests[] = {"start", "stop", "restart", "reload"};
	const struct services_request q = {.request = argv[1], .service = argc > 2 ? argv[2] : NULL};
	auto_container struct container c = CONTAINER_INIT;
	auto_json struct json_doc *doc = NULL;
	struct services_reply reply;
	struct error err = {0};
	size_t i = 0;

	(void)arg;
	while (i < ARRAY_SIZE(requests) && strcmp(requests[i], q.request) != 0)
		i++;
	if (i == ARRAY_SIZE(requests)) {
		error_set(&err, EINVAL, "cannot %s a service: start, stop, restart and reload are there", q.request);
		return command_failed(&err);
	}
	if (!q.service && strcmp(q.request, "reload") != 0) {
		error_set(&err, EINVAL, "which service is to %s? Only reload takes all of them", q.request);
		return command_failed(&err);
	}
	if (container_open(&c, argv[0], false, &err) < 0 || services_ask(&c, &q, &reply, &doc, &err) < 0)
		return command_failed(&err);
	return 0;
}

const struct cli_command cmd_service = {
	.name = "service",
	.args = "ID start|stop|restart|reload [NAME]",
	.help = "start, stop, restart or reload a service",
	.details = "Waits until it is done. start also starts what the service needs; stop first stops what needs it, which comes\n"
		   "back when the service is started again. reload without a NAME reloads every service that is up and can be.",
	.min_args = 2,
	.max_args = 3,
	.run = run,
};
