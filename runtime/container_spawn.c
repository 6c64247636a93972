/* Making a container's init, and talking to it (sync.h has the messages). */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "create.h"
#include "error.h"
#include "hooks.h"
#include "idmap.h"
#include "log.h"
#include "net.h"
#include "netns.h"
#include "process.h"
#include "rootfs.h"
#include "spawn.h"
#include "sync.h"
#include "terminal.h"

/* --- clone -------------------------------------------------------------------------------------------------- */

static int clone_failed(const struct creation *cr, struct error *err)
{
	switch (errno) {
	case ENOSPC:
	case EUSERS:
		return error_set(err, errno, "cannot make the container's namespaces: too many of a kind (see the sysctls "
				 "user.max_*_namespaces)");
	case EPERM:
		return error_set(err, EPERM, "cannot make the container's namespaces: permission denied%s", cr->plan.new_user ?
				 "; this machine may forbid user namespaces to ordinary users: see the sysctls "
				 "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns" : "");
	case EACCES:
		return error_set(err, EACCES, "cannot start the container in its cgroup %s: nsrun's own cgroup is not below "
				 "one that user %u may manage; start nsrun by `systemd-run --user --scope -p Delegate=yes`",
				 cr->cgroup.n ? cr->cgroup.dirs[0].path : "", geteuid());
	case EINVAL:
		return error_set(err, EINVAL, "cannot make the container's namespaces: this kernel lacks one of them");
	case EBUSY:
		return error_set(err, EBUSY, "cannot start the container in its cgroup %s: it has controllers enabled for "
				 "sub-cgroups, so cgroup v2 allows it no processes; choose another linux.cgroupsPath",
				 cr->cgroup.dirs[0].path);
	case EOPNOTSUPP:
		return error_set(err, EOPNOTSUPP, "cannot start the container in its cgroup %s: one above it has processes of "
				 "its own, or is threaded, so cgroup v2 allows this one no processes (see its cgroup.type); "
				 "choose another linux.cgroupsPath", cr->cgroup.dirs[0].path);
	default:
		return error_sys(err, "cannot make the container's init process");
	}
}

/* Init's clone3(2): all new namespaces at once, born in its cgroup on version 2. */
static struct clone_args clone_args(const struct creation *cr, int *pidfd)
{
	struct clone_args a = {
		.flags = CLONE_PIDFD | cr->plan.clone_flags,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};

	if (cr->cgroup.n && cr->cgroup.v2) {
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (unsigned)cr->cgroup.dir_fd;
	}
	return a;
}

static int spawn_direct(struct creation *cr, struct error *err)
{
	struct clone_args args = clone_args(cr, &cr->c->pidfd);
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return clone_failed(cr, err);
	if (pid == 0)
		init_main(&cr->init);
	cr->c->state.pid = pid;
	return 0;
}

/* What the stage makes is still our child (CLONE_PARENT), which takes its exit signal from the stage. */
static int spawn_staged(struct creation *cr, struct error *err)
{
	int pidfd = -1, status;
	struct clone_args args = clone_args(cr, &pidfd);
	struct clone_args stage = {.exit_signal = SIGCHLD};
	struct sync_msg m;
	pid_t pid = (pid_t)syscall(SYS_clone3, &stage, sizeof(stage));
	int rc;

	if (pid < 0)
		return error_sys(err, "cannot make a process");
	if (pid == 0) {
		args.flags |= CLONE_PARENT;
		args.exit_signal = 0;
		init_stage(&cr->init, &args);
	}
	close_fd(&cr->init.sync);
	rc = sync_expect(cr->sync, SYNC_PID, &m, &cr->c->pidfd, err);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc < 0)
		return rc;
	cr->c->state.pid = m.code;
	return 0;
}

