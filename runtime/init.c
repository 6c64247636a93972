/* The container's first process, from clone3(2) to execve(2).
 *
 *    isolate        our own descriptors only; dies with the parent until the container is created
 *    join           namespaces given by path, the cgroups, the user namespace's root, a session keyring
 *    build          host name, loopback, root file system, mounts, devices: the host's tree is still in sight
 *    wait           for the parent's work on the network and its hooks
 *    enter          createContainer hooks, then the root; from here on paths are the container's, and not to be trusted
 *    protect        terminal, sysctls, masked and read-only paths
 *    wait           for the start
 *    execute        startContainer hooks, then the program (or the supervisor of its services)
 *
 * What fails goes to the parent as SYNC_ERROR, with the step's name before it; whoever waits on the start channel is the
 * parent then. */
#include "init.h"

#include <errno.h>
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
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "hooks.h"
#include "log.h"
#include "netns.h"
#include "process.h"
#include "rootfs.h"
#include "seal.h"
#include "services.h"
#include "spawn.h"
#include "sync.h"

bool init_sends_root(const struct spec *s)
{
	return s->hooks.n[HOOK_PRESTART] || s->hooks.n[HOOK_CREATE_RUNTIME];
}

bool init_waits_go(const struct spec *s)
{
	return init_sends_root(s) || s->n_attachments || s->linux_.n_net_devices;
}

/* A terminal's settings are made by the parent before the program can write to it. */
bool init_starts_at_once(const struct spec *s, const struct create_options *o)
{
	return o->run && !(s->process && s->process->terminal);
}

/* --- isolate ------------------------------------------------------------------------------------------------ */

/* Until the container is created (or started, by `run`) nothing of it may outlive the parent. The signal does not come
 * if the parent was gone before it was asked for; then the socket is at its end. */
static void die_with_parent(const struct init_ctx *ctx)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (recv(ctx->sync, &c, sizeof(c), MSG_PEEK | MSG_DONTWAIT) == 0)
		_exit(1);
}

static void outlive_parent(void)
{
	prctl(PR_SET_PDEATHSIG, 0);
}

/* Files in /proc are only a user's while the process is dumpable: the parent writes the mappings through them, hooks look at
 * the namespaces. No process of a container can make use of that: none is in the new user namespace yet. (Root's could:
 * root's processes have all rights over a user namespace that root has made.) */
static bool is_left_to_user(const struct init_ctx *ctx)
{
	return ctx->by_user && ctx->plan->new_user;
}

static int init_isolate(struct init_ctx *ctx, struct error *err)
{
	/* The parent's end of the socket first: while we hold it, its death cannot be seen. The state directory must not
	 * be reachable by what shares a pid namespace with us (CVE-2016-9962); the lock's file stays, so that the
	 * lock is held as long as anybody works on the container. */
	for (size_t i = 0; i < ARRAY_SIZE(ctx->parent_fds); i++)
		close_fd(&ctx->parent_fds[i]);
	die_with_parent(ctx);
	log_set_sink(sync_log_sink, (void *)(intptr_t)ctx->sync);
	/* Neither ptrace(2) nor /proc/PID/fd, for processes of the container. execve(2) ends it. */
	if (prctl(PR_SET_DUMPABLE, is_left_to_user(ctx)) < 0)
		return error_sys(err, "cannot make the process undumpable");
	signals_default();
	return 0;
}

/* --- join --------------------------------------------------------------------------------------------------- */

static int init_join(struct init_ctx *ctx, struct error *err)
{
	return ctx->plan->needs_stage ? 0 : ns_join(ctx->plan, err);
}

static int init_cgroup(struct init_ctx *ctx, struct error *err)
{
	int rc = ctx->cgroup->n ? cgroup_enter(ctx->cgroup, err) : 0;

	/* Its root is the cgroup that the process is in now. */
	if (rc == 0 && ctx->plan->unshare_cgroup && unshare(CLONE_NEWCGROUP) < 0)
		return error_sys(err, "cannot make a cgroup namespace");
	return rc;
}

