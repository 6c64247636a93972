/* What the parts of container_create() share. container_create.c prepares and records, container_spawn.c makes the
 * process and talks to it. */
#ifndef CREATE_H
#define CREATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "cgroup.h"
#include "init.h"
#include "ns.h"

struct container;
struct create_options;
struct error;
struct seccomp_program;
struct services;

/* What create holds while it works; none of it is a trace on the host. */
struct creation {
	struct container *c;
	const struct create_options *o;
	char *bundle; /* absolute */
	int bundle_fd;
	struct ns_plan plan;
	struct cgroup cgroup;
	struct seccomp_program *seccomp;
	struct services *services;
	struct init_ctx init; /* of the child; also holds what the parent opens for it */
	int sync;	      /* the parent's end */
	bool listening;	      /* start.sock is there */
	bool built;	      /* hooks may have run, so poststop hooks have to */
	bool attached;	      /* there is something to detach */
};

/* Makes init (through the stage if need be) with everything that the parent does meanwhile, and waits until it is
 * ready. */
int container_spawn(struct creation *cr, struct error *err);
/* Init ended without a word: reaps it, and makes an error of what became of it. */
int container_init_died(struct container *c, struct error *err);
/* Kills init, if there is one, and reaps it. */
void container_spawn_undo(struct creation *cr);

/* Receives messages until the other side is ready, or (ready before or not) its end tells that the program runs; does
 * what they ask for. -EPIPE: it ended before it was ready. */
enum sync_until { UNTIL_READY, UNTIL_RUNNING, UNTIL_READY_AND_RUNNING };
int container_converse(struct container *c, int sock, const char *console_socket, enum sync_until until,
		       struct error *err);

/* A terminal that is relayed to another one must not make two characters of a newline: that one does. In effect before
 * the program can write to it. */
int container_clear_onlcr(int fd, struct error *err);

/* What both a failed create and delete do: everything that the state names is taken back, poststop hooks run, and the
 * directory goes, unless something could not be taken back. */
int container_take_back(struct container *c, bool poststop, struct error *err);

/* The name of a container's start socket as an address that fits whatever the root's length. */
struct sockaddr_un;
void container_start_address(const struct container *c, struct sockaddr_un *ret);

#endif
