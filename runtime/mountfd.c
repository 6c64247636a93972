/* The new mount API of Linux 5.2 (mount_setattr(2): 5.12), and mount(2) for what it cannot say. */
#include "mountfd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "mount_opts.h"
#include "ns.h"
#include "str.h"

/* strndup_user() in fsconfig(2) takes no longer strings. */
enum { FSCONFIG_MAX = 255 };

int mountfd_clone(int dirfd, const char *path, bool recursive, struct error *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) | (*path ? 0 : AT_EMPTY_PATH);
	int fd = open_tree(dirfd, path, flags);

	if (fd >= 0)
		return fd;
	if (errno == EINVAL)
		return error_set(err, EINVAL,
				 "cannot copy the mount at %s: it is unbindable, belongs to another mount namespace%s",
				 *path ? path : "a descriptor", recursive ? "" : ", or has mounts below that only \"rbind\" may copy");
	return error_sys(err, "cannot copy the mount at %s", *path ? path : "a descriptor");
}

/* --- new file systems --------------------------------------------------------------------------------------- */

/* The flags that fsconfig(2) knows by name. */
static const struct {
	unsigned long flag;
	const char *name;
} fs_flag_names[] = {
	{MS_SYNCHRONOUS, "sync"},
	{MS_DIRSYNC, "dirsync"},
	{MS_MANDLOCK, "mand"},
	{MS_LAZYTIME, "lazytime"},
};

/* A file system that is the kernel's own face: read-only is a matter of the mount. Of the others "ro" must reach the
 * superblock as well, or a journal would be replayed; here it must not, since other mounts may share the superblock. */
