/* Running another program: hooks, plugins, delegates, helpers. */
#ifndef SPAWN_H
#define SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct error;

struct spawn {
	const char *path;   /* absolute; not searched in PATH (spawn_find() does) */
	char *const *argv;  /* NULL: {path} */
	char *const *env;   /* NULL: the caller's own */
	const char *input;  /* stdin; NULL: /dev/null */
	size_t input_len;
	struct buf *output; /* collects stdout (at most 1 MiB); NULL: /dev/null, or stderr's */
	bool output_to_stderr;
	struct buf *errors; /* collects stderr (the last 4 KiB); NULL: inherited */
	uint64_t timeout_ms; /* 0: none; then SIGKILL and -ETIMEDOUT */
	int netns_fd;	    /* with use_netns: the network namespace it runs in */
	bool use_netns;
	int keep_fd;	    /* with use_keep_fd: stays open in it, under the same number: a lock that is held until it ends */
	bool use_keep_fd;
	const char *cwd;    /* NULL: the caller's */
};

/* Runs it and waits. *ret_status is waitpid(2)'s. 0, or a negative code when it could not be run at all (ENOENT,
 * EACCES ... as execve(2)) or timed out. All signals are default and unblocked in it; only 0, 1, 2 and keep_fd are open. */
int spawn_run(const struct spawn *s, int *ret_status, struct error *err);

/* The program's absolute path: name itself if it has a '/', else searched in `path` (NULL: $PATH, else
 * the system's default). NULL when there is none that can be executed. Caller owns it. */
char *spawn_find(const char *name, const char *path);

/* "exited with status 3", "was killed by signal 9 (KILL)": for messages. */
enum { SPAWN_STATUS_SIZE = 64 };
const char *spawn_status(int status, char out[SPAWN_STATUS_SIZE]);

/* For a function that runs on a stack of its own after clone(2), of which the address sanitizer would complain. */
#define ON_OWN_STACK __attribute__((no_sanitize_address))

/* Every signal to its default action and unblocked, as a program expects to start, whatever the caller ignored. */
void signals_default(void);

/* Signal names without SIG ("TERM", "RTMIN+3"); number from "TERM", "SIGTERM", "15", case ignored. -1 / NULL: none. */
int signal_number(const char *name);
const char *signal_name(int signo);

#endif
