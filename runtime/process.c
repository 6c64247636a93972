/* From a configured process to execve(). Each step of process_exec() takes rights away that the ones before it needed. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "log.h"
#include "rootfs.h"
#include "seccomp.h"
#include "str.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PASSWD "/etc/passwd"

enum { PASSWD_MAX = 1 << 20, DEFAULT_UMASK = 0022 };

/* --- while privileged --------------------------------------------------------------------------------------- */

/* Lowering the value needs CAP_SYS_RESOURCE, which engines may lack themselves; runtime-spec wants no failure for that. */
static int write_oom_score_adj(int dirfd, const char *path, int value, struct error *err)
{
	char text[16];
	int rc;

	snprintf(text, sizeof(text), "%d", value);
	rc = fs_write_at(dirfd, path, text, err);
	if (rc != -EACCES && rc != -EPERM)
		return rc;
	log_warn("cannot set oom_score_adj to %d: %s", value, strerror(-rc));
	return 0;
}

int process_set_oom_score_adj(const struct spec_process *p, int pid, struct error *err)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	return p && p->has_oom_score_adj ? write_oom_score_adj(AT_FDCWD, path, p->oom_score_adj, err) : 0;
}

static int set_own_oom_score_adj(const struct process_ctx *ctx, struct error *err)
{
	auto_close int proc = -1;

	if (!ctx->process->has_oom_score_adj || ctx->oom_score_adj_set)
		return 0;
	/* /proc here is what the container made of it. */
	proc = rootfs_private_proc(false, err);
	return proc < 0 ? proc : write_oom_score_adj(proc, "self/oom_score_adj", ctx->process->oom_score_adj, err);
}

static int set_rlimits(const struct spec_process *p, struct error *err)
{
	for (size_t i = 0; i < p->n_rlimits; i++) {
		const struct spec_rlimit *l = &p->rlimits[i];
		struct rlimit r = {.rlim_cur = l->soft, .rlim_max = l->hard};

		if (setrlimit((__rlimit_resource_t)word_value(spec_rlimit_words, l->type), &r) == 0)
			continue;
		if (errno != EPERM)
			return error_sys(err, "cannot set %s to %llu:%llu", l->type, (unsigned long long)l->soft,
					 (unsigned long long)l->hard);
		log_warn("cannot set %s to %llu:%llu: nsrun lacks the right to raise its own limit", l->type,
			 (unsigned long long)l->soft, (unsigned long long)l->hard);
	}
	return 0;
}

/* A directory that a descriptor from outside the root led to has no path here (CVE-2024-21626). */
static int check_cwd(const char *cwd, struct error *err)
{
	char path[PATH_MAX];

	if (!getcwd(path, sizeof(path)) || path[0] != '/')
		return error_set(err, EINVAL, "cannot use the working directory %s: it is outside of the container", cwd);
	return 0;
}

static int enter_cwd(const struct process_ctx *ctx, struct error *err)
{
	const char *cwd = ctx->process->cwd;
	int rc = chdir(cwd) < 0 ? -errno : 0;

	if (rc == -ENOENT && ctx->make_cwd && fs_mkdirs(cwd, 0755, NULL) == 0)
		rc = chdir(cwd) < 0 ? -errno : 0;
	if (rc == -EACCES && ctx->process->user.uid) /* perhaps the user may: process_exec() tries again */
		return 0;
	errno = -rc;
	return rc < 0 ? error_sys(err, "cannot enter the working directory %s", cwd) : check_cwd(cwd, err);
}

int process_prepare(const struct process_ctx *ctx, struct error *err)
{
	const struct spec_user *u = &ctx->process->user;
	int rc = set_own_oom_score_adj(ctx, err);

	if (rc == 0)
		rc = set_rlimits(ctx->process, err);
	if (rc < 0)
		return rc;
	/* When it is not given: what every runtime's containers have, whatever the engine's own is. */
	umask(u->has_umask ? (mode_t)u->umask : DEFAULT_UMASK);
	(void)setsid(); /* fails for one that leads a session already */
	return enter_cwd(ctx, err);
}

/* --- the program -------------------------------------------------------------------------------------------- */

