/* Messages between nsrun and a container's init: one SOCK_SEQPACKET pair, one message struct, at most one descriptor
 * with it. specs/sync.md is the contract.
 *
 *    init (child)                              nsrun (parent)
 *    SYNC_PID       from the stage, with init's pidfd; only if there is a stage  ->
 *                                          <-  SYNC_MAPPED     id maps are written (a new user namespace)
 *    SYNC_ROOT      root is built, before it is entered (prestart or createRuntime hooks)  ->
 *                                          <-  SYNC_GO         netDevices, attachments, hooks are done (any of them)
 *    SYNC_CONSOLE   with the pty's master  ->  to --console-socket, or relayed
 *    SYNC_SECCOMP   with the notify fd     ->  to the listener socket
 *    SYNC_READY     all but exec is done   ->  the state is saved, with the pid (`run`: it was before, and START was sent)
 *                                          <-  SYNC_CREATED    `create`: from now on init outlives the parent
 *    then, on the start channel (this pair for `run`, a connection to start.sock for `create` + `start`):
 *                                          <-  SYNC_START      from now on init outlives whoever sent it
 *    EOF by close-on-exec: the program runs
 *    SYNC_LOG       level, text; any time  ->  the caller's log
 *    SYNC_ERROR     code, text; the last   ->  becomes the caller's struct error
 *
 * EOF before SYNC_READY means init died: the parent reaps it and says how. EOF before SYNC_CREATED (or SYNC_START, on
 * the start channel) means the parent died: init exits, and nothing is left. Messages that a container does not need
 * are never sent; both sides decide by the same rules (init.h). */
#ifndef SYNC_H
#define SYNC_H

#include <stdint.h>

#include "log.h"

struct error;

enum sync_type {
	SYNC_EOF, /* the other side closed; never sent */
	SYNC_PID,
	SYNC_MAPPED,
	SYNC_ROOT,
	SYNC_GO,
	SYNC_CONSOLE,
	SYNC_SECCOMP,
	SYNC_READY,
	SYNC_CREATED,
	SYNC_START,
	SYNC_LOG,
	SYNC_ERROR,
};

struct sync_msg {
	uint16_t type;	/* enum sync_type */
	uint16_t level; /* SYNC_LOG: enum log_level */
	int32_t code;	/* SYNC_ERROR: as in struct error; SYNC_PID: the pid */
	char text[1024];
};

/* A connected pair, close-on-exec. */
int sync_pair(int ret[2], struct error *err);

/* Sends type with a number; fd -1: no descriptor. 0 or negative (EPIPE when the other side is gone; no SIGPIPE). */
int sync_send(int sock, enum sync_type type, int32_t code, int fd, struct error *err);
int sync_send_log(int sock, enum log_level level, const char *text);
int sync_send_error(int sock, const struct error *e);

/* Receives one message; SYNC_EOF at the end. *ret_fd (may be NULL) is -1 or a descriptor that the caller owns. */
int sync_receive(int sock, struct sync_msg *ret, int *ret_fd, struct error *err);

/* Waits for that type, logging SYNC_LOG records; SYNC_ERROR becomes *err; EOF is -EPIPE. */
int sync_expect(int sock, enum sync_type type, struct sync_msg *ret, int *ret_fd, struct error *err);

/* For log_set_sink(): arg is the socket, cast to a pointer. */
void sync_log_sink(enum log_level level, const char *msg, void *arg);

const char *sync_name(enum sync_type type);

#endif
