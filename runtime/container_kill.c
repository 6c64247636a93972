/* The processes of a container: finding them, signalling them, ending them. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "fs.h"

enum { KILL_PATIENCE_MS = 10000, KILL_ROUNDS = 100 };

/* --- finding ------------------------------------------------------------------------------------------------ */

struct pids {
	pid_t *list;
	size_t n, cap;
};

static int add_pid(struct pids *p, pid_t pid)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 32;
		pid_t *grown = realloc(p->list, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		p->list = grown;
		p->cap = cap;
	}
	p->list[p->n++] = pid;
	return 0;
}

enum { NS_NAME_SIZE = 64 };

/* "net:[4026531840]"; empty when the process has ended. */
static const char *namespace_of(const char *pid, enum ns_kind kind, char out[NS_NAME_SIZE])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, ns_info[kind].proc);
	n = readlink(path, out, NS_NAME_SIZE - 1);
	out[n < 0 ? 0 : n] = '\0';
	return out;
}

/* All processes that are in init's namespace of that kind. Init has to be alive, so that the namespace is its own. */
static int pids_in_namespace(const struct container *c, enum ns_kind kind, struct pids *ret, struct error *err)
{
	char wanted[NS_NAME_SIZE], found[NS_NAME_SIZE], self[16];
	auto_closedir DIR *proc = opendir("/proc");
	struct dirent *e;

	if (!proc)
		return error_sys(err, "cannot list /proc");
	snprintf(self, sizeof(self), "%d", c->state.pid);
	namespace_of(self, kind, wanted);
	while (*wanted && (e = readdir(proc))) {
		if (!isdigit((unsigned char)e->d_name[0]) || strcmp(namespace_of(e->d_name, kind, found), wanted) != 0)
			continue;
		if (add_pid(ret, (pid_t)atoi(e->d_name)) < 0)
			return error_oom(err);
	}
	return 0;
}

static int add_children(struct pids *p, pid_t pid, struct error *err)
{
	auto_free char *path = str_printf("/proc/%d/task/%d/children", pid, pid), *text = NULL;
	char *at, *end;

	if (!path)
		return error_oom(err);
	if (fs_read_at(AT_FDCWD, path, 1 << 20, &text, NULL, NULL) < 0)
		return 0; /* it has ended */
	for (at = text; strtol(at, &end, 10) > 0; at = end)
		if (add_pid(p, (pid_t)strtol(at, NULL, 10)) < 0)
			return error_oom(err);
	return 0;
}