static int spawn(struct creation *cr, struct error *err)
{
	int pair[2], rc = sync_pair(pair, err);

	if (rc < 0)
		return rc;
	cr->sync = pair[0];
	cr->init.container = cr->c;
	cr->init.spec = &cr->c->spec;
	cr->init.options = cr->o;
	cr->init.plan = &cr->plan;
	cr->init.seccomp = cr->seccomp;
	cr->init.cgroup = &cr->cgroup;
	cr->init.services = cr->services;
	cr->init.bundle = cr->bundle;
	cr->init.bundle_fd = cr->bundle_fd;
	cr->init.by_user = geteuid() != 0;
	cr->init.sync = pair[1];
	cr->init.parent_fds[0] = pair[0];
	cr->init.parent_fds[1] = cr->c->dir_fd;
	rc = cr->init.by_user ? 0 : rootfs_open_sources(&cr->init, err);
	if (rc == 0)
		rc = cr->plan.needs_stage ? spawn_staged(cr, err) : spawn_direct(cr, err);
	/* Else its death could not be seen. */
	close_fd(&cr->init.sync);
	return rc;
}

/* --- meanwhile ---------------------------------------------------------------------------------------------- */

/* The namespace's number is saved before the name is made, so that a name is only taken back from our own. */
static int pin_netns(struct container *c, struct error *err)
{
	auto_close int fd = -1;
	struct stat st;
	char path[32];
	int rc;

	if (!c->state.netns_name)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", c->state.pid);
	fd = netns_open(path, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot look at %s", path);
	c->state.netns_inode = st.st_ino;
	rc = state_save(&c->state, c->dir_fd, err);
	return rc < 0 ? rc : netns_pin(c->state.netns_name, fd, err);
}

static int build_network(struct creation *cr, struct error *err)
{
	struct container *c = cr->c;
	int rc = pin_netns(c, err);

	if (rc == 0 && c->spec.linux_.n_net_devices)
		rc = net_move_devices(&c->spec, c->state.pid, err);
	if (rc == 0 && c->spec.n_attachments)
		rc = net_attach(c, &c->spec, c->state.pid, err);
	/* One that failed has undone itself. */
	cr->attached = rc == 0;
	return rc;
}

static int run_hooks(struct creation *cr, struct error *err)
{
	struct container *c = cr->c;
	struct sync_msg m;
	int rc;

	if (!init_sends_root(&c->spec))
		return 0;
	rc = sync_expect(cr->sync, SYNC_ROOT, &m, NULL, err);
	if (rc == 0)
		rc = hooks_run(&c->spec, HOOK_PRESTART, &c->state, "creating", c->state.pid, err);
	if (rc == 0)
		rc = hooks_run(&c->spec, HOOK_CREATE_RUNTIME, &c->state, "creating", c->state.pid, err);
	return rc;
}

static int build(struct creation *cr, struct error *err)
{
	const struct container *c = cr->c;
	int rc = 0;

	/* As long as an ordinary user may: init's files in /proc are not the user's once it is in. */
	rc = process_set_oom_score_adj(c->spec.process, c->state.pid, err);
	if (rc == 0 && cr->plan.new_user) {
		rc = idmap_write(c->state.pid, &c->spec.linux_, err);
		if (rc == 0)
			rc = sync_send(cr->sync, SYNC_MAPPED, 0, -1, err);
	}
	if (rc == 0)
		rc = build_network(cr, err);
	if (rc == 0)
		rc = run_hooks(cr, err);
	if (rc == 0 && init_waits_go(&c->spec))
		rc = sync_send(cr->sync, SYNC_GO, 0, -1, err);
	return rc;
}

/* --- conversation ------------------------------------------------------------------------------------------- */

/* runtime-spec config-linux.md#containerprocessstate, to the socket that the configuration names. */
static int send_listener(const struct container *c, int fd, struct error *err)
{
	const struct spec_seccomp *s = c->spec.linux_.seccomp;
	auto_buf struct buf b = {0};
	int rc;

	buf_printf(&b, "{\"ociVersion\":\"%s\",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":", c->state.oci_version,
		   c->state.pid);
	json_write_text(&b, s->listener_metadata ? s->listener_metadata : "");
	buf_puts(&b, ",\"state\":");
	state_write_oci(&b, &c->state, "creating", c->state.pid, 0);
	buf_putc(&b, '}');
	if (b.failed)
		return error_oom(err);
	rc = terminal_send(s->listener_path, b.data, fd, err);
	return rc < 0 ? error_wrap(err, "failed to connect with seccomp agent") : 0;
}

int container_clear_onlcr(int fd, struct error *err)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return error_sys(err, "cannot read the terminal's settings");
	t.c_oflag &= ~(tcflag_t)ONLCR;
	return tcsetattr(fd, TCSANOW, &t) < 0 ? error_sys(err, "cannot change the terminal's settings") : 0;
}

