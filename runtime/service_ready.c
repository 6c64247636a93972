/* Readiness: each kind is a look that tells yes or not yet. Looks are repeated, soon at first and then every
 * `interval`; a notification descriptor is waited for instead. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fs.h"
#include "supervise.h"

/* Most daemons are ready a few milliseconds after their start. */
enum { FIRST_LOOK_MS = 5 };

/* The root in which the service's paths mean what it means by them. */
static int root_of(const struct service *s)
{
	return s->mount_root >= 0 ? s->mount_root : s->sup->root;
}

static void look_again(struct service *s)
{
	supervise_timer(s, TIMER_READY_PROBE, s->probe_delay);
	s->probe_delay *= 2;
	if (s->probe_delay > s->conf->ready.interval.ms)
		s->probe_delay = s->conf->ready.interval.ms;
}

/* --- notification descriptor ---------------------------------------------------------------------------------- */

static void notified(struct watch *w, uint32_t events)
{
	struct service *s = container_of(w, struct service, ready_watch);
	char text[256];
	ssize_t n = read(w->fd, text, sizeof(text));

	(void)events;
	if (n < 0)
		return;
	if (n > 0 && memchr(text, '\n', (size_t)n))
		return service_state_ready(s);
	if (n > 0)
		return;
	supervise_unwatch(s->sup, w);
	service_state_broken(s, "closed its notification descriptor %u without writing a newline", s->conf->ready.fd);
}

int service_ready_prepare(struct service *s, struct error *err)
{
	struct timespec now;
	int fds[2], rc;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	s->started_at_wall = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (s->conf->ready.kind != READY_FD)
		return -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(err, "cannot make a pipe");
	s->ready_watch.ready = notified;
	rc = fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : supervise_watch(s->sup, &s->ready_watch, fds[0], EPOLLIN);
	if (rc < 0) {
		close(fds[1]);
		return error_set(err, -rc, "cannot watch a pipe: %s", strerror(-rc));
	}
	return fds[1];
}

/* --- looks --------------------------------------------------------------------------------------------------- */

/* A socket belongs to the namespace it is made in. */
static int socket_in_namespace(struct service *s, int family)
{
	const struct supervisor *sup = s->sup;
	bool elsewhere = s->conf->netns && sup->own_netns >= 0;
	int fd;

	if (elsewhere && setns(sup->conf->host_netns, CLONE_NEWNET) < 0)
		return -1;
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (elsewhere && setns(sup->own_netns, CLONE_NEWNET) < 0)
		close_fd(&fd);
	return fd;
}

static void connected(struct watch *w, uint32_t events)
{
	struct service *s = container_of(w, struct service, ready_watch);
	socklen_t len = sizeof(int);
	int error = 0;

	(void)events;
	getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	supervise_unwatch(s->sup, w);
	if (!error)
		service_state_ready(s);
}

static bool look_tcp(struct service *s)
{
	const struct ready_conf *r = &s->conf->ready;
	int fd;

	/* One attempt at a time; one that hangs (nobody answers) is given up after the interval. */
	supervise_unwatch(s->sup, &s->ready_watch);
	fd = socket_in_namespace(s, r->address.any.sa_family);
	if (fd < 0)
		return false;
	if (connect(fd, &r->address.any, r->address_len) == 0) {
		close(fd);
		return true;
	}
	if (errno != EINPROGRESS) {
		close(fd);
		return false;
	}
	s->ready_watch.ready = connected;
	(void)supervise_watch(s->sup, &s->ready_watch, fd, EPOLLOUT);
	return false;
}

/* The socket is found inside the service's own root; connect(2) takes only a path, so it is reached as self/fd/N
 * from within the supervisor's procfs. */
static bool look_unix(struct service *s)
{
	auto_close int at = fs_open_in_root(root_of(s), s->conf->ready.unix_path, O_PATH, 0, NULL);
	auto_close int fd = at < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	bool ready;

	if (fd < 0 || fchdir(s->sup->proc) < 0)
		return false;
	snprintf(address.sun_path, sizeof(address.sun_path), "self/fd/%d", at);
	/* EAGAIN: its queue is full, so it listens. EPROTOTYPE: a datagram or sequenced-packet socket, bound. */
	ready = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN || errno == EPROTOTYPE;
	(void)!fchdir(s->sup->root);
	return ready;
}

/* A file left by an earlier life does not count. */
static bool look_file(struct service *s)
{
	auto_close int fd = fs_open_in_root(root_of(s), s->conf->ready.file, O_PATH, 0, NULL);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 &&
	       (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec >= s->started_at_wall;
}

/* In the container's namespace, also for a service that gives birth to the device elsewhere. */
static bool look_device(struct service *s)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	memcpy(request.ifr_name, s->conf->ready.device, strlen(s->conf->ready.device));
	return fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_UP;
}

/* The answer comes when the program has ended. */
static bool look_exec(struct service *s)
{
	struct error err = {0};

	if (s->probe.state != TASK_NONE)
		return false;
	if (service_probe_start(s, s->conf->ready.exec.process, &err) < 0)
		service_log_note(&s->log, "cannot check readiness: %s", err.msg);
	return false;
}

static bool (*const looks[])(struct service *) = {
	[READY_TCP] = look_tcp,	  [READY_UNIX] = look_unix,	[READY_EXEC] = look_exec,
	[READY_FILE] = look_file, [READY_DEVICE] = look_device,
};

void service_ready_look(struct service *s)
{
	if (looks[s->conf->ready.kind](s))
		service_state_ready(s);
	else
		look_again(s);
}

void service_ready_begin(struct service *s)
{
	const struct ready_conf *r = &s->conf->ready;

	if (r->timeout.ms && r->kind != READY_RUNS)
		supervise_timer(s, TIMER_READY_TIMEOUT, r->timeout.ms);
	s->probe_delay = r->interval.ms < FIRST_LOOK_MS ? r->interval.ms : FIRST_LOOK_MS;
	if (r->kind == READY_RUNS)
		service_state_ready(s);
	else if (r->kind < ARRAY_SIZE(looks) && looks[r->kind])
		look_again(s);
}

void service_ready_end(struct service *s)
{
	supervise_timer_off(s, TIMER_READY_TIMEOUT);
	supervise_timer_off(s, TIMER_READY_PROBE);
	supervise_unwatch(s->sup, &s->ready_watch);
	service_probe_cancel(s);
}

void service_ready_timeout(struct service *s)
{
	service_state_broken(s, "was not %s within %llu ms", s->conf->oneshot ? "done" : "ready",
			     (unsigned long long)s->conf->ready.timeout.ms);
}
