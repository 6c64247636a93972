/* Which directories a container gets: the plan, made from the configuration and from what is mounted.
 *
 *    version 2   /sys/fs/cgroup is the unified hierarchy: one directory
 *    version 1   /sys/fs/cgroup is a tmpfs with a hierarchy per controller below it (a hybrid has a unified one without
 *                controllers as well, which is left alone): a directory in each hierarchy that is needed
 *
 * Without cgroupsPath only the controllers that the resources name are needed; with it also those that clients read
 * statistics from. Source: runtime-spec config-linux.md#control-groups. */
#include "cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cgroup_impl.h"
#include "cgroup_systemd.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"

const struct cgroup_controller_info cgroup_controllers[CGROUP_CONTROLLERS] = {
	/* The freezer first: killing looks for the processes in the first directory. */
	{CG_FREEZER, "freezer", NULL, true},
	{CG_DEVICES, "devices", NULL, true},
	{CG_MEMORY, "memory", "memory", true},
	{CG_CPU, "cpu", "cpu", true},
	{CG_CPUACCT, "cpuacct", NULL, true},
	{CG_CPUSET, "cpuset", "cpuset", true},
	{CG_PIDS, "pids", "pids", true},
	{CG_IO, "blkio", "io", true},
	/* Not to die with the service or session that created the container. */
	{CG_SYSTEMD, "systemd", NULL, true},
	{CG_HUGETLB, "hugetlb", "hugetlb", false},
	{CG_RDMA, "rdma", "rdma", false},
	{CG_MISC, "misc", "misc", false},
	{CG_NET_CLS, "net_cls", NULL, false},
	{CG_NET_PRIO, "net_prio", NULL, false},
};

enum { OWN_CGROUP_MAX = 64 * 1024 };

/* --- what is asked for -------------------------------------------------------------------------------------- */

enum manager { MANAGER_DISABLED, MANAGER_CGROUPFS, MANAGER_SYSTEMD };

static int check_manager(const char *manager, struct error *err)
{
	if (!manager || str_eq(manager, "cgroupfs"))
		return MANAGER_CGROUPFS;
	if (str_eq(manager, "disabled"))
		return MANAGER_DISABLED;
	if (str_eq(manager, "systemd"))
		return MANAGER_SYSTEMD;
	return error_set(err, EINVAL, "unknown cgroup manager \"%s\"; it is one of cgroupfs, systemd, disabled", manager);
}

/* The path as it is appended to a hierarchy: "/a/b". ret_relative: cgroupsPath did not start with '/'. */
static int clean_path(const char *path, struct buf *out, bool *ret_relative, struct error *err)
{
	*ret_relative = path[0] != '/';
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && strncmp(p, "..", 2) == 0)
			return error_set(err, EINVAL, "linux.cgroupsPath: bad sub cgroup path \"%s\": it must not contain \"..\"",
					 path);
		if (len > 0 && !(len == 1 && p[0] == '.')) {
			buf_putc(out, '/');
			buf_add(out, p, len);
		}
		p += len;
		p += strspn(p, "/");
	}
	if (out->failed)
		return error_oom(err);
	if (out->len == 0)
		return error_set(err, EINVAL, "linux.cgroupsPath: \"%s\" is the root, which cannot be a container's own cgroup",
				 path);
	return 0;
}

/* --- the caller's own cgroup, for relative paths ------------------------------------------------------------- */

/* The path in the line "N:CONTROLLERS:PATH" that lists the controller ("": the unified hierarchy's line), with its last
 * component cut off if `parent`. */
static int own_path(const char *text, const char *controller, bool parent, struct buf *out, struct error *err)
{
	size_t want = strlen(controller);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
		size_t len;
		bool found = false;

		if (!path)
			break;
		for (const char *p = list + 1; p <= path; p += strcspn(p, ",:") + 1)
			found |= strcspn(p, ",:") == want && strncmp(p, controller, want) == 0;
		if (!found)
			continue;
		path++;
		len = strcspn(path, "\n");
		while (parent && len > 0 && path[--len] != '/')
			;
		if (strncmp(path, "/..", 3) == 0)
			return error_set(err, EINVAL, "linux.cgroupsPath: a relative path needs the caller's own cgroup, which "
					 "lies outside of its cgroup namespace; use an absolute path");
		buf_add(out, path, len == 1 ? 0 : len);
		return 0;
	}
	return error_set(err, ENOENT, "linux.cgroupsPath: a relative path needs the caller's own cgroup, but /proc/self/cgroup "
			 "names none for \"%s\"; use an absolute path", controller);
}

