#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "str.h"

/* --- whole files -------------------------------------------------------------------------------------------- */

int fs_read_fd(int fd, const char *name, size_t max, char **ret, size_t *ret_len, struct error *err)
{
	auto_free char *data = NULL;
	size_t len = 0, cap = 4096;
	struct stat st;

	/* One byte more than the file has, so that its end is seen without growing. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (size_t)st.st_size <= max)
		cap = (size_t)st.st_size + 2;
	data = malloc(cap);
	if (!data)
		return error_oom(err);
	for (;;) {
		ssize_t n = read(fd, data + len, cap - len - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, "cannot read %s", name);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return error_set(err, EFBIG, "cannot read %s: it is larger than %zu bytes", name, max);
		if (len + 1 == cap) {
			char *grown = realloc(data, cap * 2);

			if (!grown)
				return error_oom(err);
			data = grown;
			cap *= 2;
		}
	}
	data[len] = '\0';
	*ret = take_ptr(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int fs_read_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len, struct error *err)
{
	auto_close int fd = fs_open_at(dirfd, path, O_RDONLY, 0, err);

	return fd < 0 ? fd : fs_read_fd(fd, path, max, ret, ret_len, err);
}

int fs_write_at(int dirfd, const char *path, const char *text, struct error *err)
{
	auto_close int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return error_sys(err, "cannot open %s for writing", path);
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_sys(err, "cannot write \"%s\" to %s", text, path);
	if ((size_t)n != len)
		return error_set(err, EIO, "cannot write \"%s\" to %s: only %zd bytes were taken", text, path, n);
	return 0;
}

int fs_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fs_replace_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode, struct error *err)
{
	const char *slash = strrchr(path, '/');
	auto_free char *tmp = NULL;
	auto_close int fd = -1;
	int rc;

	/* The name is the process's own, so that two writers cannot meet in it. */
	tmp = str_printf("%.*s.%s.%d", slash ? (int)(slash - path) + 1 : 0, path, slash ? slash + 1 : path, (int)getpid());
	if (!tmp)
		return error_oom(err);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return error_sys(err, "cannot create %s", path);
	rc = fs_write_all(fd, data, len);
	if (rc < 0) {
		errno = -rc;
		error_sys(err, "cannot write %s", path);
		unlinkat(dirfd, tmp, 0);
		return rc;
	}
	if (renameat(dirfd, tmp, dirfd, path) < 0) {
		rc = error_sys(err, "cannot replace %s", path);
		unlinkat(dirfd, tmp, 0);
		return rc;
	}
	return 0;
}

int fs_open_at(int dirfd, const char *path, int flags, mode_t mode, struct error *err)
{
	int fd = openat(dirfd, path, flags | O_CLOEXEC, mode);

	return fd < 0 ? error_sys(err, "cannot open %s", path) : fd;
}

/* --- trees -------------------------------------------------------------------------------------------------- */

int fs_mkdirs(const char *path, mode_t mode, struct error *err)
{
	auto_free char *copy = strdup(path);

	if (!copy)
		return error_oom(err);
	if (mkdir(copy, mode) == 0 || errno == EEXIST)
		return 0;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return error_sys(err, "cannot make directory %s", copy);
		*p = '/';
	}
	if (mkdir(copy, mode) < 0 && errno != EEXIST)
		return error_sys(err, "cannot make directory %s", copy);
	return 0;
}

static int remove_at(int dirfd, const char *name, dev_t dev, int depth, struct error *err);

