#include "ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "process.h"
#include "spec.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

const struct ns_info ns_info[NS_KINDS] = {
	[NS_USER] = {"user", "user", CLONE_NEWUSER},
	[NS_CGROUP] = {"cgroup", "cgroup", CLONE_NEWCGROUP},
	[NS_IPC] = {"ipc", "ipc", CLONE_NEWIPC},
	[NS_UTS] = {"uts", "uts", CLONE_NEWUTS},
	[NS_NET] = {"network", "net", CLONE_NEWNET},
	[NS_PID] = {"pid", "pid", CLONE_NEWPID},
	[NS_TIME] = {"time", "time", CLONE_NEWTIME},
	[NS_MOUNT] = {"mount", "mnt", CLONE_NEWNS},
};

/* --- the plan ----------------------------------------------------------------------------------------------- */

/* True when fd is the caller's own namespace of that kind. */
static bool is_own(int fd, enum ns_kind kind)
{
	struct stat ours, theirs;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_info[kind].proc);
	return stat(path, &ours) == 0 && fstat(fd, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

static int open_join(const struct spec_namespace *n, struct error *err)
{
	enum ns_kind kind = (enum ns_kind)n->kind;
	auto_close int fd = open(n->path, O_RDONLY | O_CLOEXEC);
	int type;

	if (fd < 0)
		return error_sys(err, "cannot open the %s namespace %s", ns_info[kind].word, n->path);
	type = ioctl(fd, NS_GET_NSTYPE);
	if (type != ns_info[kind].flag)
		return error_set(err, EINVAL, "cannot join %s: it is not a %s namespace", n->path, ns_info[kind].word);
	return take_fd(&fd);
}

static int plan_one(const struct spec_namespace *n, struct ns_plan *p, struct error *err)
{
	enum ns_kind kind = (enum ns_kind)n->kind;
	int fd;

	if (n->path && *n->path) {
		fd = open_join(n, err);
		if (fd < 0)
			return fd;
		/* setns(2) refuses the caller's own user namespace, and joining any other of one's own does nothing. */
		if (is_own(fd, kind))
			close_fd(&fd);
		p->join[kind] = fd;
		return 0;
	}
	if (kind == NS_CGROUP)
		p->unshare_cgroup = true;
	else
		p->clone_flags |= (unsigned)ns_info[kind].flag;
	p->new_user |= kind == NS_USER;
	return 0;
}

int ns_plan_make(const struct spec *s, struct ns_plan *ret, struct error *err)
{
	bool joins = false;

	*ret = (struct ns_plan){0};
	for (int i = 0; i < NS_KINDS; i++)
		ret->join[i] = -1;
	for (size_t i = 0; i < s->linux_.n_namespaces; i++) {
		int rc = plan_one(&s->linux_.namespaces[i], ret, err);

		if (rc < 0) {
			ns_plan_close(ret);
			return rc;
		}
	}
	for (int i = 0; i < NS_KINDS; i++)
		joins |= ret->join[i] >= 0;
	ret->needs_stage = ret->join[NS_PID] >= 0 || ret->join[NS_USER] >= 0 || (ret->new_user && joins);
	return 0;
}

void ns_plan_close(struct ns_plan *p)
{
	for (int i = 0; i < NS_KINDS; i++)
		close_fd(&p->join[i]);
}

int ns_check_rights(const struct ns_plan *p, struct error *err)
{
	bool any = p->clone_flags || p->unshare_cgroup;

	for (int i = 0; i < NS_KINDS; i++)
		any |= p->join[i] >= 0;
	if (!any || p->new_user || p->join[NS_USER] >= 0 || caps_has(CAP_SYS_ADMIN))
		return 0;
	return error_set(err, EPERM, "linux.namespaces: without root (CAP_SYS_ADMIN) a container needs a user namespace: add "
			 "{\"type\": \"user\"} with linux.uidMappings and linux.gidMappings, as `nsrun spec --rootless` does, or "
			 "run nsrun as root");
}

bool ns_is_private(const struct ns_plan *p, enum ns_kind kind)
{
	return p->clone_flags & (unsigned)ns_info[kind].flag || p->join[kind] >= 0 ||
	       (kind == NS_CGROUP && p->unshare_cgroup);
}

uint64_t ns_flags(const struct spec *s)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < s->linux_.n_namespaces; i++)
		flags |= (unsigned)ns_info[s->linux_.namespaces[i].kind].flag;
	return flags;
}

bool ns_in_userns(void)
{
	auto_close int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	unsigned inside, outside, count;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	return sscanf(text, "%u %u %u", &inside, &outside, &count) != 3 || inside || outside || count != UINT32_MAX;
}

/* --- joining ------------------------------------------------------------------------------------------------ */

static int join_failed(enum ns_kind kind, struct error *err)
{
	if (errno == EPERM && kind != NS_USER)
		return error_set(err, EPERM, "cannot join the %s namespace: it belongs to another user namespace: join that by path "
				 "as well, or run nsrun as root", ns_info[kind].word);
	return error_sys(err, "cannot join the %s namespace", ns_info[kind].word);
}

/* The host's root can join everything before it gives its rights up to a user namespace. Whoever is not root on the host
 * has the rights only once it is in the user namespace. So what was refused is tried again there. */
int ns_join(const struct ns_plan *p, struct error *err)
{
	bool refused[NS_KINDS] = {false};

	for (int i = 0; i < NS_KINDS; i++) {
		if (i == NS_USER || p->join[i] < 0 || setns(p->join[i], ns_info[i].flag) == 0)
			continue;
		if (errno != EPERM || p->join[NS_USER] < 0)
			return join_failed((enum ns_kind)i, err);
		refused[i] = true;
	}
	if (p->join[NS_USER] < 0)
		return 0;
	if (setns(p->join[NS_USER], CLONE_NEWUSER) < 0)
		return join_failed(NS_USER, err);
	for (int i = 0; i < NS_KINDS; i++)
		if (refused[i] && setns(p->join[i], ns_info[i].flag) < 0)
			return join_failed((enum ns_kind)i, err);
	return 0;
}
