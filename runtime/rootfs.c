/* Getting into the root. specs/rootfs.md is the theory: what is trusted, and how paths inside the root are reached.
 *
 * Three kinds of root:
 *   a directory of its own, with a mount namespace   copied as a mount, pivoted into
 *   a directory of its own, without one              chroot, nothing more
 *   "/"                                              stays; with a mount namespace its mounts are private copies */
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "fs.h"
#include "init.h"
#include "mountfd.h"
#include "rootfs_parts.h"
#include "str.h"

enum { PROC_ROOT_INO = 1 };

/* --- questions ---------------------------------------------------------------------------------------------- */

bool rootfs_own_namespace(const struct init_ctx *ctx)
{
	return ctx->plan->clone_flags & CLONE_NEWNS;
}

bool rootfs_is_host(const struct spec *s)
{
	return s->root->path[0] == '/' && !s->root->path[strspn(s->root->path, "/")];
}

char *rootfs_host_path(const struct init_ctx *ctx, const char *path)
{
	return path[0] == '/' ? strdup(path) : str_printf("%s/%s", ctx->bundle, path);
}

void rootfs_clean_path(const char *path, char *out, size_t size)
{
	size_t len = 0;

	while (*path) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 2 && strncmp(path, "..", 2) == 0) {
			while (len && out[--len] != '/')
				;
		} else if (n && !(n == 1 && *path == '.') && len + n + 2 <= size) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
	}
	if (!len)
		out[len++] = '/';
	out[len] = '\0';
}

/* --- prepare ------------------------------------------------------------------------------------------------ */

static bool shares(const char *propagation)
{
	return str_eq(propagation, "shared") || str_eq(propagation, "rshared");
}

/* What the copies of the host's mounts may hear of the host's later mounts. With "shared" they stay peers of the
 * host's, so that volumes can carry mounts in both directions. */
static int isolate_tree(const char *propagation, struct error *err)
{
	bool private = str_eq(propagation, "private") || str_eq(propagation, "rprivate");
	struct mount_attr a = {.propagation = private ? MS_PRIVATE : MS_SLAVE};

	if (shares(propagation))
		return 0;
	if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &a, sizeof(a)) == 0)
		return 0;
	if (errno == ENOSYS)
		return error_set(err, ENOSYS, "cannot take the mounts out of the host's propagation: this kernel has no "
				 "mount_setattr(2), Linux 5.12 or newer is needed");
	return error_sys(err, "cannot take the mounts out of the host's propagation");
}

static int open_root(const struct init_ctx *ctx, struct error *err)
{
	auto_free char *path = rootfs_host_path(ctx, ctx->spec->root->path);
	int fd;

	if (!path)
		return error_oom(err);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		return error_set(err, EACCES, "cannot open the root file system %s: permission denied: it and the directories above "
				 "it must be open to who runs nsrun", path);
	return fd < 0 ? error_sys(err, "cannot open the root file system %s", path) : fd;
}

int rootfs_clone_root(const struct init_ctx *ctx, struct error *err)
{
	auto_close int dir = open_root(ctx, err), tree = -1;
	int r;

	if (dir < 0)
		return dir;
	tree = mountfd_clone(dir, "", true, err);
	if (tree < 0)
		return tree;
	/* Mounts below it that came along must not carry the container's mounts out; itself is on its own. */
	r = mountfd_propagation(tree, true, MS_SLAVE, "the root", err);
	if (r == 0)
		r = mountfd_propagation(tree, false, MS_PRIVATE, "the root", err);
	return r < 0 ? r : take_fd(&tree);
}

/* Mounted on a shared mount the root would show up on the host, and pivot_root(2) would not have it. Volumes that lie on
 * that mount are copied before it is taken out, so that they stay its peers. */
