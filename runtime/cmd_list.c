#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "log.h"
#include "str.h"

struct options {
	const char *format;
	bool quiet;
};

static const struct cli_option options[] = {
	{"format", 'f', CLI_STRING, offsetof(struct options, format), "FORMAT", "table (default) or json"},
	{"quiet", 'q', CLI_BOOL, offsetof(struct options, quiet), NULL, "only the ids"},
	{.kind = CLI_END},
};

enum { COLUMNS = 6 };

struct row {
	char *cell[COLUMNS];
};

/* What the list is made of; `add` puts one container in. */
struct listing {
	void (*add)(struct listing *l, const struct container *c);
	struct buf json;
	struct row *rows;
	size_t n;
};

static void add_id(struct listing *l, const struct container *c)
{
	(void)l;
	puts(c->id);
}

static const char *status_of(const struct container *c)
{
	return word_name(status_words, c->state.status);
}

static int pid_of(const struct container *c)
{
	return c->pidfd < 0 ? 0 : c->state.pid;
}

/* Whoever owns the directory has made the container. */
static char *owner_of(const struct container *c)
{
	struct stat st;

	if (fstat(c->dir_fd, &st) < 0)
		return strdup("");
	return st.st_uid == 0 ? strdup("root") : str_printf("#%u", st.st_uid);
}

static void add_json(struct listing *l, const struct container *c)
{
	auto_free char *owner = owner_of(c);
	struct state s = c->state;

	s.owner = owner;
	buf_puts(&l->json, l->json.len ? "," : "[");
	state_write_oci(&l->json, &s, status_of(c), pid_of(c), 0);
}

static void add_row(struct listing *l, const struct container *c)
{
	struct row *grown = realloc(l->rows, (l->n + 1) * sizeof(*grown));

	if (!grown)
		return;
	l->rows = grown;
	grown[l->n++] = (struct row){{
		strdup(c->id), str_printf("%d", pid_of(c)), strdup(status_of(c)), strdup(c->state.bundle),
		strdup(c->state.created ? c->state.created : ""), owner_of(c)
	}};
}

static void print_row(char *const cell[COLUMNS], const int width[COLUMNS])
{
	for (int i = 0; i + 1 < COLUMNS; i++)
		printf("%-*s", width[i], cell[i] ? cell[i] : "");
	printf("%s\n", cell[COLUMNS - 1] ? cell[COLUMNS - 1] : "");
}

/* Columns as Go's tabwriter makes them for runc: at least 12 wide, three spaces between. */
static void print_rows(const struct listing *l)
{
	char *header[COLUMNS] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};
	int width[COLUMNS];

	for (int i = 0; i < COLUMNS; i++) {
		width[i] = 12;
		for (size_t r = 0; r < l->n; r++)
			if (l->rows[r].cell[i] && (int)strlen(l->rows[r].cell[i]) + 3 > width[i])
				width[i] = (int)strlen(l->rows[r].cell[i]) + 3;
	}
	print_row(header, width);
	for (size_t r = 0; r < l->n; r++)
		print_row(l->rows[r].cell, width);
}

static void free_listing(struct listing *l)
{
	for (size_t r = 0; r < l->n; r++)
		for (int i = 0; i < COLUMNS; i++)
			free(l->rows[r].cell[i]);
	free(l->rows);
	buf_free(&l->json);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_container(const struct dirent *e)
{
	return state_check_id(e->d_name, NULL) == 0;
}

/* One that cannot be read, or has gone meanwhile, does not keep the others from being listed. */
static void add_container(struct listing *l, const char *id)
{
	auto_container struct container c = CONTAINER_INIT;
	struct error err = {0};
	int rc = container_open(&c, id, false, &err);

	if (rc == 0)
		l->add(l, &c);
	else if (rc != -ENOENT && rc != -ENOTDIR)
		log_warn("%s", err.msg);
}

static int list(struct listing *l, struct error *err)
{
	auto_close int root = state_open_root(false, err);
	struct dirent **entries = NULL;
	int n;

	/* The default root is made by the first container; one that was asked for has to be there. */
	if (root == -ENOENT && !globals.root_given)
		return 0;
	if (root < 0)
		return root;
	n = scandirat(root, ".", &entries, is_container, by_name);
	if (n < 0)
		return error_sys(err, "cannot list %s", globals.root);
	for (int i = 0; i < n; i++) {
		add_container(l, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

static int run(void *arg, int argc, char **argv)
{
	const struct options *o = arg;
	bool json = str_eq(o->format, "json");
	struct listing l = {.add = o->quiet ? add_id : json ? add_json : add_row};
	struct error err = {0};
	int rc = 0;

	(void)argc, (void)argv;
	if (o->format && !json && !str_eq(o->format, "table"))
		rc = error_set(&err, EINVAL, "invalid format option \"%s\": table or json", o->format);
	if (rc == 0)
		rc = list(&l, &err);
	if (rc == 0 && !o->quiet && json)
		printf("%s%s\n", l.json.len ? l.json.data : "null", l.json.len ? "]" : "");
	else if (rc == 0 && !o->quiet)
		print_rows(&l);
	free_listing(&l);
	return rc < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_list = {
	.name = "list",
	.help = "list the containers of this root",
	.options = options,
	.options_size = sizeof(struct options),
	.max_args = 0,
	.run = run,
};
