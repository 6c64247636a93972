/* Another process in a running container: `exec`. */
#ifndef EXEC_H
#define EXEC_H

#include <stdbool.h>
#include <stdint.h>

struct container;
struct error;

struct exec_options {
	const char *process; /* file with a process object; NULL: the container's own process, changed by what follows */
	const char *cwd, *user, *pid_file, *console_socket, *pidfd_socket, *apparmor, *process_label;
	char **env, **additional_gids, **caps, **cgroups;
	bool tty, detach, no_new_privs, ignore_paused;
	uint32_t preserve_fds;
};

/* Runs argv (NULL: as the process file says) in the open container. Exit status of the program (0 with detach), or a
 * negative code when it could not be run. */
int container_exec(struct container *c, const struct exec_options *o, char **argv, struct error *err);

/* "UID" or "UID:GID", decimal numbers and nothing else (CVE-2026-30892); *gid is left alone when there is none. */
int exec_parse_user(const char *text, uint32_t *uid, uint32_t *gid, struct error *err);

#endif