static int remove_entries(int dirfd, dev_t dev, int depth, struct error *err)
{
	auto_closedir DIR *d = NULL;
	struct dirent *e;
	int copy, rc;

	copy = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		rc = error_sys(err, "cannot list a directory");
		if (copy >= 0)
			close(copy);
		return rc;
	}
	while ((e = readdir(d))) {
		if (!fs_is_name(e->d_name))
			continue;
		rc = remove_at(dirfd, e->d_name, dev, depth + 1, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int remove_at(int dirfd, const char *name, dev_t dev, int depth, struct error *err)
{
	auto_close int fd = -1;
	struct stat st;
	int rc;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return error_sys(err, "cannot remove %s", name);
	if (depth > 64)
		return error_set(err, ELOOP, "cannot remove %s: more than 64 levels deep", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot remove %s", name);
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot remove %s", name);
	if (dev && st.st_dev != dev)
		return error_set(err, EBUSY, "cannot remove %s: something is mounted on it", name);
	rc = remove_entries(fd, st.st_dev, depth, err);
	if (rc < 0)
		return rc;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_sys(err, "cannot remove directory %s", name);
	return 0;
}

int fs_remove_tree(int dirfd, const char *name, struct error *err)
{
	return remove_at(dirfd, name, 0, 0, err);
}

/* --- inside a root ------------------------------------------------------------------------------------------ */

int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode, struct error *err)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	/* The kernel answers EAGAIN when a rename somewhere raced with "..": an attacker can keep that up, so the
	 * number of tries is bounded. */
	for (int tries = 0; tries < 1000; tries++) {
		long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS)
			return error_set(err, ENOSYS, "cannot open %s inside the container's root: this kernel has no "
					 "openat2(2), Linux 5.6 or newer is needed", path);
		if (errno != EAGAIN && errno != EINTR)
			return error_sys(err, "cannot open %s inside the container's root", path);
	}
	return error_set(err, EAGAIN, "cannot open %s inside the container's root: it keeps being renamed", path);
}

/* Opens one existing component below dir, following a symbolic link only within the root: `sofar` is the path from the
 * root to the component. */
static int open_component(int root_fd, const char *sofar)
{
	return fs_open_in_root(root_fd, sofar, O_PATH | O_DIRECTORY, 0, NULL);
}

int fs_mkdirs_in_root(int root_fd, const char *path, mode_t mode, struct error *err)
{
	auto_free char *copy = strdup(path);
	auto_close int dir = -1;
	char *p, *end;

	if (!copy)
		return error_oom(err);
	/* Most targets exist: one call. */
	dir = fs_open_in_root(root_fd, path, O_PATH | O_DIRECTORY, 0, err);
	if (dir >= 0 || dir != -ENOENT)
		return take_fd(&dir);
	dir = open_component(root_fd, ".");
	if (dir < 0)
		return error_set(err, -dir, "cannot open the container's root: %s", strerror(-dir));
	for (p = copy; *p; p = end) {
		int next;
		char saved;

		p += strspn(p, "/");
		end = p + strcspn(p, "/");
		if (end == p)
			break;
		saved = *end;
		*end = '\0';
		next = open_component(root_fd, copy);
		/* The name is made beneath the descriptor of its parent, so exchanging the parent for a link to elsewhere
		 * has no effect; then it is opened beneath that same descriptor, not by its path. */
		if (next == -ENOENT) {
			if (strcmp(p, "..") == 0 || strcmp(p, ".") == 0)
				return error_set(err, ENOENT, "cannot make directory %s inside the container's root: a parent "
						 "of \"..\" is missing", path);
			if (mkdirat(dir, p, mode) < 0 && errno != EEXIST)
				return error_sys(err, "cannot make directory %s inside the container's root", copy);
			next = openat(dir, p, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (next < 0)
				return error_sys(err, "cannot open directory %s inside the container's root", copy);
		} else if (next < 0) {
			return error_set(err, -next, "cannot open %s inside the container's root: %s", copy, strerror(-next));
		}
		close(dir);
		dir = next;
		*end = saved;
	}
	return take_fd(&dir);
}

const char *fs_proc_fd(int fd, char out[FS_PROC_FD_SIZE])
{
	snprintf(out, FS_PROC_FD_SIZE, "/proc/self/fd/%d", fd);
	return out;
}

int fs_is_name(const char *s)
{
	return *s && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 && !strchr(s, '/');
}