static bool is_virtual(const char *type)
{
	static const char *const types[] = {"proc",  "sysfs", "tmpfs",	 "devpts",     "mqueue", "cgroup",  "cgroup2",
					    "ramfs", "bpf",   "debugfs", "securityfs", "tracefs", "devtmpfs"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

/* Quoted values (SELinux contexts) and long ones (overlay's layers) only mount(2) understands. */
static bool needs_legacy(const struct mount_opts *o, const char *source)
{
	if (source && strlen(source) > FSCONFIG_MAX)
		return true;
	if (!o)
		return false;
	if (o->fs_flags & (MS_I_VERSION | MS_POSIXACL))
		return true;
	for (size_t i = 0; i < o->n_data; i++)
		if (strlen(o->data[i]) > FSCONFIG_MAX || strpbrk(o->data[i], "\"\\"))
			return true;
	return false;
}

/* Fails with the kernel's own words, when it left some on the context: "e tmpfs: Unknown parameter 'x'". */
static int fs_error(int fs, const char *type, struct error *err)
{
	int saved = errno;
	char text[512];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	if (n < 3)
		return error_set(err, saved, "cannot mount file system %s: %s", type, strerror(saved));
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return error_set(err, saved, "cannot mount file system %s: %s (%s)", type, strerror(saved), text + 2);
}

static int set_option(int fs, char *option)
{
	char *value = strchr(option, '=');

	if (!value)
		return fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
	*value++ = '\0';
	return fsconfig(fs, FSCONFIG_SET_STRING, option, value, 0);
}

/* One option word may hold several options, since mount(2) would get them joined by commas. */
static int set_options(int fs, const char *word)
{
	char copy[FSCONFIG_MAX + 1], *next = copy, *option;

	stpncpy(copy, word, sizeof(copy) - 1)[0] = '\0';
	while ((option = strsep(&next, ",")))
		if (*option && set_option(fs, option) < 0)
			return -1;
	return 0;
}

static int configure(int fs, const char *type, const char *source, const struct mount_opts *o, uint64_t attrs)
{
	if (source && *source && fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return -1;
	if (attrs & MOUNT_ATTR_RDONLY && !is_virtual(type) && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
		return -1;
	for (size_t i = 0; o && o->fs_flags && i < ARRAY_SIZE(fs_flag_names); i++)
		if (o->fs_flags & fs_flag_names[i].flag &&
		    fsconfig(fs, FSCONFIG_SET_FLAG, fs_flag_names[i].name, NULL, 0) < 0)
			return -1;
	for (size_t i = 0; o && i < o->n_data; i++)
		if (set_options(fs, o->data[i]) < 0)
			return -1;
	return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

int mountfd_new(const char *type, const char *source, const struct mount_opts *opts, uint64_t attrs, struct error *err)
{
	auto_close int fs = -1;
	int fd;

	if (needs_legacy(opts, source))
		return -E2BIG;
	fs = fsopen(type, FSOPEN_CLOEXEC);
	if (fs < 0 && errno == ENODEV)
		return error_set(err, ENODEV, "cannot mount file system %s: this kernel knows none of that type", type);
	if (fs < 0)
		return error_sys(err, "cannot mount file system %s", type);
	if (configure(fs, type, source, opts, attrs) < 0)
		return fs_error(fs, type, err);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attrs);
	return fd < 0 ? fs_error(fs, type, err) : fd;
}

int mountfd_legacy(const char *type, const char *source, const struct mount_opts *opts, uint64_t attrs, int target,
		   struct error *err)
{
	static const struct {
		uint64_t attr;
		unsigned long flag;
	} flags_of[] = {
		{MOUNT_ATTR_RDONLY, MS_RDONLY},	      {MOUNT_ATTR_NOSUID, MS_NOSUID},
		{MOUNT_ATTR_NODEV, MS_NODEV},	      {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
		{MOUNT_ATTR_NOATIME, MS_NOATIME},     {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
		{MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, 256 /* MS_NOSYMFOLLOW */},
	};
	auto_buf struct buf data = {0};
	unsigned long flags = opts->fs_flags;
	char path[FS_PROC_FD_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(flags_of); i++)
		if (attrs & flags_of[i].attr)
			flags |= flags_of[i].flag;
	for (size_t i = 0; i < opts->n_data; i++)
		buf_printf(&data, "%s%s", i ? "," : "", opts->data[i]);
	if (data.failed)
		return error_oom(err);
	if (mount(source ? source : type, fs_proc_fd(target, path), type, flags, data.data) < 0)
		return error_sys(err, "cannot mount file system %s", type);
	return 0;
}

/* --- attributes --------------------------------------------------------------------------------------------- */

static int set_attr(int mount, bool recursive, struct mount_attr *a, const char *doing, const char *what, struct error *err)
{
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	if (mount_setattr(mount, "", flags, a, sizeof(*a)) == 0)
		return 0;
	if (errno == ENOSYS)
		return error_set(err, ENOSYS, "cannot %s %s: this kernel has no mount_setattr(2), Linux 5.12 or newer is needed",
				 doing, what);
	return error_sys(err, "cannot %s %s", doing, what);
}

int mountfd_attr(int mount, bool recursive, uint64_t set, uint64_t clear, const char *what, struct error *err)
{
	struct mount_attr a = {.attr_set = set, .attr_clr = clear};
	int r;

	if (!set && !clear)
		return 0;
	r = set_attr(mount, recursive, &a, "change the flags of the mount at", what, err);
	if (r == -EPERM && ns_in_userns())
		return error_set(err, EPERM, "cannot change the flags of the mount at %s: those that its source came into the user "
				 "namespace with are locked; leave options like rw, suid, dev, exec and noatime out", what);
	return r;
}

int mountfd_propagation(int mount, bool recursive, uint64_t type, const char *what, struct error *err)
{
	struct mount_attr a = {.propagation = type};

	return set_attr(mount, recursive, &a, "change the propagation of the mount at", what, err);
}

int mountfd_idmap(int mount, bool recursive, int userns, const char *what, struct error *err)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
	int r = set_attr(mount, recursive, &a, "map the ids of the mount at", what, err);

	if (r == -EPERM && ns_in_userns())
		return error_set(err, EPERM, "cannot map the ids of the mount at %s: its file system was mounted outside of the user "
				 "namespace", what);
	if (r == -EINVAL)
		return error_set(err, EINVAL, "cannot map the ids of the mount at %s: its file system does not support that, "
				 "or it is mapped already", what);
	return r;
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

int mountfd_attach(int mount, int target, const char *where, struct error *err)
{
	int saved;

	if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
		return 0;
	saved = errno;
	if (is_directory(mount) != is_directory(target))
		return error_set(err, ENOTDIR, "cannot mount a %s on %s, which is a %s", is_directory(mount) ? "directory" : "file",
				 where, is_directory(target) ? "directory" : "file");
	return error_set(err, saved, "cannot mount on %s: %s", where, strerror(saved));
}
