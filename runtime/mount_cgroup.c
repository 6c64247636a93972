/* Mounts of type "cgroup": the container's own cgroups, never the host's.
 *
 * Version 2: the unified hierarchy, which a cgroup namespace cuts to the container's part.
 *
 * Version 1 and hybrid: a tmpfs with a directory for each hierarchy, as hosts have it. In it goes the hierarchy itself
 * when a cgroup namespace cuts it, otherwise a bind mount of the cgroup that init sits in. nsrun joins only the
 * hierarchies whose controllers were asked for; in the others init sits in the cgroup of its creator (often the
 * root), and that is shown read-only whatever the options say: programs read limits there, but must not set them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cgroup.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "init.h"
#include "mount_opts.h"
#include "mountfd.h"
#include "rootfs_parts.h"
#include "str.h"

#define CGROUP_DIR "/sys/fs/cgroup"

/* One line of /proc/self/cgroup. */
struct hierarchy {
	const char *controllers; /* "cpu,cpuacct", "name=systemd", "" for the unified one */
	const char *path;	 /* of init's cgroup, beneath the hierarchy's root */
	char name[64];		 /* of the directory: "cpu,cpuacct", "systemd", "unified" */
};

static bool has_magic(int fd, long magic)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == magic;
}

static bool parse_line(char *line, struct hierarchy *h)
{
	char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
	const char *name;

	if (!path)
		return false;
	*path++ = '\0';
	h->controllers = controllers + 1;
	h->path = path;
	name = !*h->controllers ? "unified" : str_starts(h->controllers, "name=") ? h->controllers + 5 : h->controllers;
	if (!fs_is_name(name))
		return false;
	return (size_t)snprintf(h->name, sizeof(h->name), "%s", name) < sizeof(h->name);
}

/* --- one hierarchy ------------------------------------------------------------------------------------------ */

/* True when nsrun made a cgroup for the container in this hierarchy. */
static bool is_own(const struct cgroup *c, const struct hierarchy *h)
{
	char prefix[sizeof(CGROUP_DIR) + sizeof(h->name) + 2];
	int n = snprintf(prefix, sizeof(prefix), CGROUP_DIR "/%s/", h->name);

	for (size_t i = 0; i < c->n; i++)
		if (strncmp(c->dirs[i].path, prefix, (size_t)n) == 0)
			return true;
	return false;
}

/* -ENOENT: the hierarchy is not mounted where hosts have it; then the container goes without. */
static int clone_cgroup(const struct hierarchy *h, struct error *err)
{
	auto_free char *path = str_printf(CGROUP_DIR "/%s%s", h->name, h->path);
	auto_close int tree = -1;

	if (!path)
		return error_oom(err);
	tree = mountfd_clone(AT_FDCWD, path, false, err);
	if (tree >= 0 && !has_magic(tree, *h->controllers ? CGROUP_SUPER_MAGIC : CGROUP2_SUPER_MAGIC))
		return -ENOENT;
	return tree < 0 ? tree : take_fd(&tree);
}

/* The hierarchy, as the cgroup namespace shows it. It is chosen by naming exactly its controllers. */
static int new_cgroup(const struct hierarchy *h, struct error *err)
{
	const char *data[2] = {"none", h->controllers};
	struct mount_opts o = {.data = data, .n_data = 2};

	if (!*h->controllers)
		return mountfd_new("cgroup2", "cgroup", NULL, 0, err);
	if (!str_starts(h->controllers, "name=")) {
		data[0] = h->controllers;
		o.n_data = 1;
	}
	return mountfd_new("cgroup", "cgroup", &o, 0, err);
}

static int add_links(int tmpfs, const struct hierarchy *h, struct error *err)
{
	char copy[sizeof(h->name)], *next = copy, *name;

	if (!strchr(h->controllers, ','))
		return 0;
	strcpy(copy, h->name);
	while ((name = strsep(&next, ",")))
		if (symlinkat(h->name, tmpfs, name) < 0 && errno != EEXIST)
			return error_sys(err, "cannot make the link %s", name);
	return 0;
}

