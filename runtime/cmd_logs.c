/* nsrun logs: the services' log files, merged by time; specs/services.md describes them. Works on a stopped container as
 * well: it reads only files. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "fs.h"
#include "services_file.h"

enum { NAME_SIZE = SERVICE_NAME_MAX + 16, STAMP_LEN = 24 };

struct logs_options {
	bool follow;
	const char *lines;
};

static const struct cli_option options[] = {
	{"follow", 'f', CLI_BOOL, offsetof(struct logs_options, follow), NULL, "go on with new lines until the container ends"},
	{"lines", 'n', CLI_STRING, offsetof(struct logs_options, lines), "LINES", "only that many of the last lines"},
	{.kind = CLI_END},
};

/* One service's log. What is in `text` was read, but not printed yet. */
struct source {
	char file[NAME_SIZE];
	int fd;
	ino_t inode;
	struct buf text;
};

struct logs {
	int dir;
	const char *name; /* NULL: all */
	struct source *list;
	size_t n;
};

/* --- reading ------------------------------------------------------------------------------------------------- */

static void read_rest(int fd, struct buf *into)
{
	char chunk[64 << 10];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(into, chunk, (size_t)n);
}

static bool open_current(const struct logs *l, struct source *s)
{
	struct stat st;

	s->fd = openat(l->dir, s->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return false;
	s->inode = st.st_ino;
	return true;
}

/* The current file is opened before the old one is, so that a rotation in between shows: then both are the same. */
static void read_from_start(const struct logs *l, struct source *s)
{
	char old_name[NAME_SIZE + 2];
	auto_close int old = -1;
	struct stat st;

	if (!open_current(l, s))
		return;
	snprintf(old_name, sizeof(old_name), "%s.1", s->file);
	old = openat(l->dir, old_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (old >= 0 && fstat(old, &st) == 0 && st.st_ino != s->inode)
		read_rest(old, &s->text);
	read_rest(s->fd, &s->text);
}

static void read_more(const struct logs *l, struct source *s)
{
	struct stat st;

	read_rest(s->fd, &s->text);
	if (fstatat(l->dir, s->file, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino == s->inode)
		return;
	/* It became the old file; what was written between the two reads is still ours. */
	read_rest(s->fd, &s->text);
	close_fd(&s->fd);
	if (open_current(l, s))
		read_rest(s->fd, &s->text);
}

static bool is_wanted(const struct logs *l, const char *file)
{
	size_t len = strlen(file);

	if (!str_ends(file, ".log") || len >= NAME_SIZE)
		return false;
	return !l->name || (strlen(l->name) == len - 4 && strncmp(file, l->name, len - 4) == 0);
}

static struct source *find_source(struct logs *l, const char *file)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->list[i].file, file) == 0)
			return &l->list[i];
	return NULL;
}

static int add_source(struct logs *l, const char *file, struct error *err)
{
	struct source *grown = realloc(l->list, (l->n + 1) * sizeof(*grown));

	if (!grown)
		return error_oom(err);
	l->list = grown;
	grown[l->n] = (struct source){.fd = -1};
	memcpy(grown[l->n].file, file, strlen(file) + 1); /* is_wanted() has looked at its length */
	read_from_start(l, &grown[l->n++]);
	return 0;
}

/* Reads what is new in all files, including those that are new themselves. */
static int read_all(struct logs *l, struct error *err)
{
	auto_closedir DIR *d = NULL;
	auto_close int fd = fs_open_at(l->dir, ".", O_RDONLY | O_DIRECTORY, 0, err);
	struct dirent *e;

	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d)
		return error_sys(err, "cannot list the logs");
	(void)take_fd(&fd);
	while ((e = readdir(d))) {
		struct source *s = find_source(l, e->d_name);

		if (s)
			read_more(l, s);
		else if (is_wanted(l, e->d_name) && add_source(l, e->d_name, err) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void logs_free(struct logs *l)
{
	for (size_t i = 0; i < l->n; i++) {
		close_fd(&l->list[i].fd);
		buf_free(&l->list[i].text);
	}
	free(l->list);
	close_fd(&l->dir);
}

/* --- printing ------------------------------------------------------------------------------------------------ */

struct line {
	const char *text;
	size_t len, order;
};

/* By time; lines of the same millisecond stay as they were read. */
static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int rc = 0;

	if (x->len >= STAMP_LEN && y->len >= STAMP_LEN)
		rc = memcmp(x->text, y->text, STAMP_LEN);
	return rc ? rc : (x->order > y->order) - (x->order < y->order);
}

static size_t count_lines(const struct logs *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < l->list[i].text.len; k++)
			n += l->list[i].text.data[k] == '\n';
	return n;
}

