#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define SELF "/proc/self/exe"
#define PATH_VARIABLE "NSRUN_SELF"

extern char **environ;

static char *installed_path;
static int sealed_fd = -1;

void seal_release(void)
{
	close_fd(&sealed_fd);
}

const char *seal_path(void)
{
	return installed_path;
}

void seal_bury(void)
{
	/* Anywhere in the tree would do; a file is needed, and this one is there. If it is not, the mount goes later. */
	if (sealed_fd >= 0 && installed_path)
		(void)move_mount(sealed_fd, "", AT_FDCWD, installed_path, MOVE_MOUNT_F_EMPTY_PATH);
	seal_release();
}

static char *read_own_path(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink(SELF, path, sizeof(path) - 1);

	if (n < 0)
		return NULL;
	path[n] = '\0';
	return strdup(path);
}

/* What the process before the re-execution left for us, "FD:PATH"; not for those that we run. */
static void take_variable(void)
{
	const char *value = getenv(PATH_VARIABLE), *colon = value ? strchr(value, ':') : NULL;

	if (colon) {
		sealed_fd = atoi(value);
		fcntl(sealed_fd, F_SETFD, FD_CLOEXEC);
		installed_path = strdup(colon + 1);
	}
	unsetenv(PATH_VARIABLE);
}

static int open_sealed(struct error *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	auto_close int fd = open_tree(AT_FDCWD, SELF, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return error_sys(err, "cannot make a read-only mount of nsrun's own executable");
	return take_fd(&fd);
}

/* Without the right to mount (an unprivileged user), a sealed copy in memory does the same. */
static int open_copy(struct error *err)
{
	auto_close int from = fs_open_at(AT_FDCWD, SELF, O_RDONLY, 0, err), fd = -1;
	struct stat st;
	off_t at = 0;

	if (from < 0)
		return from;
	fd = memfd_create("nsrun", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 there is no MFD_EXEC, and all are executable */
		fd = memfd_create("nsrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || fstat(from, &st) < 0)
		return error_sys(err, "cannot copy nsrun's own executable");
	while (at < st.st_size)
		if (sendfile(fd, from, &at, (size_t)(st.st_size - at)) <= 0)
			return error_sys(err, "cannot copy nsrun's own executable");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return error_sys(err, "cannot seal the copy of nsrun's own executable");
	return take_fd(&fd);
}

/* True for a mount that cannot be written through, and for the sealed copy. */
static int is_sealed(void)
{
	struct statfs fs;
	int seals, fd;

	if (statfs(SELF, &fs) < 0)
		return 0;
	if (fs.f_flags & ST_RDONLY)
		return 1;
	if (!getenv(PATH_VARIABLE))
		return 0;
	fd = open(SELF, O_RDONLY | O_CLOEXEC);
	seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	if (fd >= 0)
		close(fd);
	return seals >= 0 && seals & F_SEAL_WRITE;
}

static int reexecute(char **argv, struct error *err)
{
	auto_free char *variable = NULL;
	auto_close int fd = open_sealed(NULL);

	if (fd == -EPERM || fd == -ENOSYS)
		fd = open_copy(err);
	else if (fd < 0)
		fd = open_sealed(err);
	if (fd < 0)
		return fd;
	variable = str_printf("%d:%s", fd, installed_path);
	/* It stays open: closing it here, by execve(2), would wait (seal_release()). */
	if (!variable || setenv(PATH_VARIABLE, variable, 1) < 0 || fcntl(fd, F_SETFD, 0) < 0)
		return error_oom(err);
	execveat(fd, "", argv, environ, AT_EMPTY_PATH);
	return error_sys(err, "cannot execute the sealed view of nsrun");
}

int seal_self(char **argv, struct error *err)
{
	if (!is_sealed()) {
		installed_path = read_own_path();
		if (!installed_path)
			return error_sys(err, "cannot find out where nsrun is installed (is /proc mounted?)");
		return reexecute(argv, err);
	}
	take_variable();
	if (!installed_path)
		installed_path = read_own_path();
	/* Executed by descriptor, the process got the descriptor's number for a name. */
	prctl(PR_SET_NAME, "nsrun");
	return 0;
}
