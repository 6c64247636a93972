/* The mounts of the configuration, in their order. Each is made or copied detached, gets its flags while nobody can see
 * it, is attached to a target that is held open, and only then its propagation. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "init.h"
#include "log.h"
#include "mount_opts.h"
#include "mountfd.h"
#include "ns.h"
#include "rootfs.h"
#include "rootfs_parts.h"
#include "str.h"

/* What a remount with any flag replaces, as mount(2) and runc have it: a bind mount with "ro" alone is not nosuid because
 * its source was. */
#define REPLACED_ATTRS                                                                                                 \
	(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW)

static bool is_cgroup(const struct spec_mount *m)
{
	return !mount_opts_is_bind(m) && (str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2"));
}

/* These are filled after they are mounted (with devices, with targets of further mounts), so "ro" comes last. */
static bool readonly_is_late(const struct spec_mount *m, const struct mount_opts *o)
{
	char path[PATH_MAX];

	if (o->bind || o->remount || !(o->set & MOUNT_ATTR_RDONLY))
		return false;
	rootfs_clean_path(m->destination, path, sizeof(path));
	return str_eq(m->type, "tmpfs") || strcmp(path, "/dev") == 0;
}

/* --- bind mounts -------------------------------------------------------------------------------------------- */

static int set_bind_attrs(int tree, const struct mount_opts *o, const char *dest, struct error *err)
{
	uint64_t clear = o->clear | REPLACED_ATTRS;
	struct error e = {0};
	int r;

	if (!o->set && !o->clear)
		return 0;
	r = mountfd_attr(tree, false, o->set, clear, dest, &e);
	/* In a user namespace the flags that the source came with are locked: they stay, unless the configuration says
	 * in so many words that they must not. */
	if (r == -EPERM)
		r = mountfd_attr(tree, false, o->set, o->clear, dest, &e);
	if (r == -EPERM)
		return error_set(err, EPERM, "%s (in a user namespace a mount keeps the flags, and the kind of atime, that its source "
				 "has)", e.msg);
	if (r < 0 && err)
		*err = e;
	return r;
}

static int make_bind(const struct init_ctx *ctx, size_t i, const struct mount_opts *o, bool *ret_directory, struct error *err)
{
	const struct spec_mount *m = &ctx->spec->mounts[i];
	auto_close int tree = -1;
	struct stat st;
	int r;

	if (ctx->mount_fds && ctx->mount_fds[i] >= 0)
		tree = take_fd(&ctx->mount_fds[i]);
	else
		tree = rootfs_clone_source(ctx, m, o, err);
	if (tree < 0)
		return tree;
	if (fstat(tree, &st) < 0)
		return error_sys(err, "cannot look at %s", m->source);
	r = set_bind_attrs(tree, o, m->destination, err);
	if (r < 0)
		return r;
	*ret_directory = S_ISDIR(st.st_mode);
	return take_fd(&tree);
}

/* --- file systems ------------------------------------------------------------------------------------------- */

static uint64_t first_attrs(const struct spec_mount *m, const struct mount_opts *o)
{
	return readonly_is_late(m, o) ? o->set & ~(uint64_t)MOUNT_ATTR_RDONLY : o->set;
}

/* What stands in for a file system that a user namespace may not mount, as it does not own the network, ipc or pid
 * namespace shown. */
static const char *substitute(const char *type)
{
	static const struct {
		const char *type, *path;
	} table[] = {{"sysfs", "/sys"}, {"mqueue", "/dev/mqueue"}, {"proc", "/proc"}};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].type, type) == 0)
			return table[i].path;
	return NULL;
}

static int make_substitute(const char *type, uint64_t attrs, struct error *err)
{
	auto_close int tree = mountfd_clone(AT_FDCWD, substitute(type), true, err);
	int r;

	if (tree < 0)
		return tree;
	/* All of it: below /sys lie file systems of the host, its cgroups among them, which the container must not write
	 * to although the caller may (CVE-2023-25809). */
	r = mountfd_attr(tree, true, (attrs & REPLACED_ATTRS) | MOUNT_ATTR_RDONLY, 0, type, err);
	/* The top may be had writable, unless it is locked. */
	if (r == 0 && !(attrs & MOUNT_ATTR_RDONLY))
		(void)mountfd_attr(tree, false, 0, MOUNT_ATTR_RDONLY, type, NULL);
	return r < 0 ? r : take_fd(&tree);
}