/* --- directories -------------------------------------------------------------------------------------------- */

/* A populated or frozen cgroup is somebody else's (or a container's that was not deleted). In the usual case it does
 * not exist, and this is one system call. */
static int check_unused(const char *dir, struct error *err)
{
	char value[64];
	struct cgroup one = {.n = 1, .dirs = {{.path = (char *)dir}}, .dir_fd = -1};
	auto_free pid_t *pids = NULL;
	int n;

	if (access(dir, F_OK) < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot examine cgroup %s", dir);
	if (cgroup_read(dir, "cgroup.freeze", value, sizeof(value), NULL) == 0 && str_eq(value, "1"))
		return error_set(err, EBUSY, "container's cgroup unexpectedly frozen: %s; write 0 to its cgroup.freeze", dir);
	if (cgroup_read(dir, "freezer.state", value, sizeof(value), NULL) == 0 && !str_eq(value, "THAWED"))
		return error_set(err, EBUSY, "container's cgroup unexpectedly frozen: %s; write THAWED to its freezer.state",
				 dir);
	n = cgroup_pids(&one, &pids, err);
	if (n > 0)
		return error_set(err, EBUSY, "container's cgroup is not empty: %d process%s found in %s; end them or choose "
				 "another linux.cgroupsPath", n, n == 1 ? "" : "es", dir);
	return n < 0 ? n : 0;
}

static int append(struct cgroup *c, unsigned bits, char *path, bool parent, struct error *err)
{
	if (!path)
		return error_oom(err);
	c->dirs[c->n++] = (struct cgroup_dir){.path = path, .controllers = bits, .parent = parent, .join_fd = -1};
	return 0;
}

static int add_dir(struct cgroup *c, unsigned bits, const char *path, struct error *err)
{
	int r = check_unused(path, err);

	return r < 0 ? r : append(c, bits, strdup(path), false, err);
}

/* Notes the directories above the container's own that making it will make. Those that do not fit into the list (a path
 * of many levels that nobody prepared) stay behind, empty. */
static int add_parents(struct cgroup *c, struct error *err)
{
	int r = 0;

	for (size_t i = 0, own = c->n; i < own && r == 0; i++) {
		auto_free char *path = strdup(c->dirs[i].path);
		char *slash;

		if (!path)
			return error_oom(err);
		while (r == 0 && c->n < ARRAY_SIZE(c->dirs) && (slash = strrchr(path, '/'))) {
			slash[0] = '\0';
			if (access(path, F_OK) == 0)
				break;
			r = append(c, 0, str_printf("%s/", path), true, err);
		}
	}
	return r;
}

/* hierarchy + (own + ) path */
static int full_path(const char *hierarchy, const char *own, const char *controller, bool parent, const char *path,
		     struct buf *out, struct error *err)
{
	int r = 0;

	buf_puts(out, hierarchy);
	if (own)
		r = own_path(own, controller, parent, out, err);
	buf_puts(out, path);
	return r < 0 ? r : out->failed ? error_oom(err) : 0;
}

static int plan_v2(struct cgroup *c, const char *own, const char *path, struct error *err)
{
	auto_buf struct buf full = {0};
	/* Beside the caller's own cgroup: controllers cannot be enabled beneath one that has processes. */
	int r = full_path(CGROUP_ROOT, own, "", true, path, &full, err);

	return r < 0 ? r : add_dir(c, 0, full.data, err);
}

/* True when the controller has a hierarchy of its own device number below the tmpfs; a plain directory that was left
 * behind there has the tmpfs's. */
static bool is_mounted(const char *hierarchy, dev_t tmpfs, dev_t *ret_dev)
{
	struct stat st;

	if (stat(hierarchy, &st) < 0 || st.st_dev == tmpfs)
		return false;
	*ret_dev = st.st_dev;
	return true;
}

static int missing_controller(const char *name, struct error *err)
{
	return error_set(err, ENOENT, "linux.resources: the cgroup controller %s is needed, but not mounted at " CGROUP_ROOT
			 "/%s; mount it, or leave its limits out", name, name);
}

static int plan_v1(struct cgroup *c, const char *own, const char *path, bool usual, unsigned needed, struct error *err)
{
	dev_t seen[CGROUP_CONTROLLERS];
	struct stat root;

	if (stat(CGROUP_ROOT, &root) < 0)
		return error_sys(err, "cannot examine " CGROUP_ROOT);
	for (size_t i = 0; i < CGROUP_CONTROLLERS; i++) {
		const struct cgroup_controller_info *info = &cgroup_controllers[i];
		char hierarchy[64], name[32];
		auto_buf struct buf full = {0};
		size_t same = 0;
		int r;

		if (!(needed & info->bit) && !(usual && info->usual))
			continue;
		snprintf(hierarchy, sizeof(hierarchy), CGROUP_ROOT "/%s", info->v1);
		if (!is_mounted(hierarchy, root.st_dev, &seen[c->n])) {
			if (needed & info->bit)
				return missing_controller(info->v1, err);
			continue;
		}
		/* cpu and cpuacct are often mounted together, under both names. */
		while (same < c->n && seen[same] != seen[c->n])
			same++;
		if (same < c->n) {
			c->dirs[same].controllers |= info->bit;
			continue;
		}
		snprintf(name, sizeof(name), "%s%s", info->bit == CG_SYSTEMD ? "name=" : "", info->v1);
		r = full_path(hierarchy, own, name, false, path, &full, err);
		if (r == 0)
			r = add_dir(c, info->bit, full.data, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int plan_dirs(struct cgroup *c, const struct spec *s, const char *id, bool systemd, struct error *err)
{
	bool given = systemd || !str_empty(s->linux_.cgroups_path);
	/* Beside its own is where an ordinary user may make some, if anywhere. */
	bool relative = !given && c->v2 && geteuid() != 0;
	unsigned needed = cgroup_needs(s->linux_.resources, c->v2);
	auto_buf struct buf path = {0};
	auto_free char *own = NULL;
	int r;

	if (systemd)
		r = cgroup_systemd_plan(c, s, id, &path, err);
	else if (given)
		r = clean_path(s->linux_.cgroups_path, &path, &relative, err);
	else
		r = (buf_printf(&path, "/%s", id), path.failed) ? error_oom(err) : 0;
	if (r == 0 && relative)
		r = fs_read_at(AT_FDCWD, "/proc/self/cgroup", OWN_CGROUP_MAX, &own, NULL, err);
	if (r < 0)
		return r;
	c->devices = given || (s->linux_.resources && s->linux_.resources->n_devices > 0);
	r = c->v2 ? plan_v2(c, own, path.data, err) : plan_v1(c, own, path.data, given, needed, err);
	/* "/ID" has none; slices are systemd's. */
	return r == 0 && given && !systemd ? add_parents(c, err) : r;
}

int cgroup_plan(const struct spec *s, const char *id, const char *manager, struct cgroup *ret, struct error *err)
{
	const struct spec_resources *res = s->linux_.resources;
	bool asked = !str_empty(s->linux_.cgroups_path) ||
		     (res && (res->n_devices > 0 || res->unified.n > 0 || cgroup_needs(res, true)));
	struct cgroup c = {.dir_fd = -1};
	struct statfs fs;
	int driver = check_manager(manager, err), r;

	if (driver >= 0)
		*ret = c;
	if (driver <= 0 || (driver == MANAGER_CGROUPFS && !asked))
		return driver < 0 ? driver : 0;
	if (statfs(CGROUP_ROOT, &fs) < 0)
		return error_sys(err, "cannot examine " CGROUP_ROOT);
	if (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != TMPFS_MAGIC)
		return error_set(err, ENOTSUP, "linux.resources and cgroupsPath need control groups, but none are mounted at "
				 CGROUP_ROOT "; mount -t cgroup2 cgroup2 " CGROUP_ROOT);
	if (fs.f_type == TMPFS_MAGIC && res && res->unified.n > 0)
		return error_set(err, ENOTSUP, "linux.resources.unified is for cgroup v2; this host's controllers are on v1");
	c.v2 = fs.f_type == CGROUP2_SUPER_MAGIC;
	r = plan_dirs(&c, s, id, driver == MANAGER_SYSTEMD, err);
	if (r < 0)
		cgroup_close(&c);
	else
		*ret = c;
	return r;
}

int cgroup_path_of(pid_t pid, const char *controller, struct buf *out, struct error *err)
{
	auto_free char *text = NULL;
	char file[32];
	int r;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	r = fs_read_at(AT_FDCWD, file, OWN_CGROUP_MAX, &text, NULL, err);
	return r < 0 ? r : own_path(text, controller, false, out, err);
}

int cgroup_follow(struct cgroup *c, pid_t pid, struct error *err)
{
	size_t len = strlen(c->dirs[0].path);
	auto_buf struct buf path = {0};
	int r, fd;

	buf_puts(&path, CGROUP_ROOT);
	r = cgroup_path_of(pid, "", &path, err);
	if (r < 0)
		return r;
	if (path.failed)
		return error_oom(err);
	/* Elsewhere neither the container's limits nor its device rules would hold. */
	if (strncmp(path.data, c->dirs[0].path, len) != 0 || path.data[len] != '/')
		return error_set(err, ENOENT, "process %d is in cgroup %s, outside of %s", pid, path.data, c->dirs[0].path);
	fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, "cannot open cgroup %s", path.data);
	close_fd(&c->dir_fd);
	c->dir_fd = fd;
	return 0;
}

/* --- from the state ----------------------------------------------------------------------------------------- */

static unsigned bits_of_hierarchy(const char *name, size_t len)
{
	unsigned bits = 0;

	for (size_t i = 0; i < CGROUP_CONTROLLERS; i++)
		if (strlen(cgroup_controllers[i].v1) == len && strncmp(cgroup_controllers[i].v1, name, len) == 0)
			bits |= cgroup_controllers[i].bit;
	return bits;
}

/* What is removed and killed comes from these paths: none may be a hierarchy's root or lie elsewhere. */
static bool is_plausible(const char *path, bool v2)
{
	const char *rest = path + strlen(CGROUP_ROOT "/");

	if (!str_starts(path, CGROUP_ROOT "/") || strstr(path, "/../") || str_ends(path, "/.."))
		return false;
	if (!v2)
		rest = strchr(rest, '/') ? strchr(rest, '/') + 1 : "";
	return rest[0] && rest[0] != '/';
}

int cgroup_from_paths(char *const *paths, const char *unit, struct cgroup *ret, struct error *err)
{
	struct cgroup c = {.dir_fd = -1};
	struct statfs fs;
	int r = 0;

	if (paths && *paths && statfs(CGROUP_ROOT, &fs) == 0)
		c.v2 = fs.f_type == CGROUP2_SUPER_MAGIC;
	for (; paths && *paths && r == 0; paths++) {
		const char *name = *paths + strlen(CGROUP_ROOT "/");

		if (is_plausible(*paths, c.v2) && c.n < ARRAY_SIZE(c.dirs))
			r = append(&c, c.v2 ? 0 : bits_of_hierarchy(name, strcspn(name, "/")), strdup(*paths),
				   str_ends(*paths, "/"), err);
		else
			r = error_set(err, EINVAL, "state.json: \"%s\" is not the path of a container's cgroup", *paths);
	}
	if (r == 0 && unit && !(c.unit = strdup(unit)))
		r = error_oom(err);
	if (r < 0)
		cgroup_close(&c);
	else
		*ret = c;
	return r;
}

void cgroup_close(struct cgroup *c)
{
	for (size_t i = 0; i < c->n; i++) {
		cleanup_free(&c->dirs[i].path);
		close_fd(&c->dirs[i].join_fd);
	}
	c->n = 0;
	cgroup_systemd_close(c);
	close_fd(&c->dir_fd);
}

const char *cgroup_dir(const struct cgroup *c, enum cgroup_controller bit)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->dirs[i].parent && (c->v2 || (c->dirs[i].controllers & bit)))
			return c->dirs[i].path;
	return NULL;
}
