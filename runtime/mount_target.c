/* Where mounts go. The root file system is the container's to shape, and other containers may be changing it right now,
 * so a target is looked up once, inside the root, and from then on known by its descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "init.h"
#include "rootfs_parts.h"
#include "str.h"

enum { PROC_ROOT_INO = 1, MAX_LINKS = 16 };

/* --- what may be mounted over ------------------------------------------------------------------------------- */

/* Files of /proc that lxcfs and its like replace; the list is runc's. Anything else over /proc would let the container
 * choose what security labels and kernel parameters are written to (CVE-2019-16884). */
static bool may_cover_in_proc(const char *path)
{
	static const char *const files[] = {
		"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
		"/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(files[i], path) == 0)
			return true;
	return false;
}

static bool is_proc(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* True for the tree of a whole procfs, not of a part of it. */
static bool is_proc_root(int tree)
{
	struct stat st;

	return tree >= 0 && is_proc(tree) && fstat(tree, &st) == 0 && st.st_ino == PROC_ROOT_INO;
}

static int check_proc(const struct spec_mount *m, int tree, int target, struct error *err)
{
	char path[PATH_MAX];

	rootfs_clean_path(m->destination, path, sizeof(path));
	if (strcmp(path, "/proc") == 0) {
		if (str_eq(m->type, "proc") || is_proc_root(tree))
			return 0;
		return error_set(err, EINVAL, "\"/proc\" cannot be mounted because it is not of type proc");
	}
	/* The second half sees through links: a target on a procfs, whatever its name. */
	if (!str_starts(path, "/proc/") && !is_proc(target))
		return 0;
	if (may_cover_in_proc(path))
		return 0;
	return error_set(err, EINVAL, "\"%s\" cannot be mounted because it is inside /proc", m->destination);
}

/* A proc or sysfs that a link of the root redirected to a shared volume is the start of CVE-2019-19921. */
static int check_ordinary(const struct init_ctx *ctx, const struct spec_mount *m, struct error *err)
{
	auto_close int fd = -1;
	struct stat st;

	if (!str_eq(m->type, "proc") && !str_eq(m->type, "sysfs"))
		return 0;
	fd = fs_open_in_root(ctx->root_fd, m->destination, O_PATH | O_NOFOLLOW, 0, err);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return error_set(err, EINVAL, "filesystem \"%s\" must be mounted on ordinary directory, not on a link or file",
			 m->destination);
}

/* --- whose file system -------------------------------------------------------------------------------------- */

/* With root.path "/", making a missing target would leave a directory behind on the host. It may only be made in a
 * mount of the container's own, and these are their ids. Init makes one root in its life. */
static struct {
	uint64_t *ids;
	size_t n;
} own;

static int mount_id(int fd, uint64_t *ret, struct error *err)
{
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &sx) < 0)
		return error_sys(err, "cannot look at a mount");
	*ret = sx.stx_mnt_id;
	return 0;
}

int mount_target_own(int mount, struct error *err)
{
	uint64_t *ids = reallocarray(own.ids, own.n + 1, sizeof(*ids));
	int r;

	if (!ids)
		return error_oom(err);
	own.ids = ids;
	r = mount_id(mount, &ids[own.n], err);
	if (r == 0)
		own.n++;
	return r;
}

static int check_may_make_in(int dir, const char *path, struct error *err)
{
	uint64_t id = 0;
	int r = mount_id(dir, &id, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < own.n; i++)
		if (own.ids[i] == id)
			return 0;
	return error_set(err, ENOENT, "the mount target %s is missing, and as root.path is \"/\" it is not made on the host: "
			 "make it there, or mount a tmpfs on its parent first", path);
}

