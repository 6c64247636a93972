/* Devices. Everything is done beneath one descriptor of /dev, opened without following a link: were /dev a link of the
 * root to a volume, nodes would be made there (CVE-2026-41579). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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

struct node {
	const char *path; /* in the container, and of the same device on the host */
	mode_t type;	  /* S_IFCHR ... */
	dev_t device;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool optional; /* another kind of file in its place is left there */
	int host_dev; /* the host's /dev; -1: it is still at its path */
};

/* runtime-spec config-linux.md#default-devices. */
static const struct {
	const char *path;
	unsigned major, minor;
} default_nodes[] = {
	{"/dev/null", 1, 3}, {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
	{"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

static const struct {
	const char *name, *target;
} links[] = {
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
};

enum dev_kind dev_kind(const struct spec *s)
{
	for (size_t i = s->n_mounts; i-- > 0;) {
		char path[PATH_MAX];

		rootfs_clean_path(s->mounts[i].destination, path, sizeof(path));
		if (strcmp(path, "/dev") == 0 && !strv_has(s->mounts[i].options, "remount"))
			return mount_opts_is_bind(&s->mounts[i]) ? DEV_BOUND : DEV_OURS;
	}
	return rootfs_is_host(s) ? DEV_HOST : DEV_OURS;
}

static int open_dev(const struct init_ctx *ctx, struct error *err)
{
	auto_close int fd = fs_open_in_root(ctx->root_fd, "/dev", O_PATH | O_NOFOLLOW, 0, err);
	struct stat st;

	if (fd == -ENOENT)
		fd = fs_mkdirs_in_root(ctx->root_fd, "/dev", 0755, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot look at /dev");
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "/dev of the root file system is a %s, devices are only made in an ordinary directory",
				 S_ISLNK(st.st_mode) ? "symbolic link" : "file");
	return take_fd(&fd);
}

/* --- nodes -------------------------------------------------------------------------------------------------- */

/* Where nodes cannot be made (in a user namespace), the host's is shown. */
static int bind_node(int dir, const char *name, const struct node *n, struct error *err)
{
	bool covered = n->host_dev >= 0 && str_starts(n->path, "/dev/");
	auto_close int tree = mountfd_clone(covered ? n->host_dev : AT_FDCWD, covered ? n->path + strlen("/dev/") : n->path,
					    false, err), target = -1;
	struct stat st;

	if (tree == -ENOENT)
		return error_set(err, ENOENT, "cannot make the device %s: a user namespace may only show the host's, which has none "
				 "of that name", n->path);
	if (tree < 0)
		return tree;
	if (fstat(tree, &st) < 0)
		return error_sys(err, "cannot look at %s of the host", n->path);
	if ((st.st_mode & S_IFMT) != n->type || st.st_rdev != n->device)
		return error_set(err, EINVAL, "%s of the host is another device", n->path);
	if (mknodat(dir, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		return error_sys(err, "cannot make the file %s for a device", n->path);
	target = fs_open_at(dir, name, O_PATH | O_NOFOLLOW, 0, err);
	return target < 0 ? target : mountfd_attach(tree, target, n->path, err);
}

static int check_existing(int dir, const char *name, const struct node *n, struct error *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "cannot look at %s", n->path);
	if ((st.st_mode & S_IFMT) == n->type && (n->type == S_IFIFO || st.st_rdev == n->device))
		return 0;
	/* What bind_node() left in the root file system at an earlier start. */
	if (S_ISREG(st.st_mode) && st.st_size == 0 && n->type != S_IFIFO && ns_in_userns())
		return bind_node(dir, name, n, err);
	if (!n->optional)
		return error_set(err, EEXIST, "cannot make the device %s: another file is in its place", n->path);
	log_warn("%s of the root file system is not the device it should be", n->path);
	return 0;
}

static int make_node(int dir, const char *name, const struct node *n, struct error *err)
{
	if (mknodat(dir, name, n->type | n->mode, n->device) < 0) {
		if (errno == EEXIST)
			return check_existing(dir, name, n, err);
		if (errno == EPERM && n->type != S_IFIFO)
			return bind_node(dir, name, n, err);
		if (errno == EROFS)
			return error_set(err, EROFS, "cannot make the device %s: the root file system is read-only; mount a tmpfs "
					 "on /dev", n->path);
		return error_sys(err, "cannot make the device %s", n->path);
	}
	if ((n->uid || n->gid) && fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "cannot set the owner of the device %s", n->path);
	return 0;
}

static int make_default_nodes(const struct init_ctx *ctx, int dev, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(default_nodes); i++) {
		struct node n = {
			.path = default_nodes[i].path,
			.type = S_IFCHR,
			.device = makedev(default_nodes[i].major, default_nodes[i].minor),
			.mode = 0666,
			.optional = true,
			.host_dev = ctx->host_dev,
		};

		r = make_node(dev, n.path + strlen("/dev/"), &n, err);
	}
	return r;
}

static mode_t node_type(const struct spec_device *d)
{
	return d->type[0] == 'b' ? S_IFBLK : d->type[0] == 'p' ? S_IFIFO : S_IFCHR;
}

static struct node listed_node(const struct spec_device *d, int host_dev)
{
	return (struct node){
		.path = d->path,
		.type = node_type(d),
		.device = makedev((unsigned)d->major, (unsigned)d->minor),
		.mode = (d->has_file_mode ? d->file_mode : 0666) & 07777,
		.uid = d->uid,
		.gid = d->gid,
		.host_dev = host_dev,
	};
}

static int make_listed_node(const struct init_ctx *ctx, const struct spec_device *d, struct error *err)
{
	struct node n = listed_node(d, ctx->host_dev);
	auto_free char *path = strdup(d->path);
	auto_close int dir = -1;
	char *slash, *name;

	if (!path)
		return error_oom(err);
	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	if (!slash || !fs_is_name(name))
		return error_set(err, EINVAL, "linux.devices: \"%s\" cannot be the path of a device", d->path);
	*slash = '\0';
	dir = fs_mkdirs_in_root(ctx->root_fd, *path ? path : "/", 0755, err);
	return dir < 0 ? dir : make_node(dir, name, &n, err);
}

/* On the host's /dev nothing is made, but what is there already is fine. */
static int check_host_nodes(const struct init_ctx *ctx, struct error *err)
{
	for (size_t i = 0; i < ctx->spec->linux_.n_devices; i++) {
		struct node n = listed_node(&ctx->spec->linux_.devices[i], -1);
		struct stat st;

		if (stat(n.path, &st) < 0 || (st.st_mode & S_IFMT) != n.type || (n.type != S_IFIFO && st.st_rdev != n.device))
			return error_set(err, EINVAL, "linux.devices: %s cannot be made, as /dev is the host's: mount a tmpfs on /dev",
					 n.path);
	}
	return 0;
}

/* --- links -------------------------------------------------------------------------------------------------- */

static int make_link(int dev, const char *name, const char *target, struct error *err)
{
	if (symlinkat(target, dev, name) == 0 || errno == EEXIST)
		return 0;
	return error_sys(err, "cannot make the link /dev/%s", name);
}

/* The container's terminals are those of its own devpts; a node in the image would be the host's. */
static int make_ptmx(int dev, struct error *err)
{
	if (symlinkat("pts/ptmx", dev, "ptmx") == 0)
		return 0;
	if (errno == EEXIST) {
		char target[16];
		ssize_t n = readlinkat(dev, "ptmx", target, sizeof(target));

		if (n == (ssize_t)strlen("pts/ptmx") && memcmp(target, "pts/ptmx", (size_t)n) == 0)
			return 0;
		if (unlinkat(dev, "ptmx", 0) == 0 && symlinkat("pts/ptmx", dev, "ptmx") == 0)
			return 0;
	}
	return error_sys(err, "cannot make the link /dev/ptmx");
}

static int make_links(int dev, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(links); i++)
		r = make_link(dev, links[i].name, links[i].target, err);
	if (r == 0 && access("/proc/kcore", F_OK) == 0)
		r = make_link(dev, "core", "/proc/kcore", err);
	return r < 0 ? r : make_ptmx(dev, err);
}

static int make_all(const struct init_ctx *ctx, struct error *err)
{
	auto_close int dev = open_dev(ctx, err);
	int r = 0;

	if (dev < 0)
		return dev;
	/* Listed ones first: they may be default ones with another mode or owner. */
	for (size_t i = 0; r == 0 && i < ctx->spec->linux_.n_devices; i++)
		r = make_listed_node(ctx, &ctx->spec->linux_.devices[i], err);
	if (r == 0)
		r = make_default_nodes(ctx, dev, err);
	return r < 0 ? r : make_links(dev, err);
}

static int make_devices(const struct init_ctx *ctx, struct error *err)
{
	mode_t old;
	int r;

	if (!rootfs_own_namespace(ctx) || dev_kind(ctx->spec) == DEV_BOUND)
		return 0;
	if (dev_kind(ctx->spec) == DEV_HOST)
		return check_host_nodes(ctx, err);
	old = umask(0);
	r = make_all(ctx, err);
	umask(old);
	return r;
}

int rootfs_devices(struct init_ctx *ctx, struct error *err)
{
	int r = make_devices(ctx, err);

	close_fd(&ctx->host_dev);
	return r;
}