static int isolate_parent(struct init_ctx *ctx, int below, struct error *err)
{
	struct mount_attr a = {.propagation = MS_PRIVATE};
	auto_close int dir = openat(below, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = ctx->mount_fds ? 0 : rootfs_clone_sources(ctx, err);

	if (r < 0)
		return r;
	for (int depth = 0; depth < PATH_MAX && dir >= 0; depth++) {
		int up;

		if (mount_setattr(dir, "", AT_EMPTY_PATH, &a, sizeof(a)) == 0)
			return 0;
		if (errno != EINVAL) /* no mount's root: higher up */
			break;
		up = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(dir);
		dir = up;
	}
	return error_sys(err, "cannot take the mount that holds the root out of the host's propagation");
}

/* On top of where it lies: createContainer hooks mount beneath that path. A user namespace that cannot reach it has the
 * root on top of "/", where no path sees it. */
static int attach_root(struct init_ctx *ctx, struct error *err)
{
	auto_close int dir = open_root(ctx, err);
	int r = 0;

	if (dir == -EACCES)
		dir = fs_open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, err);
	if (dir < 0)
		return dir;
	if (shares(ctx->spec->linux_.rootfs_propagation))
		r = isolate_parent(ctx, dir, err);
	return r < 0 ? r : mountfd_attach(ctx->root_fd, dir, ctx->spec->root->path, err);
}

int rootfs_prepare(struct init_ctx *ctx, struct error *err)
{
	bool own = rootfs_own_namespace(ctx), copied = own && !rootfs_is_host(ctx->spec);
	int r = own ? isolate_tree(ctx->spec->linux_.rootfs_propagation, err) : 0;

	if (r < 0)
		return r;
	if (ctx->root_fd < 0) /* with a user namespace the parent has done it */
		ctx->root_fd = copied ? rootfs_clone_root(ctx, err) : open_root(ctx, err);
	if (ctx->root_fd < 0)
		return ctx->root_fd;
	if (copied)
		return attach_root(ctx, err);
	/* Over the host's own tree the first mounts hide the sources of the next ones: /run hides /run/netns. Devices, too,
	 * are the host's in a user namespace; without a /dev there are none. */
	if (own)
		ctx->host_dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return own && !ctx->mount_fds ? rootfs_clone_sources(ctx, err) : 0;
}

/* --- enter -------------------------------------------------------------------------------------------------- */

static int enter_by_chroot(int root, struct error *err)
{
	if (fchdir(root) < 0 || chroot(".") < 0)
		return error_sys(err, "cannot change the root directory");
	return 0;
}

/* Old and new root on one directory: the old one ends up on top of the new, and "." is it (pivot_root(2), NOTES). */
static int enter_by_pivot(const struct init_ctx *ctx, struct error *err)
{
	bool shared = shares(ctx->spec->linux_.rootfs_propagation);
	auto_close int old = shared ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int r;

	if (shared && old < 0)
		return error_sys(err, "cannot open the old root");
	if (fchdir(ctx->root_fd) < 0)
		return error_sys(err, "cannot enter the root file system");
	if (syscall(SYS_pivot_root, ".", ".") < 0) {
		if (errno == EINVAL)
			return error_set(err, EINVAL, "cannot pivot into the root file system: the host's root is one that "
					 "cannot be left (initramfs); try --no-pivot");
		return error_sys(err, "cannot pivot into the root file system");
	}
	/* Detaching shared mounts would detach the host's. By descriptor: "." is the old root to umount2(2) alone. */
	r = shared ? mountfd_propagation(old, true, MS_SLAVE, "the old root", err) : 0;
	if (r < 0)
		return r;
	if (umount2(".", MNT_DETACH) < 0)
		return error_sys(err, "cannot detach the old root");
	return chdir("/") < 0 ? error_sys(err, "cannot enter the new root") : 0;
}

/* The next field of a line of mountinfo. */
static char *next_field(char **line)
{
	return strsep(line, " ");
}

/* mountinfo writes space, tab, newline and backslash as "\040". */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* A process with rights in the mount namespace can get out of a chroot. It must not find a whole procfs or sysfs there,
 * which would entitle it to mount more of them. */
