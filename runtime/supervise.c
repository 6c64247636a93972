/* The supervisor: a container's init when its bundle has services.
 *
 * 1. It inherits from the parent all that lies outside the container: the log directory, the listening control socket, the
 *    host's network namespace. It opens what it needs inside, then says that it has started.
 * 2. One loop: signals, services' output, keepers' messages, callers on the control socket, and timers. Whatever happens
 *    only sets facts; then service_state_settle() does what follows from them, and waiting callers are answered.
 * 3. It ends when it was asked to stop (SIGTERM, SIGINT; or a service that stops the container was given up) and no
 *    process of any service is left. That all services have ended or failed is no reason: links, addresses and firewall
 *    belong to the container, and `nsrun service` may start them again.
 *
 * It never sleeps, never waits for a child, never blocks on anything a service or a user holds the other end of. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "init.h"
#include "log.h"
#include "net.h"
#include "rootfs.h"
#include "service_keeper.h"
#include "services.h"
#include "supervise.h"
#include "sync.h"

/* How long each stop may still take after the second, and after any further, request to stop. */
enum { HURRY_MS = 1000, AT_ONCE_MS = 0 };

static struct supervisor supervisor = {.epoll = -1, .proc = -1, .root = -1, .own_netns = -1, .max_grace = UINT64_MAX};

/* --- the loop's tools ---------------------------------------------------------------------------------------- */

uint64_t supervise_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int supervise_watch(struct supervisor *sup, struct watch *w, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	if (epoll_ctl(sup->epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
		int saved = errno;

		close(fd);
		w->fd = -1;
		return -saved;
	}
	w->fd = fd;
	return 0;
}

void supervise_unwatch(struct supervisor *sup, struct watch *w)
{
	if (w->fd < 0)
		return;
	/* Keepers may still hold the description, so closing alone would not take it out. */
	epoll_ctl(sup->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	close_fd(&w->fd);
}

void supervise_timer(struct service *s, enum service_timer t, uint64_t in_ms)
{
	s->timers[t] = supervise_now() + in_ms;
}

void supervise_timer_off(struct service *s, enum service_timer t)
{
	s->timers[t] = 0;
}

static void (*const timer_actions[TIMERS])(struct service *) = {
	[TIMER_READY_TIMEOUT] = service_ready_timeout,
	[TIMER_READY_PROBE] = service_ready_look,
	[TIMER_STEADY] = service_state_steady,
	[TIMER_BACKOFF] = service_state_backoff_over,
	[TIMER_STOP] = service_state_stop_timeout,
	[TIMER_HEALTH] = service_health_check,
	[TIMER_PROBE] = service_probe_timeout,
	[TIMER_COMMAND] = service_command_timeout,
};

static void fire_timers(struct supervisor *sup)
{
	uint64_t now = supervise_now();

	for (size_t i = 0; i < sup->n; i++) {
		struct service *s = &sup->list[i];

		for (int t = 0; t < TIMERS; t++) {
			if (!s->timers[t] || s->timers[t] > now)
				continue;
			s->timers[t] = 0;
			timer_actions[t](s);
		}
	}
}

/* Milliseconds for epoll_wait(2) until the first timer; -1: none is set. */
static int next_timeout(const struct supervisor *sup, uint64_t first)
{
	uint64_t now = supervise_now();

	for (size_t i = 0; i < sup->n; i++)
		for (int t = 0; t < TIMERS; t++)
			if (sup->list[i].timers[t] && (!first || sup->list[i].timers[t] < first))
				first = sup->list[i].timers[t];
	if (!first)
		return -1;
	if (first <= now)
		return 0;
	return first - now > INT32_MAX ? INT32_MAX : (int)(first - now);
}

/* --- signals ------------------------------------------------------------------------------------------------- */

void supervise_stop(struct supervisor *sup, int exit_status)
{
	if (sup->stopping)
		return;
	sup->stopping = true;
	sup->exit_status = exit_status;
	service_log_note(&sup->log, "stopping");
}

static void asked_to_stop(struct supervisor *sup)
{
	if (++sup->terms == 1)
		return supervise_stop(sup, 0);
	service_log_note(&sup->log, "asked to stop again: hurrying");
	service_wish_hurry(sup, sup->terms == 2 ? HURRY_MS : AT_ONCE_MS);
}

/* What a lost keeper kept is ours now. Killing it brings up its own children, so this goes on until nothing comes. On a
 * PID 1 such orphans cannot be told from those of `nsrun exec`, and end with the container. */
static void sweep(struct supervisor *sup)
{
	pid_t keepers[3 * SERVICES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < sup->n; i++) {
		const struct service *s = &sup->list[i];

		keepers[n++] = s->main.keeper;
		keepers[n++] = s->probe.keeper;
		keepers[n++] = s->command.keeper;
	}
	if (getpid() == 1 || !service_tree_signal(sup->proc, getpid(), &(struct service_tree_spare){keepers, n}, SIGKILL))
		sup->keeper_lost = false;
}

/* Keepers, and orphans of others (`nsrun exec`) that init inherits. */
static void reap(struct supervisor *sup)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < sup->n; i++) {
			struct service *s = &sup->list[i];

			if (service_task_reaped(&s->main, pid, status) || service_task_reaped(&s->probe, pid, status) ||
			    service_task_reaped(&s->command, pid, status))
				break;
		}
	}
	if (sup->keeper_lost)
		sweep(sup);
}

