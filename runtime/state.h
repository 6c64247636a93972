/* The state root and a container's directory in it. specs/state.md is the contract.
 *
 *    ROOT/ID/state.json   written before anything is made on the host, and again at every change of status
 *    ROOT/ID/config.json  the configuration as it was at creation
 *    ROOT/ID/lock         flock(2)ed by whoever changes the container; also held by init until it is created
 *    ROOT/ID/start.sock   listens while the container is "created"
 *    ROOT/ID/services.sock, ROOT/ID/log/   with services
 *
 * Whatever nsrun makes on the host is either named in state.json before it is made, or found by a name that follows
 * from the id, so `delete --force` can undo the work of a process killed at any instruction. */
#ifndef STATE_H
#define STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "json.h"

struct error;

/* What leads out of each:
 *   creating: create finishes (created), or fails or is killed (the directory goes, or delete --force removes it)
 *   created:  start (running), delete (gone)
 *   running:  pause (paused), the process ends (stopped)
 *   paused:   resume (running)
 *   stopped:  delete (gone); poststop hooks have not run yet */
enum status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };

struct state {
	const char *oci_version, *id, *bundle, *rootfs, *created, *owner;
	int status;	     /* as saved; state_refresh() turns it into what is so */
	int32_t pid;	     /* init, in nsrun's pid namespace; 0: none */
	uint64_t start_time; /* field 22 of /proc/PID/stat: tells the process from a later one of that pid */
	struct json_map annotations;
	/* Made on the host. */
	char **cgroups;	     /* cgroup_from_paths() understands them (cgroup.h) */
	const char *unit;    /* with the systemd driver: the name of its scope */
	const char *netns_name; /* pinned in /run/netns */
	uint64_t netns_inode;	/* the namespace's own, saved before it is pinned: what has another is somebody else's */
	char **attachments;  /* interface names, in the order made */
	bool has_services;
	bool no_pid_namespace; /* processes must be found by cgroup, or are init's alone */
	struct json_doc *doc;
};

extern const struct json_type state_type;
extern const struct word status_words[]; /* "creating" ... */

/* The id's rule: [A-Za-z0-9_+.-]+, not "." nor ".."; at most 1024 bytes. -EINVAL. */
int state_check_id(const char *id, struct error *err);

/* Opens the state root, making it (0700 plus sticky) if `make`. */
int state_open_root(bool make, struct error *err);
int state_load(struct state *s, int dir_fd, const char *id, struct error *err);
int state_save(const struct state *s, int dir_fd, struct error *err);
void state_free(struct state *s);

/* Looks at the process (and the freezer) and sets status; returns a pidfd of init, or -1. A container whose creator died
 * half-way (nobody holds the lock) counts as stopped; with `locked` the caller holds it. */
int state_refresh(struct state *s, int dir_fd, bool locked);
/* Field 22 of /proc/PID/stat; 0 when there is no such process, or only a zombie. */
uint64_t state_start_time(pid_t pid);

/* The state as the runtime-spec defines it, for hooks (pid as the hook sees it) and for `state`. */
struct buf;
void state_write_oci(struct buf *b, const struct state *s, const char *status, int32_t pid, int indent);

#endif
