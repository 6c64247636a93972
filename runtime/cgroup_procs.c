/* The processes in a container's cgroups: listing, signalling, freezing; and removing the directories once they are
 * gone.
 *
 * Nothing here sleeps for a fixed time where the kernel can be waited for: processes by pidfd, cgroup v2 by the
 * notification on cgroup.events. Only what has neither (a v1 freezer on its way, an exiting task that holds its
 * directory) is looked at again after a millisecond or so. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#include "cgroup_impl.h"
#include "cgroup_systemd.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"

enum {
	PIDS_FILE_MAX = 16 << 20,
	TREE_DEPTH = 64,
	KILL_PATIENCE_MS = 10000,
	FREEZE_PATIENCE_MS = 10000,
	REMOVE_PATIENCE_MS = 5000,
	FREEZE_LOOK_MS = 100,
	WAIT_PIDFDS = 64,
	LOOK_AGAIN_MS = 1,
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- the tree ----------------------------------------------------------------------------------------------- */

/* Calls visit() for a directory after its sub-directories. Symbolic links do not exist in cgroupfs, and other mounts
 * are not entered. A directory that vanishes meanwhile is fine. */
static int walk(int parent, const char *name, int depth, int (*visit)(int parent, int dir, const char *name, void *arg),
		void *arg, struct error *err)
{
	auto_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_closedir DIR *d = NULL;
	const struct dirent *e;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot open cgroup %s", name);
	if (depth == TREE_DEPTH)
		return error_set(err, ELOOP, "cgroup %s is nested too deep", name);
	d = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	if (!d)
		return error_sys(err, "cannot read cgroup %s", name);
	while (r == 0 && (e = readdir(d)))
		if (e->d_type == DT_DIR && fs_is_name(e->d_name))
			r = walk(fd, e->d_name, depth + 1, visit, arg, err);
	if (r < 0)
		return r;
	r = visit(parent, fd, name, arg);
	return r < 0 ? error_set(err, -r, "cannot handle cgroup %s: %s", name, strerror(-r)) : 0;
}

struct pid_list {
	pid_t *pids;
	size_t n, cap;
};

static int add_pid(struct pid_list *l, pid_t pid)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		pid_t *grown = realloc(l->pids, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->pids = grown;
		l->cap = cap;
	}
	l->pids[l->n++] = pid;
	return 0;
}

static int read_pids(int parent, int dir, const char *name, void *arg)
{
	auto_free char *text = NULL;
	char *end;
	int r = fs_read_at(dir, "cgroup.procs", PIDS_FILE_MAX, &text, NULL, NULL);

	(void)parent, (void)name;
	/* ENODEV: removed meanwhile. EOPNOTSUPP: a threaded one, whose processes its domain lists. */
	if (r < 0)
		return r == -ENODEV || r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
	for (const char *p = text; *p; p = *end ? end + 1 : end) {
		long pid = strtol(p, &end, 10);

		/* 0: a process in a pid namespace that is not ours to see. */
		if (pid > 0 && add_pid(arg, (pid_t)pid) < 0)
			return -ENOMEM;
	}
	return 0;
}

int cgroup_pids(const struct cgroup *c, pid_t **ret, struct error *err)
{
	struct pid_list list = {0};
	int r = 0;

	/* All of a container's processes are in each of its directories. */
	if (c->n > 0)
		r = walk(AT_FDCWD, c->dirs[0].path, 0, read_pids, &list, err);
	if (r < 0) {
		free(list.pids);
		return r;
	}
	*ret = list.pids;
	return (int)list.n;
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

static void look_again_later(void)
{
	nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
}

/* v2: the kernel tells when cgroup.events changes. False: there is no such file. */
static bool wait_events(const char *dir, int ms)
{
	char path[PATH_MAX], text[128];
	auto_close int fd = -1;
	struct pollfd p = {.events = POLLPRI};

	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) /* reading arms the notification */
		return false;
	p.fd = fd;
	poll(&p, 1, ms);
	return true;
}

/* Until one of the processes ends. One that has ended already, but is listed still, is on its last steps. False: none
 * of them is there. */
