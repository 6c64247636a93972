#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "log.h"

static int manager = -1;

/* "/path", or "@name" for an abstract one. */
static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if ((name[0] != '/' && name[0] != '@') || len >= sizeof(address.sun_path))
		return -EAFNOSUPPORT;
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	if (connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return take_fd(&fd);
}

void notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int fd;

	if (!name)
		return;
	fd = connect_to(name);
	if (fd < 0)
		log_warn("cannot tell the service manager at NOTIFY_SOCKET=%s anything: %s", name, strerror(-fd));
	else
		manager = fd;
	unsetenv("NOTIFY_SOCKET");
}

bool notify_is_open(void)
{
	return manager >= 0;
}

static __attribute__((format(printf, 1, 2))) void tell(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (manager < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A manager that is just being executed anew reads it later; one that is gone does not matter. */
	if (send(manager, text, strlen(text), MSG_NOSIGNAL) < 0)
		log_debug("cannot send to the service manager: %s", strerror(errno));
}

void notify_ready(pid_t main_pid)
{
	if (main_pid)
		tell("MAINPID=%d\nREADY=1", main_pid);
	else
		tell("READY=1");
}

/* Each line is an assignment: a status must not become two. */
static const char *one_line(const char *text, char *out, size_t size)
{
	snprintf(out, size, "%s", text);
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return out;
}

void notify_status(const char *text)
{
	char line[512];

	tell("STATUS=%s", one_line(text, line, sizeof(line)));
}

/* --- reports ------------------------------------------------------------------------------------------------- */

int notify_report_pair(int ret[2], struct error *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0)
		return error_sys(err, "cannot make a socket for the supervisor's reports");
	return 0;
}

/* systemd.service(5), Type=notify-reload: the time tells a reload that was asked for from one before. */
static void tell_reloading(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	tell("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
}

static void pass_on(const struct report *r)
{
	static enum report_phase told = REPORT_STARTING;

	notify_status(r->status);
	if (r->phase == told)
		return;
	told = r->phase;
	if (told == REPORT_READY)
		notify_ready(0);
	else if (told == REPORT_RELOADING)
		tell_reloading();
	else if (told == REPORT_STOPPING)
		tell("STOPPING=1");
}

void notify_take_reports(int *fd)
{
	struct report r;
	ssize_t n;

	while ((n = recv(*fd, &r, sizeof(r), 0)) == sizeof(r)) {
		r.status[sizeof(r.status) - 1] = '\0';
		pass_on(&r);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close_fd(fd);
}