/* Root in the user namespace, so that files which are made have an owner there. Ids that are not mapped (EINVAL) leave
 * all capabilities and no owner; what then cannot be made says so. */
static int init_user(struct init_ctx *ctx, struct error *err)
{
	struct sync_msg m;
	int rc;

	if (ctx->plan->new_user) {
		rc = sync_expect(ctx->sync, SYNC_MAPPED, &m, NULL, err);
		if (rc < 0)
			return rc;
	}
	if (!ctx->plan->new_user && ctx->plan->join[NS_USER] < 0)
		return 0;
	/* An ordinary user's files: its own root need not be able to get there. */
	if (ctx->by_user) {
		rc = rootfs_open_sources(ctx, err);
		if (rc < 0)
			return rc;
	}
	if (setgroups(0, NULL) < 0)
		ctx->setgroups_denied = true;
	if ((setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) && errno != EINVAL)
		return error_sys(err, "cannot become root in the user namespace");
	/* The change of user has cleared the signal, and set the process's dumpability as the host wants it. */
	die_with_parent(ctx);
	if (prctl(PR_SET_DUMPABLE, is_left_to_user(ctx)) < 0)
		return error_sys(err, "cannot make the process undumpable");
	return 0;
}

/* Not the caller's keys. Without the system call, or where a filter forbids it, there are none to see. */
static int init_keyring(struct init_ctx *ctx, struct error *err)
{
	char name[128];

	if (ctx->options->no_new_keyring)
		return 0;
	snprintf(name, sizeof(name), "_ses.%s", ctx->container->id);
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS && errno != EPERM)
		return error_sys(err, "cannot join the session keyring %s", name);
	return 0;
}

/* --- build -------------------------------------------------------------------------------------------------- */

static int init_names(struct init_ctx *ctx, struct error *err)
{
	const struct spec *s = ctx->spec;

	if (!str_empty(s->hostname) && sethostname(s->hostname, strlen(s->hostname)) < 0)
		return error_sys(err, "cannot set the host name to %s", s->hostname);
	if (!str_empty(s->domainname) && setdomainname(s->domainname, strlen(s->domainname)) < 0)
		return error_sys(err, "cannot set the domain name to %s", s->domainname);
	return 0;
}

/* A namespace that is joined has its lo as its owner wants it. */
static int init_loopback(struct init_ctx *ctx, struct error *err)
{
	return ctx->plan->clone_flags & CLONE_NEWNET ? netns_loopback_up(err) : 0;
}

/* --- wait and enter ----------------------------------------------------------------------------------------- */

static int init_wait_go(struct init_ctx *ctx, struct error *err)
{
	struct sync_msg m;
	int rc = init_sends_root(ctx->spec) ? sync_send(ctx->sync, SYNC_ROOT, 0, -1, err) : 0;

	if (rc == 0 && init_waits_go(ctx->spec))
		rc = sync_expect(ctx->sync, SYNC_GO, &m, NULL, err);
	return rc;
}

static int init_create_hooks(struct init_ctx *ctx, struct error *err)
{
	return hooks_run(ctx->spec, HOOK_CREATE_CONTAINER, &ctx->container->state, "creating", getpid(), err);
}

/* With a user namespace the mount is not ours to move. */
static int init_bury_seal(struct init_ctx *ctx, struct error *err)
{
	(void)err;
	if (ctx->plan->clone_flags & CLONE_NEWNS && !(ctx->plan->clone_flags & CLONE_NEWUSER) && !ctx->options->no_pivot)
		seal_bury();
	else if (ctx->start_listen < 0)
		seal_release();
	return 0;
}

/* --- execute ------------------------------------------------------------------------------------------------ */

static int send_listener(void *arg, int fd, struct error *err)
{
	const struct init_ctx *ctx = arg;

	return sync_send(ctx->sync, SYNC_SECCOMP, getpid(), fd, err);
}

