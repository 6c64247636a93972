/* A process in a running container.
 *
 *    nsrun          opens whatever it takes, and becomes undumpable
 *    go-between     joins all namespaces by one setns(2) on the pidfd of init, then makes the process as a sibling of its own
 *                   (CLONE_PARENT), on cgroup version 2 in its cgroup
 *    the process    is born inside: in the container's pid namespace nobody ever sees it with a root, a working directory or
 *                   a descriptor that leads out (CVE-2016-9962, CVE-2024-21626)
 *
 * The go-between shares nsrun's memory and descriptors, so it costs little, and what it made is known when it has ended. */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "container.h"
#include "create.h"
#include "error.h"
#include "exec_parts.h"
#include "fs.h"
#include "log.h"
#include "ns.h"
#include "process.h"
#include "seal.h"
#include "seccomp.h"
#include "spawn.h"
#include "sync.h"
#include "terminal.h"
#include "wait.h"

struct exec {
	struct container *c;
	const struct exec_options *o;
	struct exec_process p;
	struct seccomp_program *seccomp;
	struct cgroup cgroup;
	uint64_t flags; /* CLONE_NEW* of the container's namespaces */
	uint64_t late;	/* those that the process has to join itself */
	int root_fd;	/* without a mount namespace: what init changed its root to; -1: nothing to change */
	int sync[2];	/* ours, the child's */
	pid_t pid;
	int pidfd;
	struct error error; /* the go-between's */
};

/* --- the child ---------------------------------------------------------------------------------------------- */

static int send_listener(void *arg, int fd, struct error *err)
{
	const struct exec *e = arg;

	return sync_send(e->sync[1], SYNC_SECCOMP, getpid(), fd, err);
}

static void isolate(struct exec *e)
{
	char c;

	close_fd(&e->sync[0]);
	seal_release();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (recv(e->sync[1], &c, sizeof(c), MSG_PEEK | MSG_DONTWAIT) == 0)
		_exit(1);
	log_set_sink(sync_log_sink, (void *)(intptr_t)e->sync[1]);
	signals_default();
}

static int become_root(bool *setgroups_denied, struct error *err)
{
	*setgroups_denied = setgroups(0, NULL) < 0;
	if ((setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) && errno != EINVAL)
		return error_sys(err, "cannot become root in the user namespace");
	/* Both were changed with the user. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	return 0;
}

static int settle(struct exec *e, bool *setgroups_denied, struct error *err)
{
	char name[128];
	int rc = e->cgroup.n && !e->cgroup.v2 ? cgroup_enter(&e->cgroup, err) : 0;

	if (rc < 0)
		return rc;
	if (e->late && setns(e->c->pidfd, (int)e->late) < 0)
		return error_sys(err, "cannot join the namespaces of container %s", e->c->id);
	close_fd(&e->c->pidfd);
	close_fd(&e->root_fd);
	if (e->flags & CLONE_NEWUSER) {
		rc = become_root(setgroups_denied, err);
		if (rc < 0)
			return rc;
	}
	snprintf(name, sizeof(name), "_ses.%s", e->c->id);
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS && errno != EPERM &&
	    errno != EACCES)
		return error_sys(err, "cannot join the session keyring %s", name);
	return 0;
}

static int open_terminal(struct exec *e, struct error *err)
{
	auto_close int master = -1, slave = -1;
	const struct terminal_request request = {
		.root_fd = AT_FDCWD,
		.size = e->p.process.console_size,
		.uid = e->p.process.user.uid,
		.foreground = !e->o->console_socket,
	};
	int rc = terminal_open(&request, &master, &slave, err);

	if (rc == 0 && !e->o->console_socket)
		rc = container_clear_onlcr(slave, err);
	if (rc == 0)
		rc = sync_send(e->sync[1], SYNC_CONSOLE, 0, master, err);
	return rc < 0 ? rc : terminal_attach(slave, err);
}

static ON_OWN_STACK _Noreturn void child(struct exec *e)
{
	struct process_ctx ctx = {
		.process = &e->p.process,
		.seccomp = e->seccomp,
		.user_namespace = e->flags & CLONE_NEWUSER,
		.keep_fds = (int)e->o->preserve_fds,
		.oom_score_adj_set = true,
		.listener = send_listener,
		.listener_arg = e,
	};
	struct error err = {0};
	int rc;

	isolate(e);
	rc = settle(e, &ctx.setgroups_denied, &err);
	if (rc == 0 && e->p.process.terminal)
		rc = open_terminal(e, &err);
	if (rc == 0)
		rc = process_prepare(&ctx, &err);
	if (rc == 0) {
		/* The parent waits for the socket's end, so it is not missed any more. */
		prctl(PR_SET_PDEATHSIG, 0);
		process_exec(&ctx, &err);
	}
	(void)sync_send_error(e->sync[1], &err);
	_exit(255);
}

