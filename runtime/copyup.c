/* tmpcopyup: what a directory of the image holds, copied into the tmpfs that will cover it. The image is not trusted:
 * everything is reached by descriptors, and no link is followed. Extended attributes are copied where the tmpfs takes
 * them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "log.h"
#include "ns.h"
#include "rootfs_parts.h"

enum { MAX_DEPTH = 64, OVERFLOW_ID = 65534 };

static int copy_directory(int from, int to, int depth, struct error *err);

static void copy_xattrs(int from, int to)
{
	char names[4096], value[4096];
	ssize_t n = flistxattr(from, names, sizeof(names));

	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t size = fgetxattr(from, names + at, value, sizeof(value));

		/* May fail: a tmpfs of an older kernel has no user.* attributes, and no program relies on them there. */
		if (size >= 0)
			fsetxattr(to, names + at, value, (size_t)size, 0);
	}
}

/* In a user namespace: what root there may not read, as its owner is not mapped. No process of the container could. */
static bool is_locked(const char *name)
{
	if (errno != EACCES || !ns_in_userns())
		return false;
	log_debug("tmpcopyup: %s is left out: its owner is not in the user namespace, and others may not read it", name);
	return true;
}

/* Of an owner who is not in the user namespace the copy is root's, as all of the image is for a container without one. */
static unsigned owner_of_copy(unsigned id)
{
	return id == OVERFLOW_ID && ns_in_userns() ? 0 : id;
}

/* EINVAL: nor is that one mapped; the copy is whose it is. */
static int set_owner(int dir, const char *name, const struct stat *st, struct error *err)
{
	if (fchownat(dir, name, owner_of_copy(st->st_uid), owner_of_copy(st->st_gid), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 &&
	    errno != EINVAL)
		return error_sys(err, "cannot set the owner of %s in the tmpfs", *name ? name : "a directory");
	return 0;
}

static int copy_content(int from, int to, const char *name, struct error *err)
{
	ssize_t n;

	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	return n < 0 ? error_sys(err, "cannot copy %s into the tmpfs", name) : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st, struct error *err)
{
	auto_close int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	auto_close int to = -1;
	int r;

	if (from < 0)
		return is_locked(name) ? 0 : error_sys(err, "cannot open %s for copying it into the tmpfs", name);
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return error_sys(err, "cannot make %s in the tmpfs", name);
	r = copy_content(from, to, name, err);
	/* Owner before mode: a change of owner clears set-user-ID. */
	if (r == 0)
		r = set_owner(to_dir, name, st, err);
	if (r < 0)
		return r;
	if (fchmod(to, st->st_mode & 07777) < 0)
		return error_sys(err, "cannot set the mode of %s in the tmpfs", name);
	copy_xattrs(from, to);
	futimens(to, (struct timespec[]){st->st_atim, st->st_mtim});
	return 0;
}

static int copy_link(int from_dir, int to_dir, const char *name, struct error *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return error_sys(err, "cannot read the link %s", name);
	target[n] = '\0';
	return symlinkat(target, to_dir, name) < 0 ? error_sys(err, "cannot make the link %s in the tmpfs", name) : 0;
}

static int copy_subdirectory(int from_dir, int to_dir, const char *name, int depth, struct error *err)
{
	auto_close int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_close int to = -1;

	if (from < 0)
		return is_locked(name) ? 0 : error_sys(err, "cannot open the directory %s", name);
	if (mkdirat(to_dir, name, 0700) < 0)
		return error_sys(err, "cannot make the directory %s in the tmpfs", name);
	to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return error_sys(err, "cannot open the directory %s in the tmpfs", name);
	return copy_directory(from, to, depth + 1, err);
}

static int copy_entry(int from_dir, int to_dir, const char *name, int depth, struct error *err)
{
	struct stat st;
	int r = 0;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "cannot look at %s", name);
	if (S_ISDIR(st.st_mode))
		r = copy_subdirectory(from_dir, to_dir, name, depth, err);
	else if (S_ISREG(st.st_mode))
		return copy_file(from_dir, to_dir, name, &st, err);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from_dir, to_dir, name, err);
	else if (mknodat(to_dir, name, st.st_mode, st.st_rdev) < 0)
		return error_sys(err, "cannot make the node %s in the tmpfs", name);
	return r < 0 || S_ISDIR(st.st_mode) ? r : set_owner(to_dir, name, &st, err);
}

/* The directory's own attributes, after its entries, so that its times stay. */
static int copy_attributes(int from, int to, struct error *err)
{
	struct stat st;
	int r;

	if (fstat(from, &st) < 0)
		return error_sys(err, "cannot look at a directory");
	r = set_owner(to, "", &st, err);
	if (r < 0)
		return r;
	if (fchmod(to, st.st_mode & 07777) < 0)
		return error_sys(err, "cannot set the mode of a directory in the tmpfs");
	copy_xattrs(from, to);
	futimens(to, (struct timespec[]){st.st_atim, st.st_mtim});
	return 0;
}

static int copy_directory(int from, int to, int depth, struct error *err)
{
	auto_closedir DIR *d = NULL;
	auto_close int fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
	struct dirent *e;
	int r;

	if (depth > MAX_DEPTH)
		return error_set(err, ELOOP, "cannot fill the tmpfs: directories are nested more than %d levels", MAX_DEPTH);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return error_sys(err, "cannot read a directory");
	take_fd(&fd); /* d owns it */
	while ((errno = 0, e = readdir(d))) {
		if (!fs_is_name(e->d_name))
			continue;
		r = copy_entry(from, to, e->d_name, depth, err);
		if (r < 0)
			return r;
	}
	if (errno)
		return error_sys(err, "cannot read a directory");
	return copy_attributes(from, to, err);
}

int copyup(int from, int to, struct error *err)
{
	/* Both are O_PATH. */
	auto_close int in = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int out = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (in < 0 || out < 0)
		return error_sys(err, "cannot open the directory to copy into the tmpfs");
	return copy_directory(in, out, 0, err);
}