static void hear_signal(struct watch *w, uint32_t events)
{
	struct supervisor *sup = container_of(w, struct supervisor, signals);
	struct signalfd_siginfo si;

	(void)events;
	if (read(w->fd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGCHLD:
		return reap(sup);
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		return asked_to_stop(sup);
	case SIGHUP:
		service_report_reloading(sup);
		service_command_reload_all(sup);
		return;
	}
}

/* --- beginning ----------------------------------------------------------------------------------------------- */

static void log_to_file(enum log_level level, const char *msg, void *arg)
{
	struct supervisor *sup = arg;

	(void)level;
	service_log_note(&sup->log, "%s", msg);
}

static int open_proc(struct error *err)
{
	int fd = rootfs_private_proc(false, err);

	/* In a user namespace a fresh procfs may be refused; the one that is mounted does as well. */
	if (fd < 0)
		fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_sys(err, "the supervisor needs a procfs, and the container has none at /proc") : fd;
}

static int open_signals(struct supervisor *sup, struct error *err)
{
	sigset_t all;
	int rc;

	/* Blocked, so that they come by the descriptor; and so that none is lost on a PID 1, to which the kernel delivers only
	 * what is handled or blocked. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sup->signals.ready = hear_signal;
	rc = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (rc < 0)
		return error_sys(err, "cannot make a signalfd");
	rc = supervise_watch(sup, &sup->signals, rc, EPOLLIN);
	return rc < 0 ? error_set(err, -rc, "cannot watch signals: %s", strerror(-rc)) : 0;
}

static int open_services(struct supervisor *sup, struct error *err)
{
	int rc = 0;

	sup->n = sup->conf->n;
	sup->list = calloc(sup->n, sizeof(*sup->list));
	if (!sup->list)
		return error_oom(err);
	for (size_t i = 0; rc == 0 && i < sup->n; i++) {
		struct service *s = &sup->list[i];

		s->sup = sup;
		s->conf = &sup->conf->list[i];
		s->wanted = true;
		s->mount_ns = s->mount_root = s->ready_watch.fd = -1;
		s->main = (struct task){.service = s, .changed = service_state_main_changed, .keeper_socket.fd = -1};
		s->probe = (struct task){.service = s, .changed = service_probe_changed, .keeper_socket.fd = -1};
		s->command = (struct task){.service = s, .changed = service_command_changed, .keeper_socket.fd = -1};
		str_time(s->since);
		rc = service_log_open(&s->log, sup, s->conf->name, true, err);
	}
	return rc;
}

static int open_all(struct supervisor *sup, struct error *err)
{
	int rc;

	/* Away from the terminal's process group: Ctrl-C comes by way of `nsrun run`, once. */
	(void)setsid();
	prctl(PR_SET_NAME, "nsrun-init");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sup->terminal.out.fd = -1;
	sup->epoll = epoll_create1(EPOLL_CLOEXEC);
	sup->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (sup->epoll < 0 || sup->root < 0)
		return error_sys(err, "cannot prepare the supervisor");
	sup->proc = open_proc(err);
	if (sup->proc < 0)
		return sup->proc;
	if (sup->conf->host_netns >= 0)
		sup->own_netns = openat(sup->proc, "self/ns/net", O_RDONLY | O_CLOEXEC);
	rc = open_signals(sup, err);
	if (rc == 0)
		rc = service_log_open(&sup->log, sup, "nsrun", false, err);
	if (rc == 0)
		rc = open_services(sup, err);
	return rc < 0 ? rc : service_control_open(sup, err);
}

/* The rest of what init had: the sync socket, the container's lock, the bundle. Nothing is executed that would close it. */
static void close_others(const struct supervisor *sup)
{
	const struct services *c = sup->conf;
	int own[] = {STDERR_FILENO, sup->epoll, sup->proc, sup->root, sup->own_netns, sup->signals.fd, sup->log.fd,
		     sup->terminal.out.fd, c->log_dir, c->control, c->lock, c->host_netns, c->null_fd, c->report};
	int *keep = calloc(ARRAY_SIZE(own) + 5 * sup->n, sizeof(*keep));
	size_t n = ARRAY_SIZE(own);

	if (!keep)
		return;
	memcpy(keep, own, sizeof(own));
	for (size_t i = 0; i < sup->n; i++) {
		const struct service_log *l = &sup->list[i].log;

		keep[n++] = l->fd;
		keep[n++] = l->out.pipe.fd;
		keep[n++] = l->out.write_fd;
		keep[n++] = l->err.pipe.fd;
		keep[n++] = l->err.write_fd;
	}
	service_keeper_close_others(keep, n);
	free(keep);
}

/* Whoever started the container in the background must not wait for us to close his terminal or pipe. */
static void leave_stdio(const struct supervisor *sup, bool foreground)
{
	dup2(sup->conf->null_fd, STDIN_FILENO);
	dup2(sup->conf->null_fd, STDOUT_FILENO);
	if (!foreground)
		dup2(sup->conf->null_fd, STDERR_FILENO);
}

/* --- the loop ------------------------------------------------------------------------------------------------ */

static void loop(struct supervisor *sup)
{
	for (;;) {
		struct epoll_event e;
		uint64_t callers;
		struct watch *w;

		service_state_settle(sup);
		callers = service_control_settle(sup);
		service_report_settle(sup);
		if (sup->stopping && service_state_all_down(sup))
			return;
		/* One event at a time: what it leads to may close the descriptors of others. */
		if (epoll_wait(sup->epoll, &e, 1, next_timeout(sup, callers)) == 1) {
			w = e.data.ptr;
			w->ready(w, e.events);
		}
		fire_timers(sup);
	}
}

static _Noreturn void end(struct supervisor *sup)
{
	service_log_note(&sup->log, "stopped");
	service_log_foreground_end(sup);
	/* Orphans that keepers lost. In a pid namespace the kernel does it. */
	if (getpid() != 1)
		while (service_tree_signal(sup->proc, getpid(), NULL, SIGKILL) > 0)
			while (waitpid(-1, NULL, 0) > 0)
				;
	_exit(sup->exit_status);
}

/* A service may ask nsrun or netsetup about its own container; netsetup's path means something there only when the root
 * is the host's. */
static int make_env(struct supervisor *sup, struct error *err)
{
	const struct spec_root *root = sup->ctx->spec->root;
	auto_free char *helper = root && str_eq(root->path, "/") ? net_helper(NULL) : NULL;

	if (strv_addf(&sup->env, "NSRUN_ID=%s", sup->ctx->container->id) < 0 ||
	    (helper && strv_addf(&sup->env, "NSRUN_NETSETUP=%s", helper) < 0))
		return error_oom(err);
	return 0;
}

_Noreturn void supervise(struct services *conf, const struct init_ctx *ctx, void (*started)(void *), void *arg)
{
	struct supervisor *sup = &supervisor;
	bool foreground = ctx->options && ctx->options->foreground;
	struct error err = {0};

	sup->conf = conf;
	sup->ctx = ctx;
	if (make_env(sup, &err) < 0 || open_all(sup, &err) < 0) {
		/* The end of the channel alone would mean that all is well. */
		error_wrap(&err, "cannot supervise services");
		(void)sync_send_error(ctx->sync, &err);
		_exit(1);
	}
	if (foreground)
		service_log_foreground(sup);
	started(arg);
	log_set_sink(log_to_file, sup);
	leave_stdio(sup, foreground);
	close_others(sup);
	service_log_note(&sup->log, "started, %zu services", sup->n);
	loop(sup);
	end(sup);
}