static int take_console(struct container *c, const char *console_socket, int *fd, struct error *err)
{
	int rc;

	if (console_socket)
		return terminal_send_master(console_socket, *fd, err);
	rc = container_clear_onlcr(*fd, err);
	if (rc < 0)
		return rc;
	close_fd(&c->terminal);
	c->terminal = take_fd(fd);
	return 0;
}

int container_converse(struct container *c, int sock, const char *console_socket, enum sync_until until,
		       struct error *err)
{
	for (;;) {
		auto_close int fd = -1;
		struct sync_msg m;
		int rc = sync_receive(sock, &m, &fd, err);

		if (rc < 0)
			return rc;
		switch ((enum sync_type)m.type) {
		case SYNC_LOG:
			log_emit((enum log_level)m.level, m.text);
			break;
		case SYNC_ERROR:
			return error_set(err, m.code > 0 ? m.code : EPROTO, "%s", m.text);
		case SYNC_CONSOLE:
			rc = take_console(c, console_socket, &fd, err);
			break;
		case SYNC_SECCOMP:
			rc = send_listener(c, fd, err);
			break;
		case SYNC_READY:
			if (until == UNTIL_READY)
				return 0;
			until = UNTIL_RUNNING;
			break;
		case SYNC_EOF:
			return until == UNTIL_RUNNING ? 0 : error_set(err, EPIPE, "the container's init process has ended");
		default:
			return error_set(err, EPROTO, "received the message \"%s\" out of turn",
					 sync_name((enum sync_type)m.type));
		}
		if (rc < 0)
			return rc;
	}
}

/* Init closed the socket without a word: what became of it says more. */
int container_init_died(struct container *c, struct error *err)
{
	char how[SPAWN_STATUS_SIZE];
	int status;
	pid_t pid;

	do
		pid = waitpid(c->state.pid, &status, __WALL);
	while (pid < 0 && errno == EINTR);
	if (pid < 0)
		return error_set(err, ECHILD, "the container's init process died before it was ready");
	c->state.pid = 0;
	return error_set(err, ECHILD, "the container's init process %s before it was ready", spawn_status(status, how));
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid == pid;
}

int container_spawn(struct creation *cr, struct error *err)
{
	struct error first = {0};
	int rc = net_prepare(&cr->c->spec, err);

	if (rc == 0 && cr->cgroup.n)
		rc = cgroup_make(&cr->cgroup, &cr->c->spec, err);
	if (rc == 0)
		rc = spawn(cr, err);
	if (rc == 0)
		rc = cgroup_settle(&cr->cgroup, &cr->c->spec, cr->c->state.pid, err);
	if (rc < 0)
		return rc;
	cr->built = true;
	rc = build(cr, &first);
	/* When init has ended, that is why the rest did not work either: it says why, if it could. */
	if (rc == 0 ? !init_starts_at_once(&cr->c->spec, cr->o) : rc == -EPIPE || has_ended(cr->c->state.pid))
		rc = container_converse(cr->c, cr->sync, cr->o->console_socket, UNTIL_READY, &first);
	if (rc == -EPIPE) {
		close_fd(&cr->sync); /* should it live after all, it ends now */
		return container_init_died(cr->c, err);
	}
	if (rc < 0 && err)
		*err = first;
	return rc;
}

void container_spawn_undo(struct creation *cr)
{
	struct container *c = cr->c;

	close_fd(&c->start_fd);
	close_fd(&cr->sync);
	if (c->state.pid <= 0)
		return;
	kill(c->state.pid, SIGKILL);
	while (waitpid(c->state.pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	c->state.pid = 0;
}
