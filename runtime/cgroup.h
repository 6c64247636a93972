/* Control groups of a container: version 1, hybrid and 2 by the file system. Nothing is done that nobody asked for:
 * without cgroupsPath and resources a container stays where its creator is. */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "spec.h"

struct error;

struct cgroup_dir {
	char *path;	   /* absolute: /sys/fs/cgroup/pids/ID */
	unsigned controllers; /* bits of the table in cgroup.c */
};

struct cgroup {
	bool v2;	 /* dirs[0] is in the unified hierarchy and there is no other */
	size_t n;
	struct cgroup_dir dirs[16];
	int dir_fd;	 /* v2: for CLONE_INTO_CGROUP; -1 otherwise */
	int limits_shown; /* reserved for the limits table */
};

/* Decides on the directories (nothing is made). n is 0 when no cgroup work is asked for. id names the default path. */
int cgroup_plan(const struct spec *s, const char *id, const char *manager, struct cgroup *ret, struct error *err);
/* Makes the directories (a populated one is refused: "container's cgroup is not empty") and writes the limits. */
int cgroup_make(struct cgroup *c, const struct spec *s, struct error *err);
/* Moves a process into all of them (not needed with CLONE_INTO_CGROUP). */
int cgroup_join(const struct cgroup *c, pid_t pid, struct error *err);
/* The plan again from state.json's paths. */
int cgroup_from_paths(char *const *paths, struct cgroup *ret, struct error *err);
/* Sends a signal to every process in it; SIGKILL: until none is left. */
int cgroup_kill(const struct cgroup *c, int signo, struct error *err);
int cgroup_freeze(const struct cgroup *c, bool frozen, struct error *err);
bool cgroup_is_frozen(const struct cgroup *c);
/* Pids of all processes in it; *ret is an allocation of the caller's. Number or negative. */
int cgroup_pids(const struct cgroup *c, pid_t **ret, struct error *err);
/* Removes the directories with what containers made beneath; missing ones are success. */
int cgroup_remove(const struct cgroup *c, struct error *err);
void cgroup_close(struct cgroup *c);

/* cgroup_limits.c: table of runtime-spec property -> file, both versions. */
int cgroup_limits(const struct cgroup *c, const struct spec_resources *r, struct error *err);
/* cgroup_dev.c: the eBPF program for v2. */
int cgroup_devices_v2(int dir_fd, const struct spec_resources *r, struct error *err);

#endif