static int program_failed(const char *name, int code, struct error *err)
{
	switch (code) {
	case ENOENT:
	case ENOTDIR:
		return error_set(err, ENOENT, "exec %s: no such file or directory", name);
	case EACCES:
		return error_set(err, EACCES, "exec %s: permission denied", name);
	case ENOEXEC:
		return error_set(err, ENOEXEC, "exec %s: exec format error", name);
	default:
		return error_set(err, code, "exec %s: %s", name, strerror(code));
	}
}

/* Calls `attempt` (0, or a negative errno) for every path that the name can mean, until it succeeds: as execvpe(3), a
 * file that may not be executed does not end the search, but is remembered. */
static int search_program(const struct spec_process *p, int (*attempt)(const char *path, void *arg), void *arg,
			  struct error *err)
{
	const char *name = p->args[0], *dirs = strv_env(p->env, "PATH"), *end;
	int rc, denied = 0;

	if (!*name)
		return program_failed("\"\"", ENOENT, err);
	if (strchr(name, '/')) {
		rc = attempt(name, arg);
		return rc < 0 ? program_failed(name, -rc, err) : 0;
	}
	for (dirs = dirs ? dirs : DEFAULT_PATH;; dirs = end + 1) {
		char path[PATH_MAX];
		int n;

		end = strchrnul(dirs, ':');
		n = snprintf(path, sizeof(path), "%.*s/%s", (int)(end - dirs), end > dirs ? dirs : ".", name);
		rc = (size_t)n < sizeof(path) ? attempt(path, arg) : -ENAMETOOLONG;
		if (rc == 0)
			return 0;
		if (rc == -EACCES)
			denied = EACCES;
		else if (rc != -ENOENT && rc != -ENOTDIR && rc != -ENAMETOOLONG)
			return program_failed(path, -rc, err);
		if (!*end)
			break;
	}
	if (denied)
		return program_failed(name, denied, err);
	return error_set(err, ENOENT, "exec %s: executable file not found in $PATH", name);
}

static int attempt_access(const char *path, void *arg)
{
	struct stat st;

	(void)arg;
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int process_check_program(const struct spec_process *p, struct error *err)
{
	return search_program(p, attempt_access, NULL, err);
}

struct exec_arg {
	char *const *argv, *const *env;
};

static int attempt_exec(const char *path, void *arg)
{
	const struct exec_arg *a = arg;

	execve(path, a->argv, a->env);
	return -errno;
}

/* --- environment -------------------------------------------------------------------------------------------- */

/* The home directory of a numeric uid, read from the container's own passwd: only HOME depends on it, nothing that
 * decides on rights. */
static char *find_home(uint32_t uid)
{
	auto_free char *text = NULL;
	char *line, *rest;

	if (fs_read_at(AT_FDCWD, PASSWD, PASSWD_MAX, &text, NULL, NULL) < 0)
		return NULL;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		char *field[6] = {NULL}; /* name:password:uid:gid:gecos:home:shell */
		uint32_t number;

		for (size_t i = 0; i < ARRAY_SIZE(field) && line; i++)
			field[i] = strsep(&line, ":");
		if (field[5] && *field[5] == '/' && str_u32(field[2], 0, UINT32_MAX, &number) == 0 && number == uid)
			return strdup(field[5]);
	}
	return NULL;
}

/* A vector of borrowed strings; only HOME is a new one, and nobody lives long enough to free it. */
static char **make_env(const struct process_ctx *ctx)
{
	char *const *lists[] = {ctx->process->env, ctx->extra_env};
	char **env = calloc(strv_len(lists[0]) + strv_len(lists[1]) + 2, sizeof(*env));
	size_t n = 0;

	if (!env)
		return NULL;
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; i < strv_len(lists[l]); i++)
			env[n++] = lists[l][i];
	if (!strv_env(env, "HOME")) {
		char *home = find_home(ctx->process->user.uid);

		env[n] = str_printf("HOME=%s", home ? home : "/");
		free(home);
	}
	return env;
}

/* --- losing rights ------------------------------------------------------------------------------------------ */

/* So that a program which is not root can open /dev/stdout and its like again. Terminals have been given away already,
 * files on a read-only mount and sockets refuse, /dev/null is everybody's. An ordinary user could not open a file again
 * that was given to a subordinate id. */