/* devpts in a user namespace that does not map the group of terminals. */
static int make_devpts_without_gid(const struct spec_mount *m, const struct mount_opts *o, uint64_t attrs, struct error *err)
{
	auto_free const char **data = calloc(o->n_data + 1, sizeof(*data));
	struct mount_opts without = *o;

	if (!data)
		return error_oom(err);
	without.data = data;
	without.n_data = 0;
	for (size_t i = 0; i < o->n_data; i++)
		if (!str_starts(o->data[i], "gid="))
			data[without.n_data++] = o->data[i];
	return mountfd_new(m->type, m->source, &without, attrs, err);
}

static int make_filesystem(const struct spec_mount *m, const struct mount_opts *o, struct error *err)
{
	uint64_t attrs = first_attrs(m, o);
	struct error e = {0};
	int fd = mountfd_new(m->type, m->source, o, attrs, &e);

	if (fd == -EPERM && substitute(m->type) && ns_in_userns()) {
		log_debug("mount of %s: %s; taking the host's instead", m->type, e.msg);
		fd = make_substitute(m->type, attrs, NULL);
	} else if (fd == -EINVAL && strcmp(m->type, "devpts") == 0 && ns_in_userns()) {
		fd = make_devpts_without_gid(m, o, attrs, NULL);
	}
	if (fd < 0 && fd != -E2BIG && err)
		*err = e;
	return fd;
}

/* Over a directory of the image, a tmpfs takes its mode (/tmp: 1777), and with tmpcopyup what is in it. */
static int fill_tmpfs(const struct mount_opts *o, const struct mount_target *target, int tmpfs, struct error *err)
{
	bool has_mode = false;

	for (size_t i = 0; i < o->n_data; i++)
		has_mode |= str_starts(o->data[i], "mode=") || strstr(o->data[i], ",mode=");
	if (target->existed && !has_mode && fchmodat(tmpfs, ".", target->mode & 07777, 0) < 0)
		return error_sys(err, "cannot set the mode of the tmpfs");
	return o->tmpcopyup && target->existed ? copyup(target->fd, tmpfs, err) : 0;
}

/* By mount(2): the descriptor has to be found afterwards. */
static int mount_by_path(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o, int target,
			 struct error *err)
{
	int r = mountfd_legacy(m->type, m->source, o, first_attrs(m, o), target, err);

	return r < 0 ? r : fs_open_in_root(ctx->root_fd, m->destination, O_PATH | O_DIRECTORY, 0, err);
}

/* --- one mount ---------------------------------------------------------------------------------------------- */

static int finish(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o, int mount,
		  struct error *err)
{
	int r = mountfd_attr(mount, true, o->rec_set, o->rec_clear, m->destination, err);

	for (size_t i = 0; r == 0 && i < o->n_propagation; i++)
		r = mountfd_propagation(mount, o->propagation[i].recursive, o->propagation[i].type, m->destination, err);
	if (r == 0 && rootfs_is_host(ctx->spec))
		r = mount_target_own(mount, err);
	return r;
}

static int do_remount(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o, struct error *err)
{
	auto_close int fd = fs_open_in_root(ctx->root_fd, m->destination, O_PATH, 0, err);
	int r;

	if (fd < 0)
		return fd;
	r = set_bind_attrs(fd, o, m->destination, err);
	return r < 0 ? r : finish(ctx, m, o, fd, err);
}

static int do_cgroup(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o, struct error *err)
{
	struct mount_target target = {.fd = -1};
	auto_close int target_fd = -1, fd = -1;
	int r = mount_target_open(ctx, m, true, -1, &target, err);

	if (r < 0)
		return r;
	target_fd = target.fd;
	fd = mount_cgroup(ctx, m, o, target_fd, err);
	return fd < 0 ? fd : finish(ctx, m, o, fd, err);
}

static int do_bind(const struct init_ctx *ctx, size_t i, const struct mount_opts *o, struct error *err)
{
	const struct spec_mount *m = &ctx->spec->mounts[i];
	struct mount_target target = {.fd = -1};
	auto_close int target_fd = -1, tree = -1;
	bool directory = false;
	int r;

	tree = make_bind(ctx, i, o, &directory, err);
	if (tree < 0)
		return tree;
	r = mount_target_open(ctx, m, directory, tree, &target, err);
	if (r < 0)
		return r;
	target_fd = target.fd;
	r = mountfd_attach(tree, target_fd, m->destination, err);
	return r < 0 ? r : finish(ctx, m, o, tree, err);
}

