/* The keeper of a program; service_keeper.h draws the protocol. */
#include "service_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "log.h"
#include "process.h"
#include "spawn.h"

/* --- messages ------------------------------------------------------------------------------------------------ */

int service_keeper_send(int sock, const struct keeper_msg *m, const int *fds)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)m, .iov_len = sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds) {
		struct cmsghdr *c = &control.align;

		h.msg_control = control.space;
		h.msg_controllen = sizeof(control.space);
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(2 * sizeof(int))};
		memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	}
	return sendmsg(sock, &h, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int service_keeper_receive(int sock, struct keeper_msg *ret, int ret_fds[2])
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = ret, .iov_len = sizeof(*ret)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;

	ret_fds[0] = ret_fds[1] = -1;
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(2 * sizeof(int)))
		memcpy(ret_fds, CMSG_DATA(c), 2 * sizeof(int));
	return n == sizeof(*ret);
}

/* --- the program --------------------------------------------------------------------------------------------- */

/* Remarks made on the way to the program belong to its log. */
static void child_log(enum log_level level, const char *msg, void *arg)
{
	(void)level;
	(void)arg;
	dprintf(STDERR_FILENO, "nsrun: %s\n", msg);
}

/* report is where a failure goes; it is out of the way of notify_number and closes by itself when all went well. */
static _Noreturn void child_main(const struct keeper_job *job, int report)
{
	struct process_ctx ctx = {
		.process = job->process,
		.seccomp = job->seccomp,
		.setgroups_denied = job->setgroups_denied,
		.keep_fds = job->notify >= 0 ? job->notify_number - 2 : 0,
		.extra_env = job->extra_env,
	};
	struct error err = {0};

	signals_default();
	log_set_sink(child_log, NULL);
	if (dup2(job->null, STDIN_FILENO) < 0 || dup2(job->out, STDOUT_FILENO) < 0 || dup2(job->err, STDERR_FILENO) < 0 ||
	    (job->notify >= 0 && dup2(job->notify, job->notify_number) < 0))
		error_sys(&err, "cannot set up its descriptors");
	else if (process_prepare(&ctx, &err) == 0)
		process_exec(&ctx, &err);
	(void)!write(report, &err, sizeof(err));
	_exit(127);
}

/* *ret_report: reads the program's struct error, or nothing once it was executed. */
static pid_t start_program(const struct keeper_job *job, int *ret_report, struct error *err)
{
	auto_close int in = -1, out = -1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(err, "cannot make a pipe");
	in = fds[0];
	/* Above whatever number the program is promised for its notification. */
	out = fcntl(fds[1], F_DUPFD_CLOEXEC, job->notify_number + 1);
	close(fds[1]);
	pid = out < 0 ? -1 : fork();
	if (pid < 0)
		return error_sys(err, "cannot make a process");
	if (pid == 0)
		child_main(job, out);
	*ret_report = take_fd(&in);
	return pid;
}

/* --- namespaces ---------------------------------------------------------------------------------------------- */

/* A tmpfs that looks like the directory it covers. */
static int mount_private_dir(const char *path, struct error *err)
{
	char options[64];
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(err, ENOENT, "cannot give it a private %s: there is no such directory in the container; make it in "
				 "the root file system", path);
	snprintf(options, sizeof(options), "mode=%o,uid=%u,gid=%u", st.st_mode & 07777, st.st_uid, st.st_gid);
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return error_sys(err, "cannot mount a private %s", path);
	return 0;
}