static void give_stdio(uid_t uid, bool keep_files)
{
	for (int fd = STDIN_FILENO; uid && fd <= STDERR_FILENO; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && st.st_uid != uid && !(keep_files && S_ISREG(st.st_mode)) &&
		    !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
			(void)!fchown(fd, uid, (gid_t)-1);
	}
}

static int set_user(const struct process_ctx *ctx, struct error *err)
{
	const struct spec_user *u = &ctx->process->user;

	if (u->uid && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return error_sys(err, "cannot keep capabilities across the change of user");
	if (!ctx->setgroups_denied && setgroups(u->n_additional_gids, u->additional_gids) < 0)
		return error_sys(err, "cannot set the additional groups");
	if (ctx->setgroups_denied && u->n_additional_gids)
		log_warn("the additional groups are left out: this user namespace does not allow setting groups");
	if (setresgid(u->gid, u->gid, u->gid) < 0)
		return error_sys(err, "cannot become group %u%s", u->gid, errno == EINVAL ? " (is it mapped?)" : "");
	if (setresuid(u->uid, u->uid, u->uid) < 0)
		return error_sys(err, "cannot become user %u%s", u->uid, errno == EINVAL ? " (is it mapped?)" : "");
	return 0;
}

/* The change of user has left what is permitted, but nothing effective. */
static int raise_effective(struct error *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return error_sys(err, "cannot get the capabilities of the process");
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return error_sys(err, "cannot make the permitted capabilities effective");
	return 0;
}

static int load_seccomp(const struct process_ctx *ctx, struct error *err)
{
	auto_close int fd = -1;
	int rc = ctx->seccomp ? seccomp_load_program(ctx->seccomp, err) : 0;

	if (rc < 0 || !ctx->seccomp || !ctx->seccomp->notify)
		return rc;
	fd = rc;
	if (!ctx->listener)
		return error_set(err, ENOTSUP, "cannot load a seccomp filter that notifies: nobody takes its listener");
	return ctx->listener(ctx->listener_arg, fd, err);
}

static int lose_rights(const struct process_ctx *ctx, struct error *err)
{
	const struct spec_process *p = ctx->process;
	int rc = caps_apply_bounding(p->capabilities, err);

	give_stdio(p->user.uid, ctx->user_namespace);
	if (rc == 0)
		rc = set_user(ctx, err);
	/* Without no_new_privs loading a filter needs CAP_SYS_ADMIN, so it comes before the capabilities go; with it the
	 * filter comes last, so that it needs to allow as little as possible. */
	if (rc == 0 && !p->no_new_privileges && ctx->seccomp) {
		rc = p->user.uid ? raise_effective(err) : 0;
		if (rc == 0)
			rc = load_seccomp(ctx, err);
	}
	if (rc == 0)
		rc = caps_apply(p->capabilities, err);
	if (rc == 0 && p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = error_sys(err, "cannot set no_new_privs");
	/* As the user it is, since it may be the only one who can, or the only one who cannot. */
	if (rc == 0 && p->user.uid && chdir(p->cwd) < 0)
		rc = error_sys(err, "cannot enter the working directory %s", p->cwd);
	if (rc == 0 && p->user.uid)
		rc = check_cwd(p->cwd, err);
	if (rc == 0 && p->no_new_privileges)
		rc = load_seccomp(ctx, err);
	return rc;
}

int process_exec(const struct process_ctx *ctx, struct error *err)
{
	struct exec_arg arg = {.argv = ctx->process->args};
	char **env = make_env(ctx);
	int rc;

	if (!env)
		return error_oom(err);
	arg.env = env;
	/* Whatever the caller of nsrun left open is not the container's. Before the filter, which need not allow it. */
	if (syscall(SYS_close_range, 3 + ctx->keep_fds, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
		return error_sys(err, "cannot mark descriptors close-on-exec");
	/* Not earlier: what else is executed on the way here, hooks, would be confined by it. */
	rc = apparmor_apply(ctx->process->apparmor_profile, err);
	if (rc == 0)
		rc = lose_rights(ctx, err);
	return rc < 0 ? rc : search_program(ctx->process, attempt_exec, &arg, err);
}