static struct process_ctx process_context(struct init_ctx *ctx)
{
	return (struct process_ctx){
		.process = ctx->spec->process,
		.seccomp = ctx->seccomp,
		.setgroups_denied = ctx->setgroups_denied,
		.user_namespace = ctx->plan->new_user || ctx->plan->join[NS_USER] >= 0,
		.keep_fds = (int)ctx->options->preserve_fds + ctx->listen_fds,
		.oom_score_adj_set = true,
		/* With root "/" it would be made on the host. */
		.make_cwd = strcmp(ctx->spec->root->path, "/") != 0,
		.listener = send_listener,
		.listener_arg = ctx,
	};
}

static int init_process(struct init_ctx *ctx, struct error *err)
{
	const struct process_ctx p = process_context(ctx);
	int rc;

	/* A program closes them by being executed; the supervisor would keep these ways out of the container. */
	close_fd(&ctx->bundle_fd);
	close_fd(&ctx->root_fd);
	if (ctx->services)
		return setsid() < 0 && errno != EPERM ? error_sys(err, "cannot start a session") : 0;
	rc = process_prepare(&p, err);
	/* `create` tells what is missing; `run` hears of it at once. */
	if (rc == 0 && ctx->start_listen >= 0)
		rc = apparmor_check(ctx->spec->process->apparmor_profile, err);
	if (rc == 0 && ctx->start_listen >= 0)
		rc = process_check_program(ctx->spec->process, err);
	return rc;
}

/* A created container waits, maybe for long: it holds what its program will have, and the socket it waits on. */
static void close_all_but(const struct init_ctx *ctx, int keep)
{
	unsigned first = 3 + ctx->options->preserve_fds + (unsigned)ctx->listen_fds;

	if (ctx->services) /* the supervisor has its own */
		return;
	if (first < (unsigned)keep)
		syscall(SYS_close_range, first, keep - 1, 0);
	syscall(SYS_close_range, keep + 1, ~0U, 0);
}

static int accept_start(struct init_ctx *ctx, struct error *err)
{
	int conn;

	do
		conn = accept4(ctx->start_listen, NULL, NULL, SOCK_CLOEXEC);
	while (conn < 0 && errno == EINTR);
	if (conn < 0)
		return error_sys(err, "cannot accept the start");
	close_fd(&ctx->start_listen);
	ctx->sync = conn;
	log_set_sink(sync_log_sink, (void *)(intptr_t)conn);
	return 0;
}

static void drop_log(enum log_level level, const char *msg, void *arg)
{
	(void)level, (void)msg, (void)arg;
}

/* A user's user namespace gives the user all rights over what is in it, but over an undumpable process only those that root
 * of the host has: `exec` could not get in. But where others see init already, they must not. */
static bool user_may_enter(const struct init_ctx *ctx)
{
	return ctx->by_user && ctx->plan->join[NS_PID] < 0;
}

static int init_wait_start(struct init_ctx *ctx, struct error *err)
{
	struct sync_msg m;
	int rc = sync_send(ctx->sync, SYNC_READY, 0, -1, err);

	if (rc == 0 && ctx->start_listen >= 0) {
		rc = sync_expect(ctx->sync, SYNC_CREATED, &m, NULL, err);
		if (rc < 0)
			return rc;
		outlive_parent();
		log_set_sink(drop_log, NULL);
		close(ctx->container->lock_fd);
		/* The parent leaves when it sees the end of this: not before, or its death would still be ours. */
		close_fd(&ctx->sync);
		seal_release();
		close_all_but(ctx, ctx->start_listen);
		prctl(PR_SET_DUMPABLE, user_may_enter(ctx)); /* nothing leads out of the container any more */
		rc = accept_start(ctx, err);
	}
	if (rc == 0)
		rc = sync_expect(ctx->sync, SYNC_START, &m, NULL, err);
	if (rc == 0)
		outlive_parent();
	return rc;
}