static bool wait_processes(const pid_t *pids, size_t n, int ms)
{
	struct pollfd p[WAIT_PIDFDS];
	size_t open = 0;

	for (size_t i = 0; i < n && open < WAIT_PIDFDS; i++) {
		int fd = pidfd_open(pids[i], 0);

		if (fd >= 0)
			p[open++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	if (open > 0 && poll(p, open, 0) > 0)
		look_again_later();
	else if (open > 0)
		poll(p, open, ms);
	for (size_t i = 0; i < open; i++)
		close(p[i].fd);
	return open > 0;
}

static void wait_for_change(const struct cgroup *c, const pid_t *pids, size_t n, int ms)
{
	if (!wait_processes(pids, n, ms) && (!c->v2 || !wait_events(c->dirs[0].path, ms)))
		look_again_later();
}

/* --- freezing ----------------------------------------------------------------------------------------------- */

/* The directory with that file, or NULL. */
static const char *dir_with(const struct cgroup *c, const char *file, char *value, size_t size)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->dirs[i].parent && cgroup_read(c->dirs[i].path, file, value, size, NULL) == 0)
			return c->dirs[i].path;
	return NULL;
}

static int freeze_v2(const struct cgroup *c, bool frozen, struct error *err)
{
	const char *dir = c->dirs[0].path, *want = frozen ? "frozen 1" : "frozen 0";
	int64_t end = now_ms() + FREEZE_PATIENCE_MS;
	char text[128] = "";
	int r = cgroup_write(dir, "cgroup.freeze", frozen ? "1" : "0", err);

	while (r == 0) {
		r = cgroup_read(dir, "cgroup.events", text, sizeof(text), err);
		if (r < 0 || strstr(text, want))
			return r;
		if (now_ms() >= end)
			break;
		wait_events(dir, FREEZE_LOOK_MS);
	}
	if (r == 0 && frozen)
		cgroup_write(dir, "cgroup.freeze", "0", NULL);
	return r < 0 ? r : error_set(err, ETIMEDOUT, "cannot %s cgroup %s within %d s", frozen ? "freeze" : "thaw", dir,
				     FREEZE_PATIENCE_MS / 1000);
}

static int freeze_v1(const char *dir, bool frozen, struct error *err)
{
	int64_t end = now_ms() + FREEZE_PATIENCE_MS;
	const char *want = frozen ? "FROZEN" : "THAWED";
	char state[32];
	int r;

	do {
		/* Written each time: a process that was forked meanwhile keeps the state at FREEZING. */
		r = cgroup_write(dir, "freezer.state", want, err);
		if (r == 0)
			r = cgroup_read(dir, "freezer.state", state, sizeof(state), err);
		if (r < 0 || str_eq(state, want))
			return r;
		look_again_later();
	} while (now_ms() < end);
	if (frozen)
		cgroup_write(dir, "freezer.state", "THAWED", NULL);
	return error_set(err, ETIMEDOUT, "cannot %s cgroup %s within %d s: it stays %s", frozen ? "freeze" : "thaw", dir,
			 FREEZE_PATIENCE_MS / 1000, state);
}

int cgroup_freeze(const struct cgroup *c, bool frozen, struct error *err)
{
	char state[32];
	const char *dir;

	if (c->v2 && c->n > 0)
		return freeze_v2(c, frozen, err);
	dir = dir_with(c, "freezer.state", state, sizeof(state));
	if (!dir)
		return error_set(err, ENOENT, "cannot %s the container: it has no cgroup with a freezer; give it a "
				 "linux.cgroupsPath", frozen ? "pause" : "resume");
	return freeze_v1(dir, frozen, err);
}

bool cgroup_is_frozen(const struct cgroup *c)
{
	char state[32];

	if (c->v2)
		return dir_with(c, "cgroup.freeze", state, sizeof(state)) && str_eq(state, "1");
	return dir_with(c, "freezer.state", state, sizeof(state)) && !str_eq(state, "THAWED");
}

/* --- killing ------------------------------------------------------------------------------------------------ */

/* By pidfds that were opened while the process was listed, and only if it is still listed afterwards: a pid that was
 * taken over by a stranger in between is not hit. */
static int signal_all(const struct cgroup *c, int signo, struct error *err)
{
	auto_free pid_t *before = NULL, *after = NULL;
	int n = cgroup_pids(c, &before, err), m, sent = 0;
	auto_free int *fds = NULL;

	if (n <= 0)
		return n;
	fds = calloc(n, sizeof(*fds));
	if (!fds)
		return error_oom(err);
	for (int i = 0; i < n; i++)
		fds[i] = pidfd_open(before[i], 0);
	m = cgroup_pids(c, &after, err);
	for (int i = 0; i < n; i++) {
		for (int k = 0; fds[i] >= 0 && k < m; k++)
			if (after[k] == before[i]) {
				sent += pidfd_send_signal(fds[i], signo, NULL, 0) == 0;
				break;
			}
		close_fd(&fds[i]);
	}
	return m < 0 ? m : sent;
}

