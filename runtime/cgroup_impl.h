/* What the cgroup_*.c files share. */
#ifndef CGROUP_IMPL_H
#define CGROUP_IMPL_H

#include "cgroup.h"

struct buf;

#define CGROUP_ROOT "/sys/fs/cgroup"

enum cgroup_controller {
	CG_DEVICES = 1 << 0,
	CG_MEMORY = 1 << 1,
	CG_CPU = 1 << 2,
	CG_CPUACCT = 1 << 3,
	CG_CPUSET = 1 << 4,
	CG_PIDS = 1 << 5,
	CG_FREEZER = 1 << 6,
	CG_IO = 1 << 7,
	CG_SYSTEMD = 1 << 8, /* v1's named hierarchy without a controller */
	CG_HUGETLB = 1 << 9,
	CG_RDMA = 1 << 10,
	CG_MISC = 1 << 11,
	CG_NET_CLS = 1 << 12,
	CG_NET_PRIO = 1 << 13,
};

struct cgroup_controller_info {
	enum cgroup_controller bit;
	const char *v1; /* the directory below CGROUP_ROOT; NULL: none */
	const char *v2; /* in cgroup.controllers; NULL: part of the core, or none */
	bool usual;	/* joined when cgroupsPath is given: clients read it */
};
extern const struct cgroup_controller_info cgroup_controllers[];
enum { CGROUP_CONTROLLERS = 14 };

/* cgroup_limits.c. The controllers that resources name (v2: those that unified's keys name as well). */
unsigned cgroup_needs(const struct spec_resources *r, bool v2);
/* Writes one limit. The error names the property (below linux.resources), file and value, and ends with the hint (may be
 * NULL). */
int cgroup_set(const struct cgroup *c, const char *name, enum cgroup_controller bit, const char *file, const char *value,
	       const char *hint, struct error *err);
/* -ENOTSUP: the version has no such limit. */
int cgroup_no_such_limit(const struct cgroup *c, const char *name, struct error *err);
/* Parts of cgroup_limits() and of cgroup_needs(). */
int cgroup_blkio(const struct cgroup *c, const struct spec_block_io *b, struct error *err);
int cgroup_lists(const struct cgroup *c, const struct spec_resources *r, struct error *err);
unsigned cgroup_blkio_needs(const struct spec_block_io *b);
unsigned cgroup_list_needs(const struct spec_resources *r);
/* Calls visit() with the file and the text of every limit that would be written, cpu sets included. */
int cgroup_visit_limits(const struct cgroup *c, const struct spec_resources *r,
			void (*visit)(void *arg, const char *file, const char *text), void *arg, struct error *err);

/* Reads a small file of a directory as text without the last newline; -ENOENT is left to the caller (no text). */
int cgroup_read(const char *dir, const char *file, char *out, size_t size, struct error *err);
/* Writes one value. The error names file and value. */
int cgroup_write(const char *dir, const char *file, const char *value, struct error *err);
/* Appends the path of a process in the hierarchy of a controller ("": in the unified one), without a '/' at its end. */
int cgroup_path_of(pid_t pid, const char *controller, struct buf *out, struct error *err);
/* The directory of a controller, or NULL. */
const char *cgroup_dir(const struct cgroup *c, enum cgroup_controller bit);

/* cgroup_v1.c, cgroup_v2.c: makes one directory and its parents, ready for the limits. *ret_made: it was not there.
 * wanted: controllers that are taken if they can be had. */
int cgroup_v1_make(const struct cgroup_dir *d, bool *ret_made, struct error *err);
int cgroup_v2_make(const struct cgroup_dir *d, unsigned needed, unsigned wanted, bool *ret_made, struct error *err);
/* Gives the container's user what a sub-tree of his own needs, if the container is shown its cgroup writable. */
int cgroup_v2_delegate(int dir_fd, const struct spec *s, struct error *err);

/* cgroup_procs.c. Waits until something about the directory's processes changes, at most ms. */
void cgroup_wait(const char *dir, int ms);

#endif
