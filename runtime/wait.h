/* Waiting for a process that runs in the foreground: container_wait() and `exec`. */
#ifndef WAIT_H
#define WAIT_H

#include <sys/types.h>

struct error;

/* Until the child ends, passes signals on to it (container_block_signals() came before it was made) and relays its
 * terminal (a pty's master, taken over; -1: none) and its supervisor's reports (notify.h; taken over; -1: none). Reaps all
 * other children that end. Exit status as a shell gives it. */
int wait_process(pid_t pid, int pidfd, int terminal, int report, struct error *err);

#endif
