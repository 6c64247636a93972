/* What the container must not see or change: maskedPaths, readonlyPaths, root.readonly. Applied last, after every hook
 * and mount that still needs the paths. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "init.h"
#include "mountfd.h"
#include "rootfs.h"
#include "rootfs_parts.h"
#include "str.h"

/* What covers files and directories; opened when first needed. */
struct covers {
	int null;  /* the null device */
	int empty; /* an empty read-only directory, attached somewhere already */
};

static int open_path(const struct init_ctx *ctx, const char *path, struct error *err)
{
	int fd = fs_open_in_root(ctx->root_fd, path, O_PATH, 0, err);

	return fd == -ENOTDIR ? -ENOENT : fd;
}

/* The root decides what /dev/null is, so it is looked at before it is used: a link to /proc/sys/kernel/core_pattern
 * there would become a writable core_pattern at the masked path (CVE-2025-31133). */
static int open_null(const struct init_ctx *ctx, struct error *err)
{
	auto_close int fd = fs_open_in_root(ctx->root_fd, "/dev/null", O_PATH | O_NOFOLLOW, 0, err);
	struct stat st;

	if (fd < 0)
		return error_wrap(err, "the null device is needed to mask files");
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot look at /dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return error_set(err, EINVAL, "/dev/null of the container is not the null device, so files cannot be masked "
				 "with it");
	return take_fd(&fd);
}

static int cover_file(const struct init_ctx *ctx, int target, const char *path, struct covers *c, struct error *err)
{
	auto_close int tree = -1;

	if (c->null < 0)
		c->null = open_null(ctx, err);
	if (c->null < 0)
		return c->null;
	tree = mountfd_clone(c->null, "", false, err);
	return tree < 0 ? tree : mountfd_attach(tree, target, path, err);
}

/* One tmpfs for all: each superblock costs, and many of them slow the kernel's reclaim. The first use attaches the mount
 * itself, later ones copies of it, since before Linux 6.15 only attached mounts can be copied. */
static int cover_directory(int target, const char *path, struct covers *c, struct error *err)
{
	static const uint64_t attrs = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	auto_close int tree = -1;

	if (c->empty >= 0) {
		tree = mountfd_clone(c->empty, "", false, err);
		return tree < 0 ? tree : mountfd_attach(tree, target, path, err);
	}
	c->empty = mountfd_new("tmpfs", "tmpfs", NULL, attrs, err);
	return c->empty < 0 ? c->empty : mountfd_attach(c->empty, target, path, err);
}

static int mask(const struct init_ctx *ctx, const char *path, struct covers *c, struct error *err)
{
	auto_close int fd = open_path(ctx, path, err);
	struct stat st;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot look at %s", path);
	return S_ISDIR(st.st_mode) ? cover_directory(fd, path, c, err) : cover_file(ctx, fd, path, c, err);
}

static int mask_all(const struct init_ctx *ctx, struct error *err)
{
	struct covers c = {-1, -1};
	char *const *paths = ctx->spec->linux_.masked_paths;
	int r = 0;

	for (size_t i = 0; r == 0 && paths && paths[i]; i++) {
		r = mask(ctx, paths[i], &c, err);
		if (r < 0)
			error_wrap(err, "cannot mask %s", paths[i]);
	}
	cleanup_close(&c.null);
	cleanup_close(&c.empty);
	return r;
}

static int make_readonly(const struct init_ctx *ctx, const char *path, struct error *err)
{
	auto_close int fd = open_path(ctx, path, err), tree = -1;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	tree = mountfd_clone(fd, "", true, err);
	if (tree < 0)
		return tree;
	r = mountfd_attr(tree, false, MOUNT_ATTR_RDONLY, 0, path, err);
	return r < 0 ? r : mountfd_attach(tree, fd, path, err);
}

static int make_all_readonly(const struct init_ctx *ctx, struct error *err)
{
	char *const *paths = ctx->spec->linux_.readonly_paths;
	int r = 0;

	for (size_t i = 0; r == 0 && paths && paths[i]; i++) {
		r = make_readonly(ctx, paths[i], err);
		if (r < 0)
			error_wrap(err, "cannot make %s read-only", paths[i]);
	}
	return r;
}

/* The words that change what the new root is; "private" and "slave" were the old tree's matter, and private is what the
 * new root is anyway. */
static int set_propagation(const struct init_ctx *ctx, struct error *err)
{
	static const struct word words[] = {
		{"shared", MS_SHARED},
		{"rshared", MS_SHARED},
		{"unbindable", MS_UNBINDABLE},
		{"runbindable", MS_UNBINDABLE},
		{NULL, 0},
	};
	const char *word = ctx->spec->linux_.rootfs_propagation;
	int type = word ? word_value(words, word) : -1;

	return type < 0 ? 0 : mountfd_propagation(ctx->root_fd, word[0] == 'r', (uint64_t)type, "/", err);
}

static int check_namespace(const struct init_ctx *ctx, struct error *err)
{
	const struct spec_linux *l = &ctx->spec->linux_;

	if (!strv_len(l->masked_paths) && !strv_len(l->readonly_paths) && !ctx->spec->root->readonly)
		return 0;
	return error_set(err, EINVAL, "maskedPaths, readonlyPaths and root.readonly: the mount namespace is joined by path, and "
			 "they would change it for its other members: leave them out, or do without the path");
}

int rootfs_protect(struct init_ctx *ctx, struct error *err)
{
	int r;

	if (!rootfs_own_namespace(ctx))
		return check_namespace(ctx, err);
	r = make_all_readonly(ctx, err);
	if (r == 0)
		r = mask_all(ctx, err);
	if (r == 0)
		r = mount_late_readonly(ctx, err);
	if (r == 0)
		r = set_propagation(ctx, err);
	/* The mount's flag, not the file system's: with root.path "/" that is the host's. */
	if (r == 0 && ctx->spec->root->readonly)
		r = mountfd_attr(ctx->root_fd, false, MOUNT_ATTR_RDONLY, 0, "/", err);
	return r;
}
