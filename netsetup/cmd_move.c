/* netsetup move: gives a container devices of the host (linux.netDevices), all or none. */
#include "attach.h"
#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "netns.h"
#include "str.h"

struct move_options {
	const char *netns;
};
static const struct cli_option move_options[] = {
	{"netns", 0, CLI_STRING, offsetof(struct move_options, netns), "NAME|PATH", "the container's network namespace"},
	{0},
};

struct sides {
	struct rtnl *host, *container;
	int own_fd, netns_fd;
};

struct device {
	char host[IFNAMSIZ], name[IFNAMSIZ];
	bool moved;
};

static int parse(const char *arg, struct device *d, struct error *err)
{
	const char *eq = strchr(arg, '=');
	size_t len = eq ? (size_t)(eq - arg) : strlen(arg);

	if (len == 0 || len >= IFNAMSIZ || (eq && (!eq[1] || strlen(eq + 1) >= IFNAMSIZ)))
		return error_set(err, EINVAL, "'%s': expected HOSTNAME or HOSTNAME=NAME, of at most %d characters each", arg,
				 IFNAMSIZ - 1);
	snprintf(d->host, sizeof(d->host), "%.*s", (int)len, arg);
	snprintf(d->name, sizeof(d->name), "%s", eq ? eq + 1 : d->host);
	return 0;
}

/* A virtual device that stays in a namespace dies with it: what was moved before one that failed comes home. */
static void move_back(const struct sides *s, struct device *d, int n)
{
	while (n-- > 0)
		if (d[n].moved)
			rtnl_link_move(s->container, s->host, s->own_fd, d[n].name, d[n].host, NULL, NULL);
}

static int move_all(const struct sides *s, struct device *d, int n, struct error *err)
{
	for (int i = 0; i < n; i++) {
		int code = rtnl_link_move(s->host, s->container, s->netns_fd, d[i].host, d[i].name, d[i].name, err);

		if (code < 0) {
			move_back(s, d, i);
			return code;
		}
		d[i].moved = true;
	}
	return 0;
}

static int move(const struct move_options *o, int argc, char **argv, struct error *err)
{
	auto_free struct device *devices = calloc((size_t)argc, sizeof(*devices));
	auto_close int own = netns_open_self(err), netns = -1;
	auto_rtnl struct rtnl *host = NULL, *container = NULL;
	int code = 0;

	if (!devices)
		return error_oom(err);
	if (own < 0)
		return own;
	if (str_empty(o->netns))
		return error_set(err, EINVAL, "--netns is needed");
	for (int i = 0; code == 0 && i < argc; i++)
		code = parse(argv[i], &devices[i], err);
	if (code < 0)
		return code;
	netns = netns_open(o->netns, err);
	if (netns < 0)
		return netns;
	code = rtnl_open(&host, err);
	if (code == 0)
		code = rtnl_open_in(netns, &container, err);
	return code < 0 ? code : move_all(&(struct sides){host, container, own, netns}, devices, argc, err);
}

static int run_move(void *options, int argc, char **argv)
{
	struct error err = {0};

	return move(options, argc, argv, &err) < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_move = {
	.name = "move",
	.args = "HOSTNAME[=NAME]...",
	.help = "move devices of the host into a container",
	.details = "   The device keeps its MTU, its MAC and its global addresses, and is set up. NAME may hold %d, which the kernel\n"
		   "   completes. When one cannot be moved, those before it come back.",
	.options = move_options,
	.options_size = sizeof(struct move_options),
	.min_args = 1,
	.max_args = -1,
	.run = run_move,
};