/* Frozen while the signals go out, so that nobody forks away from them; the thaw delivers them. Whether the freezer
 * has got hold of all of them does not matter: the caller comes again until none is left. */
static int kill_once(const struct cgroup *c, struct error *err)
{
	char state[32];
	const char *freezer = c->v2 ? NULL : dir_with(c, "freezer.state", state, sizeof(state));
	int r;

	if (c->v2 && cgroup_write(c->dirs[0].path, "cgroup.kill", "1", NULL) == 0)
		return 0;
	if (freezer)
		cgroup_write(freezer, "freezer.state", "FROZEN", NULL);
	r = signal_all(c, SIGKILL, err);
	if (freezer)
		cgroup_write(freezer, "freezer.state", "THAWED", NULL);
	return r;
}

int cgroup_kill(const struct cgroup *c, int signo, struct error *err)
{
	int64_t end = now_ms() + KILL_PATIENCE_MS;
	int n, r;

	if (c->n == 0)
		return 0;
	if (signo != SIGKILL) {
		r = signal_all(c, signo, err);
		return r < 0 ? r : 0;
	}
	for (;;) {
		auto_free pid_t *pids = NULL;

		n = cgroup_pids(c, &pids, err);
		if (n <= 0)
			return n;
		if (now_ms() >= end)
			return error_set(err, EBUSY, "cannot kill the processes in %s: %d are left after %d s (the first: %d)",
					 c->dirs[0].path, n, KILL_PATIENCE_MS / 1000, pids[0]);
		r = kill_once(c, err);
		if (r < 0)
			return r;
		wait_for_change(c, pids, n, KILL_PATIENCE_MS / 10);
	}
}

/* --- removing ----------------------------------------------------------------------------------------------- */

static int remove_one(int parent, int dir, const char *name, void *arg)
{
	(void)dir, (void)arg;
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

static int remove_dir(const struct cgroup *c, const char *path, int64_t end, struct error *err)
{
	for (;;) {
		struct cgroup one = {.v2 = c->v2, .n = 1, .dirs = {{.path = (char *)path}}, .dir_fd = -1};
		auto_free pid_t *pids = NULL;
		struct error why = {0};
		int n, r;

		/* Almost always there is nothing beneath. */
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		r = walk(AT_FDCWD, path, 0, remove_one, NULL, &why);
		if (r == 0)
			return 0;
		if (r != -EBUSY)
			return error_set(err, -r, "cannot remove cgroup %s: %s", path, why.msg);
		n = cgroup_pids(&one, &pids, err);
		if (n < 0)
			return n;
		if (now_ms() >= end)
			return error_set(err, EBUSY, "cannot remove cgroup %s: %d processes are in it (the first: %d); end them "
					 "first", path, n, n > 0 ? pids[0] : 0);
		wait_for_change(&one, pids, n, (int)(end - now_ms()));
	}
}

/* systemd would kill who is in it. */
static int remove_unit(const struct cgroup *c, int64_t end, struct error *err)
{
	for (;;) {
		auto_free pid_t *pids = NULL;
		int n = cgroup_pids(c, &pids, err);

		if (n < 0)
			return n;
		if (n == 0)
			return cgroup_systemd_stop(c, err);
		if (now_ms() >= end)
			return error_set(err, EBUSY, "cannot stop the unit %s: %d processes are in it (the first: %d); end them first",
					 c->unit, n, pids[0]);
		wait_for_change(c, pids, (size_t)n, (int)(end - now_ms()));
	}
}

int cgroup_remove(const struct cgroup *c, struct error *err)
{
	int64_t end = c->n > 0 ? now_ms() + REMOVE_PATIENCE_MS : 0;
	int first = c->unit ? remove_unit(c, end, err) : 0;

	if (first < 0)
		return first;
	/* All are tried, so that one obstacle leaves as little as possible behind; the first error is told. */
	for (size_t i = 0; i < c->n; i++) {
		struct error why = {0};
		int r = 0;

		if (c->dirs[i].parent)
			rmdir(c->dirs[i].path); /* stays if others are in it by now */
		else
			r = remove_dir(c, c->dirs[i].path, end, &why);
		if (r < 0 && first == 0)
			first = error_set(err, -r, "%s", why.msg);
	}
	return first;
}