static int add_hierarchy(const struct init_ctx *ctx, const struct hierarchy *h, uint64_t attrs, int tmpfs, struct error *err)
{
	bool cut = ns_is_private(ctx->plan, NS_CGROUP);
	auto_close int mount = cut ? new_cgroup(h, err) : clone_cgroup(h, err), dir = -1;
	int r;

	if (mount < 0)
		return mount == -ENOENT ? 0 : mount;
	if (!is_own(ctx->cgroup, h))
		attrs |= MOUNT_ATTR_RDONLY;
	r = mountfd_attr(mount, false, attrs, 0, h->name, err);
	if (r < 0)
		return r;
	if (mkdirat(tmpfs, h->name, 0755) < 0)
		return error_sys(err, "cannot make the directory %s", h->name);
	dir = fs_open_at(tmpfs, h->name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (dir < 0)
		return dir;
	r = mountfd_attach(mount, dir, h->name, err);
	return r < 0 ? r : add_links(tmpfs, h, err);
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static int add_hierarchies(const struct init_ctx *ctx, uint64_t attrs, int tmpfs, struct error *err)
{
	auto_free char *text = NULL;
	char *next, *line;
	int r = fs_read_at(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL, err);

	next = text;
	while (r == 0 && (line = strsep(&next, "\n"))) {
		struct hierarchy h;

		if (parse_line(line, &h))
			r = add_hierarchy(ctx, &h, attrs, tmpfs, err);
	}
	return r;
}

static int mount_v1(const struct init_ctx *ctx, const struct mount_opts *o, int target, struct error *err)
{
	const char *data[] = {"mode=755"};
	const struct mount_opts mode = {.data = data, .n_data = 1};
	uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	auto_close int tmpfs = mountfd_new("tmpfs", "tmpfs", &mode, attrs, err);
	int r;

	if (tmpfs < 0)
		return tmpfs;
	/* Attached first: before Linux 6.15 nothing can be mounted in a detached mount. */
	r = mountfd_attach(tmpfs, target, CGROUP_DIR, err);
	if (r == 0)
		r = add_hierarchies(ctx, attrs | o->set, tmpfs, err);
	if (r == 0)
		r = mountfd_attr(tmpfs, false, o->set, 0, CGROUP_DIR, err);
	return r < 0 ? r : take_fd(&tmpfs);
}

/* Where the unified hierarchy cannot be mounted (a user namespace without a cgroup namespace of its own), the
 * container's part of the host's is shown. */
static int clone_v2(const char *base, struct error *err)
{
	auto_free char *text = NULL;
	char *next, *line;
	struct hierarchy h;
	int r = fs_read_at(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL, err);

	next = text;
	while (r == 0 && (line = strsep(&next, "\n")))
		if (parse_line(line, &h) && !*h.controllers) {
			auto_free char *path = str_printf("%s%s", base, h.path);

			return path ? mountfd_clone(AT_FDCWD, path, false, err) : error_oom(err);
		}
	return r < 0 ? r : error_set(err, ENOENT, "/proc/self/cgroup names no unified hierarchy");
}

static int mount_v2(const struct mount_opts *o, const char *base, int target, struct error *err)
{
	struct error e = {0};
	auto_close int mount = mountfd_new("cgroup2", "cgroup", o, 0, &e);
	int r;

	if (mount == -EPERM || mount == -EBUSY)
		mount = clone_v2(base, &e);
	if (mount < 0) {
		if (err)
			*err = e;
		return mount;
	}
	r = mountfd_attr(mount, false, o->set, o->clear & MOUNT_ATTR__ATIME, CGROUP_DIR, err);
	if (r == 0)
		r = mountfd_attach(mount, target, CGROUP_DIR, err);
	return r < 0 ? r : take_fd(&mount);
}

int mount_cgroup(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o, int target,
		 struct error *err)
{
	auto_close int host = open(CGROUP_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool unified = host >= 0 && has_magic(host, CGROUP2_SUPER_MAGIC);

	/* "cgroup2" is the unified hierarchy on any host; "cgroup" is what the host has. */
	if (unified || str_eq(m->type, "cgroup2"))
		return mount_v2(o, unified ? CGROUP_DIR : CGROUP_DIR "/unified", target, err);
	return mount_v1(ctx, o, target, err);
}