static int do_filesystem(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o, struct error *err)
{
	struct mount_target target = {.fd = -1};
	auto_close int target_fd = -1, mount = -1;
	int r;

	if (str_empty(m->type) || str_eq(m->type, "none"))
		return error_set(err, EINVAL, "it has no type, and no option \"bind\"");
	r = mount_target_open(ctx, m, true, -1, &target, err);
	if (r < 0)
		return r;
	target_fd = target.fd;
	mount = make_filesystem(m, o, err);
	if (mount == -E2BIG) {
		mount = mount_by_path(ctx, m, o, target_fd, err);
		return mount < 0 ? mount : finish(ctx, m, o, mount, err);
	}
	if (mount < 0)
		return mount;
	r = str_eq(m->type, "tmpfs") ? fill_tmpfs(o, &target, mount, err) : 0;
	if (r == 0)
		r = mountfd_attach(mount, target_fd, m->destination, err);
	return r < 0 ? r : finish(ctx, m, o, mount, err);
}

static int do_mount(const struct init_ctx *ctx, size_t i, struct error *err)
{
	const struct spec_mount *m = &ctx->spec->mounts[i];
	auto_mount_opts struct mount_opts o = {0};
	int r = mount_opts_parse(m, &o, err);

	if (r < 0)
		return r;
	if (o.remount)
		return do_remount(ctx, m, &o, err);
	if (o.bind)
		return do_bind(ctx, i, &o, err);
	return is_cgroup(m) ? do_cgroup(ctx, m, &o, err) : do_filesystem(ctx, m, &o, err);
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static size_t first_cgroup(const struct spec *s)
{
	size_t i = 0;

	while (i < s->n_mounts && !is_cgroup(&s->mounts[i]))
		i++;
	return i;
}

static int do_mounts(const struct init_ctx *ctx, size_t from, size_t to, struct error *err)
{
	mode_t old = umask(0022); /* targets that are made: 0755, 0644 */
	int r = 0;

	for (size_t i = from; r >= 0 && i < to; i++) {
		r = do_mount(ctx, i, err);
		if (r < 0)
			error_wrap(err, "cannot make mounts[%zu] (%s on %s)", i,
				   str_empty(ctx->spec->mounts[i].type) ? "bind" : ctx->spec->mounts[i].type,
				   ctx->spec->mounts[i].destination);
	}
	umask(old);
	return r;
}

static int check_namespace(const struct init_ctx *ctx, struct error *err)
{
	if (!ctx->spec->n_mounts || rootfs_own_namespace(ctx))
		return 0;
	return error_set(err, EINVAL, "mounts: the mount namespace is joined by path, and what would be mounted there would "
			 "change it for its other members: leave mounts empty, or do without the path");
}

int rootfs_mounts(struct init_ctx *ctx, struct error *err)
{
	int r = check_namespace(ctx, err);

	return r < 0 ? r : do_mounts(ctx, 0, first_cgroup(ctx->spec), err);
}

int rootfs_mounts_rest(struct init_ctx *ctx, struct error *err)
{
	return do_mounts(ctx, first_cgroup(ctx->spec), ctx->spec->n_mounts, err);
}

static int readonly_now(const struct init_ctx *ctx, const struct spec_mount *m, struct error *err)
{
	auto_close int fd = fs_open_in_root(ctx->root_fd, m->destination, O_PATH, 0, err);

	return fd < 0 ? fd : mountfd_attr(fd, false, MOUNT_ATTR_RDONLY, 0, m->destination, err);
}

int mount_late_readonly(const struct init_ctx *ctx, struct error *err)
{
	for (size_t i = 0; i < ctx->spec->n_mounts; i++) {
		const struct spec_mount *m = &ctx->spec->mounts[i];
		auto_mount_opts struct mount_opts o = {0};
		int r;

		if (!strv_has(m->options, "ro"))
			continue;
		r = mount_opts_parse(m, &o, err);
		if (r == 0 && readonly_is_late(m, &o))
			r = readonly_now(ctx, m, err);
		if (r < 0)
			return r;
	}
	return 0;
}
