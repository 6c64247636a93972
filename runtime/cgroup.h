/* Control groups of a container: version 1, hybrid and 2 by the file system. Nothing is done that nobody asked for:
 * without cgroupsPath and resources a container stays where its creator is. */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "spec.h"

struct error;

struct cgroup_dir {
	char *path;	   /* absolute: /sys/fs/cgroup/pids/ID. With a '/' at its end: see `parent` */
	unsigned controllers; /* bits of the table in cgroup.c */
	bool parent; /* a directory above, which is not there yet: goes with the container if it is empty then */
	int join_fd; /* v1, after cgroup_make() or cgroup_open(): its "tasks", for cgroup_enter(); -1 otherwise */
};

struct cgroup {
	bool v2;	 /* dirs[0] is in the unified hierarchy and there is no other */
	bool devices;	 /* device rules belong to what is asked for */
	size_t n;	 /* the container's own come first, parents after them, in the order of removal */
	struct cgroup_dir dirs[64];
	int dir_fd;	 /* v2: for CLONE_INTO_CGROUP; -1 otherwise */
	char *unit;	 /* systemd's name of dirs[0]: "nsrun-ID.scope"; NULL with cgroupfs */
	struct cgroup_systemd *systemd; /* from a plan with the systemd driver (cgroup_systemd.h) */
};

/* Decides on the directories (nothing is made). n is 0 when no cgroup work is asked for. id names the default path.
 * A populated or frozen one is refused here, before anything is recorded that a roll-back could take for ours. manager:
 * NULL or "cgroupfs"; "systemd", which always makes one; "disabled" asks for nothing. */
int cgroup_plan(const struct spec *s, const char *id, const char *manager, struct cgroup *ret, struct error *err);
/* Makes the directories (or has systemd make its unit), writes limits and device rules, opens what joining needs. What it
 * made is removed again when it fails, but for the unit, which is then without a process. */
int cgroup_make(struct cgroup *c, const struct spec *s, struct error *err);
/* The container's init exists: what kept the place for it goes (systemd driver). */
int cgroup_settle(struct cgroup *c, const struct spec *s, pid_t init, struct error *err);
/* The calling process, which must have one thread only, moves itself into all of them (v1; nothing to do on v2, where
 * CLONE_INTO_CGROUP puts a new process into dir_fd). This is the way to use: a single thread that moves itself does
 * not wait for an RCU grace period, 40 us instead of 10 ms. The descriptors were opened by cgroup_make() or
 * cgroup_open(), so it works whatever namespaces and root the process has by then. */
int cgroup_enter(const struct cgroup *c, struct error *err);
/* Opens what cgroup_enter() and CLONE_INTO_CGROUP need, for an existing container's cgroups (exec). */
int cgroup_open(struct cgroup *c, struct error *err);
/* v2: has dir_fd be the sub-cgroup that the process is in. */
int cgroup_follow(struct cgroup *c, pid_t pid, struct error *err);
/* Moves another process into all of them; waits for a grace period. */
int cgroup_join(const struct cgroup *c, pid_t pid, struct error *err);
/* The plan again from state.json's paths and unit (NULL: there is none). */
int cgroup_from_paths(char *const *paths, const char *unit, struct cgroup *ret, struct error *err);
/* Sends a signal to every process in it; SIGKILL: until none is left. */
int cgroup_kill(const struct cgroup *c, int signo, struct error *err);
int cgroup_freeze(const struct cgroup *c, bool frozen, struct error *err);
bool cgroup_is_frozen(const struct cgroup *c);
/* Pids of all processes in it; *ret is an allocation of the caller's. Number or negative. */
int cgroup_pids(const struct cgroup *c, pid_t **ret, struct error *err);
/* Removes the directories with what containers made beneath, and the unit; missing ones are success. Populated ones are
 * waited for, for a bounded time, since processes that were killed need some to go. */
int cgroup_remove(const struct cgroup *c, struct error *err);
void cgroup_close(struct cgroup *c);

/* cgroup_limits.c: table of runtime-spec property -> file, both versions. */
int cgroup_limits(const struct cgroup *c, const struct spec_resources *r, struct error *err);
/* The same for a cgroup that is in use: what r does not name stays. Controllers that it lacks are enabled (v2). */
int cgroup_update(const struct cgroup *c, const struct spec_resources *r, struct error *err);
/* cgroup_dev.c: rules (r may be NULL) after denying everything, then what every container may have. v1: devices.deny
 * and devices.allow in the directory; v2: an eBPF program, replacing those that are attached. */
int cgroup_devices_v1(const char *dir, const struct spec_resources *r, struct error *err);
int cgroup_devices_v2(int dir_fd, const struct spec_resources *r, struct error *err);

/* cgroup_systemd.c: tells systemd the new limits of c->unit (which must not be NULL), those that it knows. It writes them
 * to the files itself; what it does not know remains to be written. */
int cgroup_systemd_update(const struct cgroup *c, const struct spec_resources *r, struct error *err);

#endif
