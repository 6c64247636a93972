/* A container's terminal: the pty that is opened inside the container, and what nsrun does with its master outside.
 *
 *    in the container                              nsrun
 *    terminal_open()    pty in its own devpts
 *    SYNC_CONSOLE with the master            ->    terminal_send() to --console-socket, or
 *    terminal_attach()  controlling, 0, 1, 2       terminal_relay_open() and a poll loop around it
 *
 * The master's other end is in the hands of the container: nothing read from it is trusted, and nothing here waits for
 * it. Ioctls only go to descriptors that were verified to be a pty of a devpts instance (CVE-2025-52565). */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct error;
struct spec_console_size;

/* --- inside --------------------------------------------------------------------------------------------------- */

struct terminal_request {
	int root_fd;				/* the container's root directory; AT_FDCWD: "/" */
	const struct spec_console_size *size;	/* NULL: as the kernel makes it */
	uid_t uid;				/* becomes the slave's owner */
	bool console;				/* also bind it over /dev/console (a mount namespace of its own) */
	bool foreground;			/* nsrun relays it: newlines stay as they are, the size is the caller's */
};

/* Opens a new pty in the container's dev/pts. Both descriptors are the caller's, close-on-exec. */
int terminal_open(const struct terminal_request *r, int *ret_master, int *ret_slave, struct error *err);
/* Makes the slave the controlling terminal of a new session (or of the caller's own) and descriptors 0, 1 and 2. */
int terminal_attach(int slave, struct error *err);

/* --- outside -------------------------------------------------------------------------------------------------- */

/* --console-socket is required for a detached process with a terminal, and forbidden otherwise. -EINVAL. */
int terminal_check_socket(bool terminal, bool detached, const char *console_socket, struct error *err);

/* Sends one descriptor with a payload to a listening stream socket, as --console-socket and --pidfd-socket want it. */
int terminal_send(const char *socket_path, const char *payload, int fd, struct error *err);
/* The same for a pty's master: the payload is the slave's name in the container. */
int terminal_send_master(const char *socket_path, int master, struct error *err);
/* Payloads of --pidfd-socket: a container's init, a process of `exec`. */
#define TERMINAL_PIDFD_INIT "standard"
#define TERMINAL_PIDFD_EXEC "setns"

/* Puts a terminal into raw mode, remembering how it was; terminal_restore() undoes it (also at exit(3), should the
 * caller not come to it). A descriptor that is no terminal is left alone: success. One terminal a process. */
int terminal_raw(int fd, struct error *err);
void terminal_restore(void);

/* Bytes on their way. */
struct terminal_buffer {
	size_t start, end;
	char data[8192];
};

/* The foreground relay: stdin -> master, master -> stdout. */
struct terminal_relay {
	int master;	     /* non-blocking */
	int in, out;	     /* -1: ended */
	bool open;
	bool out_owned;	     /* a non-blocking description of our own */
	bool out_socket;     /* non-blocking by MSG_DONTWAIT */
	bool out_waits;	     /* a write may wait: only after POLLOUT, and little */
	bool mid_line;	     /* the last byte sent in was no newline */
	struct sigaction old_sigpipe;
	struct terminal_buffer to_master, to_out;
};
#define TERMINAL_RELAY_INIT {.master = -1, .in = -1, .out = -1}
enum { TERMINAL_RELAY_FDS = 3 };

/* Takes the master, and makes the caller's terminal (if stdin is one) raw. SIGPIPE is ignored until the relay is closed.
 * When stdin ends, the container is told by its terminal's end-of-file character.
 * The master is closed on failure too. */
int terminal_relay_open(struct terminal_relay *r, int master, struct error *err);
/* Fills TERMINAL_RELAY_FDS entries for poll(2); those not of interest have fd -1. */
void terminal_relay_poll(const struct terminal_relay *r, struct pollfd fds[TERMINAL_RELAY_FDS]);
/* Moves what can be moved without waiting. 1: goes on; 0: the container has closed its side and all is written. */
int terminal_relay_step(struct terminal_relay *r, const struct pollfd fds[TERMINAL_RELAY_FDS]);
/* On SIGWINCH: the master gets the window size of the caller's terminal. */
void terminal_relay_resize(const struct terminal_relay *r);
/* Gives a pty the window size of the caller's terminal: the first of descriptors 0, 1, 2 that is one. */
void terminal_copy_size(int pty);
/* The container's process has ended: writes out what is left in the pty (waiting for stdout, not for the pty),
 * restores the caller's terminal and closes everything. Fine on TERMINAL_RELAY_INIT. */
void terminal_relay_close(struct terminal_relay *r);

#endif