/* The deepest directory of path that exists decides. */
static int check_may_make(const struct init_ctx *ctx, const char *path, struct error *err)
{
	auto_free char *copy = strdup(path);

	if (!copy)
		return error_oom(err);
	for (;;) {
		auto_close int dir = -1;
		char *slash = strrchr(copy, '/');

		if (slash)
			*slash = '\0';
		else
			*copy = '\0';
		dir = fs_open_in_root(ctx->root_fd, *copy ? copy : "/", O_PATH, 0, err);
		if (dir >= 0)
			return check_may_make_in(dir, path, err);
		if (dir != -ENOENT || !*copy)
			return dir;
	}
}

/* --- making missing ones ------------------------------------------------------------------------------------ */

/* The file in its directory; a link that leads nowhere yet is followed to where it leads inside the root, so *path may
 * be replaced and 0 returned, meaning: look again. Otherwise the descriptor, or negative. */
static int make_file_once(int root, char **path, struct error *err)
{
	auto_close int dir = -1, fd = -1;
	char link[PATH_MAX], *slash = strrchr(*path, '/'), *next;
	const char *name = slash ? slash + 1 : *path;
	ssize_t n;

	if (!fs_is_name(name))
		return error_set(err, EINVAL, "%s cannot be the name of a file", *path);
	if (slash)
		*slash = '\0';
	dir = fs_mkdirs_in_root(root, slash && **path ? *path : "/", 0755, err);
	if (slash)
		*slash = '/';
	if (dir < 0)
		return dir;
	if (mknodat(dir, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		return error_sys(err, "cannot make the file %s inside the container's root", *path);
	n = readlinkat(dir, name, link, sizeof(link) - 1);
	if (n < 0) {
		fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? error_sys(err, "cannot open %s inside the container's root", *path) : take_fd(&fd);
	}
	link[n] = '\0';
	next = link[0] == '/' ? strdup(link) : str_printf("%.*s/%s", (int)(name - *path), *path, link);
	if (!next)
		return error_oom(err);
	free(*path);
	*path = next;
	return 0;
}

static int make_file(int root, const char *path, struct error *err)
{
	auto_free char *at = strdup(path);

	if (!at)
		return error_oom(err);
	for (int i = 0; i < MAX_LINKS; i++) {
		int fd = make_file_once(root, &at, err);

		/* 0 is stdin's number, which init always has open. */
		if (fd)
			return fd;
		fd = fs_open_in_root(root, at, O_PATH, 0, err);
		if (fd != -ENOENT)
			return fd;
	}
	return error_set(err, ELOOP, "cannot make the file %s inside the container's root: too many symbolic links", path);
}

static int is_root_itself(const struct init_ctx *ctx, const struct stat *st)
{
	struct stat root;

	return fstat(ctx->root_fd, &root) == 0 && root.st_ino == st->st_ino && root.st_dev == st->st_dev;
}

int mount_target_open(const struct init_ctx *ctx, const struct spec_mount *m, bool directory, int tree,
		      struct mount_target *ret, struct error *err)
{
	const char *path = m->destination;
	struct mount_target t = {.fd = -1, .existed = true};
	auto_close int fd = -1;
	struct stat st;
	int r;

	r = check_ordinary(ctx, m, err);
	if (r < 0)
		return r;
	fd = fs_open_in_root(ctx->root_fd, path, O_PATH, 0, err);
	if (fd == -ENOENT) {
		t.existed = false;
		r = rootfs_is_host(ctx->spec) ? check_may_make(ctx, path, err) : 0;
		if (r < 0)
			return r;
		fd = directory ? fs_mkdirs_in_root(ctx->root_fd, path, 0755, err) : make_file(ctx->root_fd, path, err);
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot look at %s inside the container's root", path);
	if (is_root_itself(ctx, &st))
		return error_set(err, EINVAL, "cannot mount over the root itself: let root.path name what shall be the root");
	r = check_proc(m, tree, fd, err);
	if (r < 0)
		return r;
	t.mode = st.st_mode;
	t.fd = take_fd(&fd);
	*ret = t;
	return 0;
}
