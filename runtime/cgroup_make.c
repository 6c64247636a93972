/* Making a container's cgroups, and moving processes into them. */
#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup_impl.h"
#include "cgroup_systemd.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "ns.h"
#include "str.h"

/* --- small files -------------------------------------------------------------------------------------------- */

static int open_file(const char *dir, const char *file, int flags)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags | O_CLOEXEC);
}

int cgroup_read(const char *dir, const char *file, char *out, size_t size, struct error *err)
{
	auto_close int fd = open_file(dir, file, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (n < 0)
		return error_sys(err, "cannot read %s/%s", dir, file);
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	return 0;
}

int cgroup_write(const char *dir, const char *file, const char *value, struct error *err)
{
	auto_close int fd = open_file(dir, file, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return error_sys(err, "cannot open %s/%s to write \"%s\"", dir, file, value);
	do
		n = write(fd, value, strlen(value));
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_sys(err, "cannot write \"%s\" to %s/%s", value, dir, file) : 0;
}

/* --- making ------------------------------------------------------------------------------------------------- */

static int set_devices(const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	const char *dir = cgroup_dir(c, CG_DEVICES);
	int rc;

	if (!c->devices || !dir)
		return 0;
	rc = c->v2 ? cgroup_devices_v2(c->dir_fd, r, err) : cgroup_devices_v1(dir, r, err);
	/* The kernel keeps these rights to root of the initial user namespace; the nodes that others can make are harmless
	 * anyway. */
	if ((rc == -EPERM || rc == -EACCES) && (geteuid() != 0 || ns_in_userns()))
		return 0;
	return rc;
}

/* The controllers that clients read statistics from. */
static unsigned usual_controllers(void)
{
	unsigned bits = 0;

	for (size_t i = 0; i < CGROUP_CONTROLLERS; i++)
		if (cgroup_controllers[i].usual)
			bits |= cgroup_controllers[i].bit;
	return bits;
}

/* Init and the placeholder are there together for a moment. */
static bool is_too_narrow(const struct cgroup *c, const struct spec_resources *r)
{
	return cgroup_systemd_has_placeholder(c) && r && r->pids && r->pids->has_limit && r->pids->limit >= 0 && r->pids->limit < 2;
}

static int set_limits(const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	struct spec_pids two = {.limit = 2, .has_limit = true};
	struct spec_resources wider = *r;

	if (is_too_narrow(c, r))
		wider.pids = &two;
	return cgroup_limits(c, &wider, err);
}

static int make_all(struct cgroup *c, const struct spec *s, bool made[], struct error *err)
{
	const struct spec_resources *r = s->linux_.resources;
	unsigned needed = cgroup_needs(r, c->v2), wanted = str_empty(s->linux_.cgroups_path) ? 0 : usual_controllers();
	int rc = c->unit ? cgroup_systemd_start(c, s, err) : 0;

	/* The rest is for what systemd does not do: controllers that it does not know, version 1's of which it makes none. */
	if (c->unit && c->v2)
		wanted = 0;
	for (size_t i = 0; i < c->n && rc == 0; i++) {
		if (c->dirs[i].parent)
			made[i] = true; /* with the directories below it */
		else if (c->v2)
			rc = cgroup_v2_make(&c->dirs[i], needed, wanted, &made[i], err);
		else
			rc = cgroup_v1_make(&c->dirs[i], &made[i], err);
	}
	if (rc == 0 && c->unit && made[0])
		rc = error_set(err, ENOENT, "systemd has ended the unit %s before the container was in it", c->unit);
	if (rc == 0)
		rc = cgroup_open(c, err);
	if (rc == 0 && r)
		rc = set_limits(c, r, err);
	if (rc == 0)
		rc = set_devices(c, r, err);
	return rc == 0 && c->v2 && c->n ? cgroup_v2_delegate(c->dir_fd, s, err) : rc;
}

int cgroup_make(struct cgroup *c, const struct spec *s, struct error *err)
{
	bool made[ARRAY_SIZE(c->dirs)] = {false};
	int r = make_all(c, s, made, err);

	if (r < 0)
		cgroup_systemd_settle(c);
	for (size_t i = 0; r < 0 && i < c->n; i++)
		if (made[i])
			rmdir(c->dirs[i].path);
	return r;
}

int cgroup_settle(struct cgroup *c, const struct spec *s, pid_t init, struct error *err)
{
	const struct spec_resources *r = s->linux_.resources;
	bool narrow = is_too_narrow(c, r);
	int rc = 0;

	if (!cgroup_systemd_has_placeholder(c))
		return 0;
	/* On version 1 init enters by itself, but maybe it has not come to that yet. */
	if (!c->v2)
		rc = cgroup_join(c, init, err);
	cgroup_systemd_settle(c);
	if (rc == 0 && narrow) {
		const struct spec_resources pids = {.pids = r->pids};

		rc = cgroup_systemd_update(c, &pids, err);
		if (rc == 0)
			rc = cgroup_limits(c, &pids, err);
	}
	return rc;
}

/* --- joining ------------------------------------------------------------------------------------------------ */

int cgroup_open(struct cgroup *c, struct error *err)
{
	if (c->v2 && c->n > 0 && c->dir_fd < 0) {
		c->dir_fd = open(c->dirs[0].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (c->dir_fd < 0)
			return error_sys(err, "cannot open cgroup %s", c->dirs[0].path);
	}
	for (size_t i = 0; !c->v2 && i < c->n; i++) {
		struct cgroup_dir *d = &c->dirs[i];

		if (d->parent)
			continue;
		if (d->join_fd < 0)
			d->join_fd = open_file(d->path, "tasks", O_WRONLY);
		if (d->join_fd < 0)
			return error_sys(err, "cannot open %s/tasks", d->path);
	}
	return 0;
}

int cgroup_enter(const struct cgroup *c, struct error *err)
{
	for (size_t i = 0; !c->v2 && i < c->n; i++)
		if (!c->dirs[i].parent && write(c->dirs[i].join_fd, "0", 1) < 0)
			return error_sys(err, "cannot join cgroup %s", c->dirs[i].path);
	return 0;
}

int cgroup_join(const struct cgroup *c, pid_t pid, struct error *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	for (size_t i = 0; i < c->n; i++) {
		int r = c->dirs[i].parent ? 0 : cgroup_write(c->dirs[i].path, "cgroup.procs", text, err);

		if (r < 0)
			return r;
	}
	return 0;
}