static int init_start_hooks(struct init_ctx *ctx, struct error *err)
{
	return hooks_run(ctx->spec, HOOK_START_CONTAINER, &ctx->container->state, "created", getpid(), err);
}

static void supervision_started(void *arg)
{
	struct init_ctx *ctx = arg;

	log_set_sink(drop_log, NULL);
	if (ctx->options->run)
		close(ctx->container->lock_fd);
	close_fd(&ctx->sync);
}

static int init_execute(struct init_ctx *ctx, struct error *err)
{
	struct process_ctx p = process_context(ctx);
	auto_strv char **env = NULL;

	if (ctx->services)
		prctl(PR_SET_DUMPABLE, user_may_enter(ctx) && !services_may_trace(ctx->services));
	if (ctx->services)
		supervise(ctx->services, ctx, supervision_started, ctx);
	if (ctx->listen_fds &&
	    (strv_addf(&env, "LISTEN_FDS=%d", ctx->listen_fds) < 0 || strv_addf(&env, "LISTEN_PID=%d", getpid()) < 0))
		return error_oom(err);
	p.extra_env = env;
	return process_exec(&p, err);
}

/* --- the table ---------------------------------------------------------------------------------------------- */

static const struct init_step {
	const char *name; /* NULL: the error says it all */
	int (*run)(struct init_ctx *ctx, struct error *err);
} steps[] = {
	{"isolate", init_isolate},
	{"join namespaces", init_join},
	{"cgroup", init_cgroup}, /* with the host's rights over the cgroup tree */
	{"user namespace", init_user},
	{"session keyring", init_keyring},
	{"host name", init_names},
	{"loopback", init_loopback},
	{"root file system", rootfs_prepare},
	{"sysctl", rootfs_sysctl_open}, /* while the host's /proc is in sight */
	{"mounts", rootfs_mounts},
	{"mounts", rootfs_mounts_rest},
	{"devices", rootfs_devices},
	{NULL, init_wait_go},
	{NULL, init_bury_seal},
	{NULL, init_create_hooks}, /* their paths are the host's: before the root is entered */
	{"enter the root", rootfs_enter},
	{"terminal", rootfs_terminal},
	{"sysctl", rootfs_sysctl}, /* of links, too, so they have to be there */
	{"protect paths", rootfs_protect},
	{NULL, init_process},
	{NULL, init_wait_start},
	{NULL, init_start_hooks},
	{NULL, init_execute},
};

static _Noreturn void fail(const struct init_ctx *ctx, const char *step, struct error *err)
{
	if (step)
		error_wrap(err, "%s", step);
	if (ctx->sync >= 0)
		(void)sync_send_error(ctx->sync, err);
	_exit(1);
}

void init_main(struct init_ctx *ctx)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct error err;
		int rc;

		err.code = 0;
		err.msg[0] = '\0';
		rc = steps[i].run(ctx, &err);
		if (rc < 0)
			fail(ctx, steps[i].name, &err);
	}
	_exit(1);
}

/* --- stage -------------------------------------------------------------------------------------------------- */

void init_stage(struct init_ctx *ctx, struct clone_args *args)
{
	struct error err = {0};
	pid_t pid;

	if (init_isolate(ctx, &err) < 0 || ns_join(ctx->plan, &err) < 0)
		fail(ctx, "join namespaces", &err);
	/* Joining a user namespace has cleared the signal. */
	die_with_parent(ctx);
	pid = (pid_t)syscall(SYS_clone3, args, sizeof(*args));
	if (pid < 0) {
		error_sys(&err, "cannot make a process in the namespaces joined");
		fail(ctx, NULL, &err);
	}
	if (pid == 0)
		init_main(ctx);
	if (sync_send(ctx->sync, SYNC_PID, pid, *(int *)(uintptr_t)args->pidfd, &err) < 0)
		fail(ctx, NULL, &err);
	_exit(0);
}
