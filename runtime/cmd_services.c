/* nsrun services: what the supervisor of a container says of its services. */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "json.h"
#include "services_client.h"

struct services_options {
	const char *format;
};

static const struct cli_option options[] = {
	{"format", 'f', CLI_STRING, offsetof(struct services_options, format), "FORMAT", "table (default) or json"},
	{.kind = CLI_END},
};

/* "2026-01-02T03:04:05.000000006Z" without the fraction. */
static void print_table(const struct services_reply *r)
{
	size_t width = 4;

	for (size_t i = 0; i < r->n_services; i++)
		if (strlen(r->services[i].name) > width)
			width = strlen(r->services[i].name);
	printf("%-*s  %-8s  %-7s  %-20s  %-8s  %-9s  %s\n", (int)width, "NAME", "STATE", "PID", "SINCE", "RESTARTS", "HEALTH",
	       "EXIT");
	for (size_t i = 0; i < r->n_services; i++) {
		const struct service_report *s = &r->services[i];
		char pid[16] = "-";

		if (s->pid)
			snprintf(pid, sizeof(pid), "%d", s->pid);
		printf("%-*s  %-8s  %-7s  %.19sZ  %-8u  %-9s  %s\n", (int)width, s->name, s->state, pid, s->since, s->restarts,
		       s->health, *s->exit ? s->exit : "-");
	}
}

static void print_json(const struct json_doc *doc)
{
	auto_buf struct buf b = {0};

	json_write(&b, json_get(json_root(doc), "services"), 2);
	printf("%s\n", b.data ? b.data : "");
}

static int run(void *arg, int argc, char **argv)
{
	const struct services_options *o = arg;
	bool json = o->format && strcmp(o->format, "json") == 0;
	auto_container struct container c = CONTAINER_INIT;
	auto_json struct json_doc *doc = NULL;
	struct services_reply reply;
	struct error err = {0};

	(void)argc;
	if (o->format && !json && strcmp(o->format, "table") != 0) {
		error_set(&err, EINVAL, "unknown format \"%s\": table and json are there", o->format);
		return command_failed(&err);
	}
	if (container_open(&c, argv[0], false, &err) < 0 ||
	    services_ask(&c, &(struct services_request){.request = "list"}, &reply, &doc, &err) < 0)
		return command_failed(&err);
	if (json)
		print_json(doc);
	else
		print_table(&reply);
	return 0;
}

const struct cli_command cmd_services = {
	.name = "services",
	.args = "ID",
	.help = "list a container's services",
	.details = "PID is the number in the container's pid namespace. EXIT tells how the service ended last.",
	.options = options,
	.options_size = sizeof(struct services_options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