/* --- the parent --------------------------------------------------------------------------------------------- */

static int check_status(const struct container *c, const struct exec_options *o, struct error *err)
{
	if (c->state.status == STATUS_PAUSED && !o->ignore_paused)
		return error_set(err, EBUSY, "cannot exec in a paused container (use --ignore-paused to override)");
	if (c->state.status == STATUS_STOPPED || c->state.status == STATUS_CREATING)
		return error_set(err, EINVAL, "cannot exec in a %s container", word_name(status_words, c->state.status));
	return 0;
}

static int check_preserved(const struct exec_options *o, struct error *err)
{
	for (int i = 3; i < 3 + (int)o->preserve_fds; i++) {
		int flags = fcntl(i, F_GETFD);

		if (flags < 0 || flags & FD_CLOEXEC)
			return error_set(err, EBADF, "cannot preserve descriptor %d: please check that --preserve-fds is not more "
					 "than there are", i);
	}
	return 0;
}

static int open_cgroup(struct exec *e, struct error *err)
{
	auto_strv char **paths = NULL;
	int rc = exec_cgroup_paths(e->c, e->o->cgroups, &paths, err);

	if (rc < 0 || !paths)
		return rc;
	rc = cgroup_from_paths(paths, NULL, &e->cgroup, err);
	return rc < 0 ? rc : cgroup_open(&e->cgroup, err);
}

/* A container without a mount namespace has changed its root in the host's. */
static int open_root(struct exec *e, struct error *err)
{
	char path[32];

	if (e->flags & CLONE_NEWNS || str_eq(e->c->spec.root->path, "/"))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/root", e->c->state.pid);
	e->root_fd = fs_open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, err);
	return e->root_fd < 0 ? e->root_fd : 0;
}

static int prepare(struct exec *e, char **argv, struct error *err)
{
	struct container *c = e->c;
	int rc = check_status(c, e->o, err);

	if (rc == 0)
		rc = check_preserved(e->o, err);
	if (rc == 0)
		rc = container_load_spec(c, err);
	if (rc == 0)
		rc = exec_process_make(&e->p, c, e->o, argv, err);
	if (rc == 0)
		rc = terminal_check_socket(e->p.process.terminal, e->o->detach, e->o->console_socket, err);
	if (rc == 0 && c->spec.linux_.seccomp)
		rc = seccomp_compile(c->spec.linux_.seccomp, &e->seccomp, err);
	if (rc < 0)
		return rc;
	e->flags = ns_flags(&c->spec);
	rc = open_cgroup(e, err);
	return rc < 0 ? rc : open_root(e, err);
}

/* --- the go-between ------------------------------------------------------------------------------------------- */

static int enter(struct exec *e)
{
	int flags = (int)(e->flags & ~e->late);

	if (flags && setns(e->c->pidfd, flags) < 0)
		return error_sys(&e->error, "cannot join the namespaces of container %s", e->c->id);
	if (e->root_fd >= 0 && (fchdir(e->root_fd) < 0 || chroot(".") < 0))
		return error_sys(&e->error, "cannot enter the root of container %s", e->c->id);
	return 0;
}

static ON_OWN_STACK int go_between(void *arg)
{
	struct exec *e = arg;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_PARENT,
		.pidfd = (uintptr_t)&e->pidfd,
	};
	pid_t pid;

	if (e->cgroup.n && e->cgroup.v2) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)e->cgroup.dir_fd;
	}
	if (enter(e) < 0)
		_exit(1);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child(e);
	if (pid < 0 && errno == EBUSY)
		error_set(&e->error, EBUSY, "cannot make a process in the cgroup of container %s: it has controllers enabled for "
			  "sub-cgroups, so cgroup v2 allows it no processes; choose a sub-cgroup with --cgroup", e->c->id);
	else if (pid < 0)
		error_sys(&e->error, "cannot make a process in container %s", e->c->id);
	e->pid = pid < 0 ? 0 : pid;
	_exit(0);
}

