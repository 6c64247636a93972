/* What services need from the host, made by the parent in the container's directory before init exists. Init only
 * inherits descriptors: after pivot_root these paths mean nothing to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "fs.h"
#include "netns.h"
#include "notify.h"
#include "services.h"
#include "services_file.h"

static int listen_in(int dir_fd, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_sys(err, "cannot make the control socket");
	/* A path of any length, and the mode from the start: fchmod(2) before bind(2) is what the file gets. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/services.sock", dir_fd);
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0)
		return error_sys(err, "cannot listen on services.sock in the container's directory");
	return take_fd(&fd);
}

/* Who is root in the container, outside of it. */
static uint32_t host_id_of_root(const struct spec_id_map *maps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (maps[i].container_id == 0 && maps[i].size)
			return maps[i].host_id;
	return 0;
}

static int open_log_dir(int dir_fd, const struct spec_linux *l, struct error *err)
{
	auto_close int fd = -1;
	uint32_t uid = host_id_of_root(l->uid_mappings, l->n_uid_mappings);
	uint32_t gid = host_id_of_root(l->gid_mappings, l->n_gid_mappings);

	if (mkdirat(dir_fd, "log", 0700) < 0 && errno != EEXIST)
		return error_sys(err, "cannot make log/ in the container's directory");
	fd = fs_open_at(dir_fd, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	/* The supervisor makes files in it, as the user namespace's root. Nobody else in the container gets at it: the
	 * container's own directory is closed to others, and the supervisor cannot be traced. */
	if (fd >= 0 && uid && uid != geteuid() && geteuid() != 0)
		return error_set(err, EPERM, "linux.uidMappings: with services, an ordinary user's container needs the user itself for "
				 "its root, since its logs are the user's: {\"containerID\": 0, \"hostID\": %u, \"size\": 1}", geteuid());
	if (fd >= 0 && uid && fchown(fd, uid, gid) < 0)
		return error_sys(err, "cannot give log/ to the root of the user namespace");
	return take_fd(&fd);
}

/* Held by the supervisor and its keepers, and by nobody else, as long as one of them lives: flock(2) belongs to the
 * open file description, which they all inherit. */
static int open_lock(int dir_fd, struct error *err)
{
	auto_close int fd = fs_open_at(dir_fd, "services.lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600, err);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_sys(err, "cannot lock services.lock: services of this container still run");
	return take_fd(&fd);
}

int services_open(struct services *s, const struct container *c, struct error *err)
{
	bool host = false;

	for (size_t i = 0; i < s->n; i++)
		host |= s->list[i].netns != NULL;
	s->log_dir = open_log_dir(c->dir_fd, &c->spec.linux_, err);
	if (s->log_dir < 0)
		return s->log_dir;
	s->control = listen_in(c->dir_fd, err);
	if (s->control < 0)
		return s->control;
	s->lock = open_lock(c->dir_fd, err);
	if (s->lock < 0)
		return s->lock;
	s->null_fd = fs_open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, err);
	if (s->null_fd < 0 || !host)
		return s->null_fd < 0 ? s->null_fd : 0;
	s->host_netns = netns_open_self(err);
	return s->host_netns < 0 ? s->host_netns : 0;
}

int services_open_reports(struct services *s, int *ret_foreground, struct error *err)
{
	int pair[2], rc = notify_report_pair(pair, err);

	if (rc < 0)
		return rc;
	*ret_foreground = pair[0];
	s->report = pair[1];
	return 0;
}

int services_wait_gone(int dir_fd, uint64_t timeout_ms, struct error *err)
{
	auto_close int fd = openat(dir_fd, "services.lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct timespec pause = {.tv_nsec = 2000000};

	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot open services.lock");
	/* flock(2) knows no timeout. Keepers need a few milliseconds at most. */
	for (uint64_t waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += 2) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_sys(err, "cannot lock services.lock");
		if (waited >= timeout_ms)
			return error_set(err, EBUSY, "processes of the container's services are still there after %llu ms",
					 (unsigned long long)timeout_ms);
		nanosleep(&pause, NULL);
	}
	return 0;
}
