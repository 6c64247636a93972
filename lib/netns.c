#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"

int netns_open(const char *path, struct error *err)
{
	auto_free char *named = strchr(path, '/') ? strdup(path) : str_printf(NETNS_DIR "/%s", path);
	auto_close int fd = -1;

	if (!named)
		return error_oom(err);
	fd = open(named, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, "cannot open network namespace %s", named);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return error_set(err, EINVAL, "%s is not a network namespace", named);
	return take_fd(&fd);
}

int netns_open_self(struct error *err)
{
	return netns_open("/proc/thread-self/ns/net", err);
}

bool netns_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int netns_enter(int fd, struct error *err)
{
	if (setns(fd, CLONE_NEWNET) == 0)
		return 0;
	if (errno == EPERM)
		return error_set(err, EPERM, "cannot enter a network namespace: it belongs to a user namespace in which the caller has no "
				 "rights (CAP_SYS_ADMIN)");
	return error_sys(err, "cannot enter a network namespace");
}

/* As ip-netns(8): the directory is a shared mount point, so names pinned in one mount namespace are seen, and can be
 * unpinned, in all. */
static int share_directory(struct error *err)
{
	int rc = fs_mkdirs(NETNS_DIR, 0755, err);

	if (rc < 0)
		return rc;
	if (mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	if (errno != EINVAL)
		return error_sys(err, "cannot make %s a shared mount", NETNS_DIR);
	if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) < 0 ||
	    mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
		return error_sys(err, "cannot make %s a shared mount", NETNS_DIR);
	return 0;
}

int netns_pin(const char *name, int fd, struct error *err)
{
	auto_free char *path = str_printf(NETNS_DIR "/%s", name);
	auto_close int file = -1;
	char proc[FS_PROC_FD_SIZE];
	int rc;

	if (!path)
		return error_oom(err);
	if (!fs_is_name(name))
		return error_set(err, EINVAL, "\"%s\" cannot be the name of a network namespace", name);
	rc = share_directory(err);
	if (rc < 0)
		return rc;
	file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (file < 0 && errno == EEXIST)
		return error_set(err, EEXIST, "there is a network namespace named %s already (%s)", name, path);
	if (file < 0)
		return error_sys(err, "cannot create %s", path);
	if (mount(fs_proc_fd(fd, proc), path, "none", MS_BIND, NULL) < 0) {
		rc = error_sys(err, "cannot pin the network namespace at %s", path);
		unlink(path);
		return rc;
	}
	return 0;
}

int netns_unpin(const char *name, struct error *err)
{
	auto_free char *path = str_printf(NETNS_DIR "/%s", name);

	if (!path)
		return error_oom(err);
	if (!fs_is_name(name))
		return error_set(err, EINVAL, "\"%s\" cannot be the name of a network namespace", name);
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return error_sys(err, "cannot unmount %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_sys(err, "cannot remove %s", path);
	return 0;
}

int netns_loopback_up(struct error *err)
{
	auto_close int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &r) < 0)
		return error_sys(err, "cannot set lo up");
	return 0;
}
