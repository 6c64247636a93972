#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "spawn.h"
#include "str.h"

struct options {
	const char *format;
};

static const struct cli_option options[] = {
	{"format", 'f', CLI_STRING, offsetof(struct options, format), "FORMAT", "table (default) or json"},
	{.kind = CLI_END},
};

static void print_json(const pid_t *pids, int n)
{
	putchar('[');
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", pids[i]);
	printf("]\n");
}

/* The word in column `column` of the line, as a number; -1: none. */
static int number_at(const char *line, int column)
{
	for (int i = 0; i < column; i++) {
		line += strspn(line, " \t");
		line += strcspn(line, " \t\n");
	}
	line += strspn(line, " \t");
	return *line >= '0' && *line <= '9' ? atoi(line) : -1;
}

static int pid_column(const char *header)
{
	int column = 0;

	for (const char *p = header; *p; column++) {
		size_t len;

		p += strspn(p, " \t");
		len = strcspn(p, " \t\n");
		if (len == 3 && memcmp(p, "PID", 3) == 0)
			return column;
		p += len;
	}
	return -1;
}

static bool is_in(const pid_t *pids, int n, int pid)
{
	for (int i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static int run_ps(char **args, struct buf *out, struct error *err)
{
	static char *const standard[] = {"ps", "-ef", NULL};
	auto_free char *path = spawn_find("ps", NULL);
	auto_strv char **argv = NULL;
	struct spawn s = {.path = path, .output = out};
	char how[SPAWN_STATUS_SIZE];
	int status, rc = 0;

	if (!path)
		return error_set(err, ENOENT, "cannot find the program ps, which makes the table: --format json needs none");
	for (char *const *a = (char *const[]){"ps", NULL}; *args && *a; a++)
		rc |= strv_add(&argv, *a);
	for (; *args; args++)
		rc |= strv_add(&argv, *args);
	if (rc < 0)
		return error_oom(err);
	s.argv = argv ? argv : standard;
	rc = spawn_run(&s, &status, err);
	if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
		rc = error_set(err, EIO, "%s %s", path, spawn_status(status, how));
	return rc;
}

/* The lines of ps(1)'s table that are the container's. */
static int print_table(const pid_t *pids, int n, char **args, struct error *err)
{
	auto_buf struct buf out = {0};
	char *rest, *line;
	int column, rc = run_ps(args, &out, err);

	if (rc < 0)
		return rc;
	rest = out.data;
	line = rest ? strsep(&rest, "\n") : NULL;
	column = line ? pid_column(line) : -1;
	if (column < 0)
		return error_set(err, EINVAL, "cannot find the column PID in what ps prints");
	puts(line);
	while ((line = strsep(&rest, "\n")))
		if (is_in(pids, n, number_at(line, column)))
			puts(line);
	return 0;
}

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	const struct options *o = arg;
	auto_free pid_t *pids = NULL;
	bool json = str_eq(o->format, "json");
	struct error err = {0};
	int n, rc;

	(void)argc;
	if (o->format && !json && !str_eq(o->format, "table"))
		rc = error_set(&err, EINVAL, "invalid format option \"%s\": table or json", o->format);
	else
		rc = container_open(&c, argv[0], false, &err);
	n = rc < 0 ? rc : container_pids(&c, &pids, &err);
	if (n >= 0 && json)
		print_json(pids, n);
	else if (n >= 0)
		n = print_table(pids, n, argv + 1, &err);
	return n < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_ps = {
	.name = "ps",
	.args = "ID [PS-OPTION...]",
	.help = "show the processes of a container",
	.details = "   The options go to ps(1); without any they are -ef.",
	.options = options,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = -1,
	.stop_at_args = true,
	.run = run,
};