static int hide_virtual(const char *where, struct error *err)
{
	if (mount(NULL, where, NULL, MS_SLAVE | MS_REC, NULL) == 0 && umount2(where, MNT_DETACH) == 0)
		return 0;
	if ((errno == EINVAL || errno == EPERM) && mount("tmpfs", where, "tmpfs", 0, NULL) == 0)
		return 0;
	/* Gone with a mount above it. */
	return errno == ENOENT ? 0 : error_sys(err, "cannot hide %s below the old root", where);
}

static int hide_virtual_mounts(int root, struct error *err)
{
	auto_free char *text = NULL;
	char proc[FS_PROC_FD_SIZE], self[PATH_MAX], *lines, *line;
	ssize_t n = readlink(fs_proc_fd(root, proc), self, sizeof(self) - 1);
	int r = n < 0 ? error_sys(err, "cannot tell where the root file system lies") : 0;

	if (r == 0)
		r = fs_read_at(AT_FDCWD, "/proc/self/mountinfo", 16 << 20, &text, NULL, err);
	if (r < 0)
		return r;
	self[n] = '\0';
	lines = text;
	while (r == 0 && (line = strsep(&lines, "\n"))) {
		char *fields = line, *where = NULL, *type = strstr(line, " - ");

		for (int i = 0; i < 5; i++)
			where = next_field(&fields);
		if (!type || !where || (!str_starts(type, " - proc ") && !str_starts(type, " - sysfs ")))
			continue;
		unescape(where);
		if (!str_starts(where, self) || (where[n] && where[n] != '/'))
			r = hide_virtual(where, err);
	}
	return r;
}

/* --no-pivot, for hosts whose root is an initramfs. */
static int enter_by_move(const struct init_ctx *ctx, struct error *err)
{
	int r = hide_virtual_mounts(ctx->root_fd, err);

	if (r < 0)
		return r;
	if (move_mount(ctx->root_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "cannot move the root file system onto /");
	return enter_by_chroot(ctx->root_fd, err);
}

int rootfs_enter(struct init_ctx *ctx, struct error *err)
{
	int r = 0;

	if (rootfs_is_host(ctx->spec))
		r = 0;
	else if (!rootfs_own_namespace(ctx))
		r = enter_by_chroot(ctx->root_fd, err);
	else if (ctx->options && ctx->options->no_pivot)
		r = enter_by_move(ctx, err);
	else
		r = enter_by_pivot(ctx, err);
	if (r == 0)
		ctx->pivoted = true;
	return r;
}

/* --- a procfs nobody else has ------------------------------------------------------------------------------- */

/* The host of a nested container may have covered parts of /proc, and then no new procfs is allowed: the old one,
 * without what covers it. */
static int clone_proc(struct error *err)
{
	return mountfd_clone(AT_FDCWD, "/proc", false, err);
}

static int new_proc(bool whole, struct error *err)
{
	auto_close int fs = fsopen("proc", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return error_sys(err, "cannot open a procfs");
	/* Both need Linux 5.8; without them the mount is merely less narrow. */
	if (!whole) {
		fsconfig(fs, FSCONFIG_SET_STRING, "hidepid", "ptraceable", 0);
		fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_sys(err, "cannot make a procfs");
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? error_sys(err, "cannot mount a procfs") : fd;
}

int rootfs_private_proc(bool whole, struct error *err)
{
	auto_close int fd = new_proc(whole, err);
	struct statfs fs;
	struct stat st;

	if (fd == -EPERM)
		fd = clone_proc(err);
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return error_sys(err, "cannot look at the private procfs");
	if (fs.f_type != PROC_SUPER_MAGIC || st.st_ino != PROC_ROOT_INO)
		return error_set(err, EXDEV, "/proc is no procfs: somebody has mounted over it");
	return take_fd(&fd);
}
