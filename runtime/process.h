/* From a configured process to execve(): rlimits, user, capabilities, no_new_privs, environment, working directory.
 * Shared by the container's first process, `exec` and services. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "spec.h"

struct error;
struct seccomp_program;

struct process_ctx {
	const struct spec_process *process;
	const struct seccomp_program *seccomp; /* NULL: none */
	bool setgroups_denied;	/* in a user namespace without the right to set groups */
	bool user_namespace;	/* in one that is not nsrun's: files of nsrun's caller are not given away */
	int keep_fds;		/* descriptors 3 .. 3+keep_fds-1 stay open in the program */
	char **extra_env;	/* NAME=value, after process.env */
	bool oom_score_adj_set; /* the parent has done it: inside a user namespace the right is missing */
	bool make_cwd;		/* a working directory that is missing is made */
	/* Takes the descriptor of a filter that notifies (closed afterwards). NULL: such a filter is an error. */
	int (*listener)(void *arg, int fd, struct error *err);
	void *listener_arg;
};

/* oom_score_adj of another process, through the caller's /proc. What may not be granted is a warning. */
int process_set_oom_score_adj(const struct spec_process *p, int pid, struct error *err);
/* Finds args[0] as process_exec() will, in the caller's root: 0, or its error. For telling at `create`. */
int process_check_program(const struct spec_process *p, struct error *err);

/* What must be done while still privileged: oom_score_adj, rlimits, umask, working directory, session. */
int process_prepare(const struct process_ctx *ctx, struct error *err);
/* AppArmor profile, bounding set, ids, capabilities, no_new_privs, seccomp, in the order that loses no right too early; then marks
 * every other descriptor close-on-exec and executes. Returns only on failure: -ENOENT "exec NAME: executable file not
 * found in $PATH" / "no such file or directory", -EACCES "permission denied", which clients match. */
int process_exec(const struct process_ctx *ctx, struct error *err);

/* apparmor.c: has the next execve(2) change to the profile; NULL or "": nothing to do. The error says whether AppArmor or
 * the profile is missing. */
int apparmor_apply(const char *profile, struct error *err);
/* The same error, and nothing is changed. For telling at `create`. */
int apparmor_check(const char *profile, struct error *err);

/* caps.c: the five sets; unknown or ungrantable ones are warnings (runtime-spec config.md). */
int caps_apply_bounding(const struct spec_capabilities *c, struct error *err);
int caps_apply(const struct spec_capabilities *c, struct error *err);
/* True when the caller has it, in its own user namespace. */
bool caps_has(int cap);
/* Number of "CAP_NET_ADMIN", -1: unknown. */
int caps_number(const char *name);
extern const struct word caps_words[]; /* in the order of their numbers */

#endif
