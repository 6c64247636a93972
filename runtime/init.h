/* The child's side: everything between clone3() and execve(), as a table of steps run in order. */
#ifndef INIT_H
#define INIT_H

#include <stdbool.h>

#include "ns.h"
#include "spec.h"

struct cgroup;
struct container;
struct create_options;
struct error;
struct seccomp_program;
struct services;

struct init_ctx {
	const struct container *container;
	const struct spec *spec;
	const struct create_options *options;
	const struct ns_plan *plan;
	const struct seccomp_program *seccomp; /* NULL: none */
	const struct cgroup *cgroup;	       /* to enter; n is 0: none */
	struct services *services;	       /* NULL: none */
	const char *bundle;		       /* absolute */
	int bundle_fd;
	int sync;	  /* to the parent */
	int parent_fds[2]; /* to be closed at once: the parent's end, the state directory */
	int start_listen; /* listening start channel of `create`; -1: the sync socket is it */
	int root_fd;	  /* the root file system, O_PATH, since the step that opened it */
	int *mount_fds;	  /* one a mount, -1: none; NULL: none at all (rootfs_open_sources()) */
	int host_dev;	  /* root.path "/": the host's /dev, which a mount may cover; -1: none */
	int sysctl_proc;  /* the procfs for kernel parameters, between its two steps */
	int listen_fds;
	bool pivoted;	  /* paths are the container's now */
	bool setgroups_denied;
	bool by_user;	  /* nsrun has no rights on the host: an ordinary user runs it */
};

/* The rules for messages that not every container needs (sync.h): SYNC_ROOT, SYNC_GO. */
bool init_sends_root(const struct spec *s);
bool init_waits_go(const struct spec *s);
/* True when the start does not wait for SYNC_READY: `run` has nothing left to do between the two. */
bool init_starts_at_once(const struct spec *s, const struct create_options *o);

/* Life of the stage process (ns.h): joins, clones init (args: of its clone3(2)), tells the parent. */
struct clone_args;
_Noreturn void init_stage(struct init_ctx *ctx, struct clone_args *args);

/* Runs the steps; never returns. A failing step's name is put before its error, which goes to the parent. */
_Noreturn void init_main(struct init_ctx *ctx);

#endif