static size_t collect_lines(const struct logs *l, struct line *lines)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct buf *b = &l->list[i].text;
		const char *p = b->data, *nl;

		for (; b->len && (nl = memchr(p, '\n', (size_t)(b->data + b->len - p))); p = nl + 1) {
			lines[n] = (struct line){.text = p, .len = (size_t)(nl - p) + 1, .order = n};
			n++;
		}
	}
	return n;
}

/* What was read to its last newline was printed; the rest is the beginning of a line. */
static void drop_printed(struct logs *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct buf *b = &l->list[i].text;
		const char *nl = b->len ? memrchr(b->data, '\n', b->len) : NULL;
		size_t done = nl ? (size_t)(nl - b->data) + 1 : 0;

		if (!done)
			continue;
		memmove(b->data, b->data + done, b->len - done);
		b->len -= done;
	}
}

static int print_lines(struct logs *l, uint64_t last, struct error *err)
{
	size_t n = count_lines(l);
	auto_free struct line *lines = calloc(n + 1, sizeof(*lines));

	if (!lines)
		return error_oom(err);
	n = collect_lines(l, lines);
	qsort(lines, n, sizeof(*lines), compare_lines);
	for (size_t i = n > last ? n - last : 0; i < n; i++)
		fwrite(lines[i].text, 1, lines[i].len, stdout);
	if (fflush(stdout) != 0)
		return error_sys(err, "cannot write to stdout");
	drop_printed(l);
	return 0;
}

/* --- following ----------------------------------------------------------------------------------------------- */

static int watch_dir(int dir, struct error *err)
{
	auto_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[FS_PROC_FD_SIZE];

	if (fd < 0 || inotify_add_watch(fd, fs_proc_fd(dir, path), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
		return error_sys(err, "cannot watch the logs");
	return take_fd(&fd);
}

static int follow(struct logs *l, int watch, int pidfd, struct error *err)
{
	bool over = false;
	int rc = 0;

	while (rc == 0 && !over) {
		struct pollfd p[] = {{.fd = watch, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
		char events[4096];

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return error_sys(err, "cannot wait for new lines");
		over = p[1].revents != 0;
		while (read(watch, events, sizeof(events)) > 0)
			;
		rc = read_all(l, err);
		if (rc == 0)
			rc = print_lines(l, UINT64_MAX, err);
	}
	return rc;
}

/* --- the command --------------------------------------------------------------------------------------------- */

static int open_logs(struct logs *l, const struct container *c, struct error *err)
{
	l->dir = openat(c->dir_fd, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->dir < 0 && errno == ENOENT)
		return error_set(err, ENOENT, "container %s has no services, so it has no logs", c->id);
	return l->dir < 0 ? error_sys(err, "cannot open the logs of container %s", c->id) : 0;
}

static int show(struct logs *l, const struct container *c, bool follows, uint64_t last, struct error *err)
{
	/* Before the first reading, so that nothing falls in between. */
	auto_close int watch = follows ? watch_dir(l->dir, err) : -1;
	int rc = follows && watch < 0 ? watch : read_all(l, err);

	if (rc == 0 && l->name && !l->n)
		return error_set(err, ENOENT, "container %s has no log of a service \"%s\" (see `nsrun services %s`)", c->id,
				 l->name, c->id);
	if (rc == 0)
		rc = print_lines(l, last, err);
	return rc == 0 && follows && c->pidfd >= 0 ? follow(l, watch, c->pidfd, err) : rc;
}

static int run(void *arg, int argc, char **argv)
{
	const struct logs_options *o = arg;
	auto_container struct container c = CONTAINER_INIT;
	struct logs l = {.dir = -1, .name = argc > 1 ? argv[1] : NULL};
	uint64_t last = UINT64_MAX;
	struct error err = {0};
	int rc;

	if (o->lines && str_u64(o->lines, 0, UINT64_MAX, &last) < 0) {
		error_set(&err, EINVAL, "option --lines needs a number, not \"%s\"", o->lines);
		return command_failed(&err);
	}
	rc = container_open(&c, argv[0], false, &err);
	if (rc == 0)
		rc = open_logs(&l, &c, &err);
	if (rc == 0)
		rc = show(&l, &c, o->follow, last, &err);
	logs_free(&l);
	return rc < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_logs = {
	.name = "logs",
	.args = "ID [NAME]",
	.help = "show the output of a container's services",
	.details = "Lines read TIME NAME out|err|nsrun TEXT; \"nsrun\" marks the supervisor's own remarks. Without NAME the logs of\n"
		   "all services and the supervisor's (nsrun) are merged by time.",
	.options = options,
	.options_size = sizeof(struct logs_options),
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