/* setns(2) goes to the namespace's own root, which is not the container's when that is a chroot. */
static int enter_mounts(int ns, int root, struct error *err)
{
	if (setns(ns, CLONE_NEWNS) < 0)
		return error_sys(err, "cannot enter its mount namespace");
	if (fchdir(root) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return error_sys(err, "cannot enter its root");
	return 0;
}

static int make_mounts(const struct keeper_job *job, struct error *err)
{
	struct keeper_msg m = {.type = KEEPER_MOUNTS};
	auto_close int ns = -1, root = -1;
	int rc;

	if (unshare(CLONE_NEWNS) < 0)
		return error_sys(err, "cannot make a mount namespace");
	ns = openat(job->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ns < 0 || root < 0)
		return error_sys(err, "cannot keep its mount namespace");
	/* Slave: what the container mounts later is seen; what the service has of its own is not seen outside. In a chroot "/"
	 * is no mount point, so this is done from the namespace's own root. */
	if (setns(ns, CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return error_sys(err, "cannot keep mounts private");
	rc = enter_mounts(ns, root, err);
	for (char *const *dir = job->private_dirs; rc == 0 && *dir; dir++)
		rc = mount_private_dir(*dir, err);
	if (rc < 0)
		return rc;
	rc = service_keeper_send(job->sock, &m, (int[]){ns, root});
	if (rc < 0)
		return error_set(err, -rc, "cannot hand over its mount namespace: %s", strerror(-rc));
	return 0;
}

static int enter_namespaces(const struct keeper_job *job, struct error *err)
{
	if (job->netns >= 0 && setns(job->netns, CLONE_NEWNET) < 0)
		return error_sys(err, "cannot enter the host's network namespace");
	if (job->mount_ns >= 0)
		return enter_mounts(job->mount_ns, job->mount_root, err);
	return job->private_dirs && *job->private_dirs ? make_mounts(job, err) : 0;
}

/* --- the keeper's own life ------------------------------------------------------------------------------------ */

struct keeper {
	const struct keeper_job *job;
	pid_t pid;
	int report, signals; /* report -1: the program was executed, or failed */
	bool ended, failed, killing;
};

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void service_keeper_close_others(int *keep, size_t n)
{
	qsort(keep, n, sizeof(*keep), compare_fds);
	for (size_t i = 0; i < n; i++) {
		unsigned first = (unsigned)keep[i] + 1, last = i + 1 < n ? (unsigned)keep[i + 1] - 1 : UINT_MAX;

		if (keep[i] >= STDERR_FILENO && first <= last)
			close_range(first, last, 0);
	}
}

/* Other services' pipes and the supervisor's sockets would live on in us. */
static void close_others(const struct keeper_job *j)
{
	int keep[] = {STDERR_FILENO, j->sock,  j->proc,	    j->null,	   j->out, j->err,
		      j->notify,     j->netns, j->mount_ns, j->mount_root, j->lock};

	service_keeper_close_others(keep, ARRAY_SIZE(keep));
}

static void say(const struct keeper *k, enum keeper_type type, int value)
{
	struct keeper_msg m = {.type = type, .value = value};

	(void)service_keeper_send(k->job->sock, &m, NULL);
}

static void say_failed(const struct keeper_job *job, const struct error *err)
{
	struct keeper_msg m = {.type = KEEPER_FAILED, .value = err->code};

	snprintf(m.text, sizeof(m.text), "%s", err->msg);
	(void)service_keeper_send(job->sock, &m, NULL);
}

/* The program was executed (end of file) or says why not. */
static void read_report(struct keeper *k)
{
	struct error err = {0};

	if (k->report < 0)
		return;
	k->failed = read(k->report, &err, sizeof(err)) == sizeof(err);
	close_fd(&k->report);
	if (k->failed)
		say_failed(k->job, &err);
	else
		say(k, KEEPER_RUNS, k->pid);
}

static void signal_all(struct keeper *k, int signo)
{
	k->killing |= signo == SIGKILL;
	/* The group at once, before it can see its members die one by one. */
	if (!k->ended && signo == SIGKILL)
		kill(-k->pid, SIGKILL);
	if (!k->ended || waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0)
		service_tree_signal(k->job->proc, getpid(), NULL, signo);
}

/* Returns false when no descendant is left. */
static bool reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != k->pid)
			continue;
		read_report(k);
		k->ended = true;
		if (!k->failed)
			say(k, KEEPER_ENDED, status);
	}
	/* What died left its own children to us. */
	if (pid == 0 && k->killing)
		signal_all(k, SIGKILL);
	return pid == 0;
}

static void obey(struct keeper *k)
{
	struct keeper_msg m;
	int fds[2], rc = service_keeper_receive(k->job->sock, &m, fds);

	if (rc == -EAGAIN)
		return;
	if (rc <= 0)
		signal_all(k, SIGKILL);
	else if (m.type == KEEPER_SIGNAL && !k->ended)
		kill(k->pid, m.value);
	else if (m.type == KEEPER_SIGNAL_ALL)
		signal_all(k, m.value);
}

static _Noreturn void keep(struct keeper *k)
{
	for (;;) {
		struct pollfd p[] = {
			{.fd = k->signals, .events = POLLIN},
			{.fd = k->report, .events = POLLIN},
			/* Once the supervisor is gone there is nothing to hear, and it must not wake us for ever. */
			{.fd = k->killing ? -1 : k->job->sock, .events = POLLIN},
		};
		struct signalfd_siginfo si;

		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[1].revents)
			read_report(k);
		if (p[2].revents)
			obey(k);
		if (!p[0].revents || read(k->signals, &si, sizeof(si)) != sizeof(si))
			continue;
		if (si.ssi_signo == SIGTERM)
			signal_all(k, SIGKILL);
		if (!reap(k))
			_exit(0);
	}
}

_Noreturn void service_keeper_run(const struct keeper_job *job)
{
	struct keeper k = {.job = job, .report = -1, .signals = -1};
	struct error err = {0};
	sigset_t heard;

	prctl(PR_SET_NAME, "nsrun-keeper");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	close_others(job);
	sigemptyset(&heard);
	sigaddset(&heard, SIGCHLD);
	sigaddset(&heard, SIGTERM);
	k.signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k.signals < 0)
		error_sys(&err, "cannot make a signalfd");
	else if (enter_namespaces(job, &err) == 0)
		k.pid = start_program(job, &k.report, &err);
	if (k.pid <= 0) {
		say_failed(job, &err);
		_exit(1);
	}
	/* Its end must show when the program closes it, not when we go. */
	if (job->notify >= 0)
		close(job->notify);
	keep(&k);
}