/* What the go-between cannot do for the process: a time namespace asks for memory of one's own, and a process can only be born
 * in a cgroup that its parent's cgroup namespace shows. */
static uint64_t late_flags(const struct exec *e)
{
	return e->flags & (CLONE_NEWTIME | (e->cgroup.n && e->cgroup.v2 ? CLONE_NEWCGROUP : 0));
}

static int clone_once(struct exec *e, struct error *err)
{
	/* A part of our own stack: we do nothing until the go-between has ended. */
	char stack[256 << 10] __attribute__((aligned(16)));
	sigset_t all, saved;
	pid_t pid;

	e->error = (struct error){0};
	/* No handler may run in the memory that is shared. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &saved);
	pid = clone(go_between, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, e);
	sigprocmask(SIG_SETMASK, &saved, NULL);
	if (pid < 0)
		return error_sys(err, "cannot make a process");
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (e->error.code && err)
		*err = e->error;
	return -e->error.code;
}

static int spawn(struct exec *e, struct error *err)
{
	int rc = sync_pair(e->sync, err);

	if (rc < 0)
		return rc;
	e->late = late_flags(e);
	/* The process inherits it. Later its files in /proc are not those of an ordinary user. */
	if (geteuid() != 0)
		rc = process_set_oom_score_adj(&e->p.process, getpid(), err);
	if (rc < 0)
		return rc;
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return error_sys(err, "cannot make the process undumpable");
	rc = clone_once(e, err);
	/* A container that runs systemd or containers has given its controllers to sub-cgroups, and sits in one of them. */
	if (rc == -EBUSY && e->cgroup.v2 && !e->o->cgroups && cgroup_follow(&e->cgroup, e->c->state.pid, NULL) == 0)
		rc = clone_once(e, err);
	close_fd(&e->sync[1]);
	return rc < 0 || geteuid() != 0 ? rc : process_set_oom_score_adj(&e->p.process, e->pid, err);
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

static int write_pid_file(const struct exec *e, struct error *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", e->pid);

	return e->o->pid_file ? fs_replace_at(AT_FDCWD, e->o->pid_file, text, (size_t)n, 0644, err) : 0;
}

static int run(struct exec *e, char **argv, struct error *err)
{
	int rc = prepare(e, argv, err);

	/* Nothing that leads out, not even for the moment between the child's birth and its first steps. */
	close_fd(&e->c->dir_fd);
	close_fd(&e->c->lock_fd);
	if (rc == 0 && !e->o->detach)
		rc = container_block_signals(err);
	if (rc == 0)
		rc = spawn(e, err);
	if (rc == 0)
		rc = container_converse(e->c, e->sync[0], e->o->console_socket, UNTIL_RUNNING, err);
	if (rc == 0)
		rc = write_pid_file(e, err);
	if (rc == 0 && e->o->pidfd_socket)
		rc = terminal_send(e->o->pidfd_socket, TERMINAL_PIDFD_EXEC, e->pidfd, err);
	if (rc < 0 && e->pid > 0) {
		kill(e->pid, SIGKILL);
		while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	seal_release();
	if (rc < 0 || e->o->detach)
		return rc;
	return wait_process(e->pid, e->pidfd, take_fd(&e->c->terminal), -1, err);
}

int container_exec(struct container *c, const struct exec_options *o, char **argv, struct error *err)
{
	struct exec e = {
		.c = c,
		.o = o,
		.root_fd = -1,
		.sync = {-1, -1},
		.pidfd = -1,
		.cgroup = {.dir_fd = -1},
	};
	int rc = run(&e, argv, err);

	close_fd(&e.sync[0]);
	close_fd(&e.sync[1]);
	close_fd(&e.pidfd);
	close_fd(&e.root_fd);
	cgroup_close(&e.cgroup);
	seccomp_free(e.seccomp);
	exec_process_free(&e.p);
	return rc;
}
