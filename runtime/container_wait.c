/* The foreground: until the container's init ends, signals are passed on to it and its terminal is relayed. Orphans of a
 * container that has no pid namespace come to us (subreaper); at the end they are killed, as a pid namespace would do. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "fs.h"
#include "notify.h"
#include "terminal.h"
#include "wait.h"

/* Left alone: what the kernel sends us for our own faults and writes. */
static const int not_forwarded[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPIPE, SIGURG, SIGTTIN, SIGTTOU};

static void forwarded_set(sigset_t *set)
{
	sigfillset(set);
	for (size_t i = 0; i < ARRAY_SIZE(not_forwarded); i++)
		sigdelset(set, not_forwarded[i]);
}

int container_block_signals(struct error *err)
{
	sigset_t set;

	forwarded_set(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return error_sys(err, "cannot block signals");
	return 0;
}

struct waiting {
	pid_t pid;
	int pidfd;
	int signals, report;
	struct terminal_relay relay;
	int status; /* waitpid(2)'s, of pid */
	bool ended;
};

/* Takes whoever has ended: our process, and orphans. */
static void reap(struct waiting *w)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (pid != w->pid)
			continue;
		w->status = status;
		w->ended = true;
	}
	if (pid < 0 && errno == ECHILD)
		w->ended = true;
}

static void take_signals(struct waiting *w)
{
	struct signalfd_siginfo info;

	while (read(w->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(w);
		else if (info.ssi_signo == SIGWINCH && w->relay.open)
			terminal_relay_resize(&w->relay);
		else
			(void)pidfd_send_signal(w->pidfd, (int)info.ssi_signo, NULL, 0);
	}
}

static int wait_loop(struct waiting *w, struct error *err)
{
	reap(w); /* whoever ended before there was a signalfd */
	while (!w->ended) {
		struct pollfd p[2 + TERMINAL_RELAY_FDS] = {
			{.fd = w->signals, .events = POLLIN},
			{.fd = w->report, .events = POLLIN},
		};
		nfds_t n = 2;

		if (w->relay.open) {
			terminal_relay_poll(&w->relay, p + 2);
			n += TERMINAL_RELAY_FDS;
		}
		if (poll(p, n, -1) < 0 && errno != EINTR)
			return error_sys(err, "cannot wait for process %d", w->pid);
		if (p[0].revents)
			take_signals(w);
		if (p[1].revents)
			notify_take_reports(&w->report);
		if (w->relay.open && !w->ended && terminal_relay_step(&w->relay, p + 2) <= 0)
			terminal_relay_close(&w->relay);
	}
	return 0;
}

int wait_process(pid_t pid, int pidfd, int terminal, int report, struct error *err)
{
	struct waiting w = {.pid = pid, .pidfd = pidfd, .signals = -1, .report = report, .relay = TERMINAL_RELAY_INIT};
	sigset_t set;
	int rc = 0;

	forwarded_set(&set);
	w.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w.signals < 0) {
		rc = error_sys(err, "cannot make a signalfd");
		if (terminal >= 0)
			close(terminal);
		close_fd(&w.report);
		return rc;
	}
	if (terminal >= 0)
		rc = terminal_relay_open(&w.relay, terminal, err);
	if (rc == 0)
		rc = wait_loop(&w, err);
	terminal_relay_close(&w.relay);
	close(w.signals);
	close_fd(&w.report);
	if (rc < 0)
		return rc;
	return WIFSIGNALED(w.status) ? 128 + WTERMSIG(w.status) : WEXITSTATUS(w.status);
}

/* Orphans were given to us, the subreaper; killing one gives us its children. */
static void kill_orphans(void)
{
	auto_free char *path = NULL;

	if (waitpid(-1, NULL, WNOHANG | __WALL) < 0)
		return; /* there is none, which is nearly always so */
	path = str_printf("/proc/self/task/%d/children", getpid());
	for (;;) {
		auto_free char *list = NULL;
		char *p, *end;

		if (!path || fs_read_at(AT_FDCWD, path, 1 << 20, &list, NULL, NULL) < 0)
			return;
		for (p = list; strtol(p, &end, 10) > 0; p = end)
			kill((pid_t)strtol(p, NULL, 10), SIGKILL);
		if (p == list)
			return;
		if (waitpid(-1, NULL, __WALL) < 0)
			return;
	}
}

int container_wait(struct container *c, struct error *err)
{
	int status = wait_process(c->state.pid, c->pidfd, take_fd(&c->terminal), take_fd(&c->report), err);

	if (status >= 0)
		close_fd(&c->pidfd); /* it has ended, and was reaped */
	if (c->state.no_pid_namespace)
		kill_orphans();
	return status;
}