static int descendants(const struct container *c, struct pids *ret, struct error *err)
{
	if (add_pid(ret, c->state.pid) < 0)
		return error_oom(err);
	for (size_t i = 0; i < ret->n; i++) {
		int rc = add_children(ret, ret->list[i], err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int cgroup_of(const struct container *c, struct cgroup *ret, struct error *err)
{
	if (!c->state.cgroups || !c->state.cgroups[0])
		return 0;
	return cgroup_from_paths(c->state.cgroups, c->state.unit, ret, err) < 0 ? -1 : 1;
}

int container_pids(struct container *c, pid_t **ret, struct error *err)
{
	struct cgroup cg;
	struct pids p = {0};
	int rc = cgroup_of(c, &cg, err);

	if (rc > 0) {
		rc = cgroup_pids(&cg, ret, err);
		cgroup_close(&cg);
		return rc;
	}
	if (rc == 0 && c->pidfd >= 0)
		rc = c->state.no_pid_namespace ? descendants(c, &p, err) : pids_in_namespace(c, NS_PID, &p, err);
	if (rc < 0) {
		free(p.list);
		return rc;
	}
	*ret = p.list;
	return (int)p.n;
}

/* --- signalling --------------------------------------------------------------------------------------------- */

static int signal_all(struct container *c, int signo, struct error *err)
{
	auto_free pid_t *list = NULL;
	struct cgroup cg;
	int n = cgroup_of(c, &cg, err);

	if (n > 0) {
		n = cgroup_kill(&cg, signo, err);
		cgroup_close(&cg);
		return n;
	}
	n = n < 0 ? n : container_pids(c, &list, err);
	for (int i = 0; i < n; i++)
		kill(list[i], signo);
	return n < 0 ? n : 0;
}

static void thaw(struct container *c)
{
	struct cgroup cg;

	if (c->state.status != STATUS_PAUSED || cgroup_of(c, &cg, NULL) <= 0)
		return;
	(void)cgroup_freeze(&cg, false, NULL);
	cgroup_close(&cg);
}

int container_kill(struct container *c, int signo, bool all, struct error *err)
{
	int rc;

	if (c->pidfd < 0)
		return all ? 0 : error_set(err, ESRCH, "container not running");
	if (all || (signo == SIGKILL && c->state.no_pid_namespace)) {
		rc = signal_all(c, signo, err);
		if (rc < 0)
			return rc;
	}
	if (!all && pidfd_send_signal(c->pidfd, signo, NULL, 0) < 0)
		return errno == ESRCH ? error_set(err, ESRCH, "container not running") :
					error_sys(err, "cannot signal container %s", c->id);
	/* A frozen process does not even die (cgroup v1). */
	if (signo == SIGKILL)
		thaw(c);
	return 0;
}

/* --- ending ------------------------------------------------------------------------------------------------- */

/* A kind of namespace that only the container's processes are in. Not the network's: it may be pinned, and who enters it by
 * name (ip netns exec) is not of the container. */
static int own_kind(const struct container *c)
{
	static const enum ns_kind kinds[] = {NS_MOUNT, NS_UTS, NS_IPC};

	for (size_t i = 0; c->has_spec && i < ARRAY_SIZE(kinds); i++) {
		const struct spec_namespace *n = spec_namespace(&c->spec, kinds[i]);

		if (n && str_empty(n->path))
			return (int)kinds[i];
	}
	return -1;
}

/* Without a pid namespace init's end is not everybody's. Init is stopped, not killed, until all others are gone: it keeps
 * the namespace that they are known by. */
static void kill_companions(struct container *c)
{
	int kind = own_kind(c);

	if (kind < 0)
		return;
	(void)pidfd_send_signal(c->pidfd, SIGSTOP, NULL, 0);
	for (int round = 0; round < KILL_ROUNDS; round++) {
		struct pids p = {0};
		bool others = false;

		(void)pids_in_namespace(c, (enum ns_kind)kind, &p, NULL);
		for (size_t i = 0; i < p.n; i++) {
			if (p.list[i] == c->state.pid || state_start_time(p.list[i]) == 0)
				continue;
			kill(p.list[i], SIGKILL);
			others = true;
		}
		free(p.list);
		if (!others)
			return;
		usleep(1000);
	}
}

static int wait_for_end(struct container *c, struct error *err)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, KILL_PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return 0;
	return error_set(err, EBUSY, "the init process %d of container %s does not end, though it was killed: it waits for "
			 "something in the kernel (see /proc/%d/stack)", c->state.pid, c->id, c->state.pid);
}

int container_kill_all(struct container *c, struct error *err)
{
	struct cgroup cg;
	int rc;

	if (c->pidfd >= 0) {
		bool cgroups = c->state.cgroups && c->state.cgroups[0];

		if (c->state.no_pid_namespace && !cgroups)
			kill_companions(c);
		if (pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
			return error_sys(err, "cannot kill container %s", c->id);
		thaw(c);
		rc = wait_for_end(c, err);
		if (rc < 0)
			return rc;
		close_fd(&c->pidfd);
	}
	/* A container that never had a process has none there: who is in that cgroup is somebody else's. */
	if (!c->state.no_pid_namespace || !c->state.pid)
		return 0;
	rc = cgroup_of(c, &cg, err);
	if (rc <= 0)
		return rc;
	rc = cgroup_kill(&cg, SIGKILL, err);
	cgroup_close(&cg);
	return rc;
}
