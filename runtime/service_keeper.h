/* The keeper: a small process between the supervisor and a program. It is the program's subreaper, so whatever the
 * program starts, however it daemonises, stays its descendant and can be found and killed; and when the supervisor
 * dies, even by SIGKILL, it kills them all. It also enters the namespaces that differ from the container's.
 *
 *    keeper                                    supervisor
 *    KEEPER_MOUNTS  two descriptors        ->  the private mount namespace it made, and the root in it
 *    KEEPER_RUNS    pid                    ->  the program was executed
 *    KEEPER_FAILED  code, text             ->  it was not; the keeper ends
 *    KEEPER_ENDED   wait status            ->  the program has ended; what it left behind may live on
 *                                          <-  KEEPER_SIGNAL     to the program
 *                                          <-  KEEPER_SIGNAL_ALL to every descendant; SIGKILL: until none is left
 *
 * The keeper ends when it has no descendants. EOF on its side means that the supervisor is gone: it kills them. EOF on
 * the supervisor's side says nothing that SIGCHLD does not say better. */
#ifndef SERVICE_KEEPER_H
#define SERVICE_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct error;
struct seccomp_program;
struct spec_process;

enum keeper_type { KEEPER_MOUNTS, KEEPER_RUNS, KEEPER_FAILED, KEEPER_ENDED, KEEPER_SIGNAL, KEEPER_SIGNAL_ALL };

struct keeper_msg {
	int type, value;
	char text[1024];
};

/* Descriptors are borrowed; -1: none. */
struct keeper_job {
	const char *name; /* the service's */
	const struct spec_process *process;
	const struct seccomp_program *seccomp;
	bool setgroups_denied;
	char **extra_env;
	char *const *private_dirs; /* to be mounted over; NULL with mount_ns */
	int sock, proc, null, out, err;
	int notify, notify_number;
	int netns, mount_ns, mount_root, lock;
};

/* 0 or -errno. fds (two, or NULL) go along. */
int service_keeper_send(int sock, const struct keeper_msg *m, const int *fds);
/* 1, 0 at the end, or -errno (-EAGAIN). ret_fds: two, -1 when none came; the caller owns them. */
int service_keeper_receive(int sock, struct keeper_msg *ret, int ret_fds[2]);

/* The keeper's life, in a process of its own with all signals blocked. */
_Noreturn void service_keeper_run(const struct keeper_job *job);

/* Closes every descriptor above 2 that is not listed; sorts the list. 2 must be in it, -1 is skipped. */
void service_keeper_close_others(int *keep, size_t n);

/* service_tree.c: signals every descendant of the process, found in the procfs, but those of the list (NULL: none) and
 * what is below them. Returns how many. */
struct service_tree_spare {
	const pid_t *pids;
	size_t n;
};
int service_tree_signal(int proc_fd, pid_t root, const struct service_tree_spare *spare, int signo);

#endif
