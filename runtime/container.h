/* A container as nsrun sees it from outside: its directory, its state, its configuration. The parent's side of
 * creating and starting; init.h is the child's. */
#ifndef CONTAINER_H
#define CONTAINER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "spec.h"
#include "state.h"

struct error;

/* Global options, filled by main. */
struct globals {
	const char *root; /* the state root, /run/nsrun */
	bool root_given;
	const char *log, *log_format;
	bool debug, systemd_cgroup;
	const char *cgroup_manager; /* "cgroupfs" (default), "systemd", "disabled" */
	const char *rootless;
};
extern struct globals globals;

struct container {
	char *id;
	int dir_fd;  /* root/ID */
	int lock_fd; /* held exclusively by whoever changes the container */
	struct state state;
	struct spec spec;   /* loaded on demand for an existing container */
	bool has_spec;
	int pidfd; /* of init; -1 when there is none (any more) */
	int start_fd; /* run: the start channel of a container that this process has created; -1 otherwise */
	int terminal; /* run: the master of its pty; -1 otherwise */
	int report; /* run: what the supervisor tells (notify.h); -1 otherwise */
	bool building; /* run: its init has been made and is told to start as soon as it is ready */
};

/* What create and run are asked for. */
struct create_options {
	const char *bundle; /* NULL: "." */
	const char *console_socket, *pidfd_socket, *pid_file;
	char **net; /* IFNAME=FILE */
	uint32_t preserve_fds;
	bool no_pivot, no_new_keyring, no_subreaper;
	bool detach, keep; /* run */
	bool run;	   /* set by run: this process also starts the container */
	bool foreground;   /* set by run: this process stays until the container ends */
};

/* Creates the container: on success it is "created" and c is open. On failure nothing of it is left on the host. */
int container_create(struct container *c, const char *id, const struct create_options *o, struct error *err);
/* Starts a created container; a program that cannot be executed is the error of this call. */
int container_start(struct container *c, struct error *err);
/* Blocks the signals that container_wait() will pass on, so that none is lost before; init unblocks them. */
int container_block_signals(struct error *err);
/* Waits for a container of this process; relays signals and the terminal. Exit status as a shell gives it (128 + signal). */
int container_wait(struct container *c, struct error *err);
/* Removes everything the container made: processes (force), attachments, netns name, mounts, cgroups, directory. Works on
 * what any killed nsrun left behind. poststop hooks run once. */
int container_delete(struct container *c, bool force, struct error *err);

/* Opens an existing container, with its state brought up to date; lock: wait for and hold the lock. -ENOENT:
 * "container ID does not exist". */
int container_open(struct container *c, const char *id, bool lock, struct error *err);
/* Loads the configuration that the container was created with. */
int container_load_spec(struct container *c, struct error *err);
void container_close(struct container *c);
#define auto_container __attribute__((cleanup(container_close)))
#define CONTAINER_INIT {.dir_fd = -1, .lock_fd = -1, .pidfd = -1, .start_fd = -1, .terminal = -1, .report = -1}

/* Takes the lock of an open container. -ENOENT when it was deleted meanwhile. */
int container_lock(struct container *c, struct error *err);

/* container_pause.c. Until the freezer has all processes, for a bounded time. The caller holds the lock. -ESRCH, -EBUSY
 * "container not running", -EINVAL "container not paused", -ENOTSUP: no cgroup to do it with. */
int container_pause(struct container *c, struct error *err);
int container_resume(struct container *c, struct error *err);

/* container_update.c. Sets the limits that `asked` names; its device rules are left out. The caller holds the lock. -ESRCH
 * "container not running". */
int container_update(struct container *c, const struct spec_resources *asked, struct error *err);

/* container_kill.c. To init, or (all) to every process; -ESRCH "container not running". SIGKILL also reaches what a
 * container without a pid namespace leaves behind. */
int container_kill(struct container *c, int signo, bool all, struct error *err);
/* The pids of all processes, by cgroup, by pid namespace, or (without both) init and its descendants. *ret is an
 * allocation of the caller's. Number or negative. */
int container_pids(struct container *c, pid_t **ret, struct error *err);
/* Ends everything, and waits until init has ended. */
int container_kill_all(struct container *c, struct error *err);

#endif
