/* Root writes mappings itself. Anybody else may map nothing but the own id (user_namespaces(7)); the setuid programs
 * newuidmap(1) and newgidmap(1) write what /etc/subuid and /etc/subgid entitle them to.
 *
 * For id-mapped mounts there are user namespaces without a container. Such a one is born with a process, which is killed
 * once the mappings are written and the namespace is open.
 *
 * That process may have a number in /proc which its parent does not know (the parent may be in a pid namespace that
 * /proc does not belong to). So it opens its own directory of /proc, in the table of descriptors it shares with its
 * parent; and the parent writes through that, because the right to write mappings is the opener's. */
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "spawn.h"
#include "spec.h"
#include "str.h"

/* --- writing ------------------------------------------------------------------------------------------------ */

static int write_map(int proc, const char *file, const struct spec_id_map *maps, size_t n, struct error *err)
{
	auto_buf struct buf text = {0};
	int r;

	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%u %u %u\n", maps[i].container_id, maps[i].host_id, maps[i].size);
	if (text.failed)
		return error_oom(err);
	r = text.data ? fs_write_at(proc, file, text.data, err) : error_set(err, EINVAL, "no mappings");
	return r < 0 ? error_wrap(err, "cannot write id mappings") : 0;
}

/* One of the two maps, and how it is written without being root. */
struct map_kind {
	const char *property, *file, *helper, *subids, *usermod;
};

static const struct map_kind uid_kind = {"linux.uidMappings", "uid_map", "newuidmap", "/etc/subuid", "--add-subuids"};
static const struct map_kind gid_kind = {"linux.gidMappings", "gid_map", "newgidmap", "/etc/subgid", "--add-subgids"};

enum { HELPER_FIRST = 2, NUMBER_SIZE = 12 };

/* "newuidmap PID 0 1000 1 1 100000 65536" */
static char **helper_arguments(const char *program, pid_t pid, const struct spec_id_map *maps, size_t n)
{
	size_t vector = (HELPER_FIRST + 3 * n + 1) * sizeof(char *);
	char **argv = calloc(1, vector + (1 + 3 * n) * NUMBER_SIZE), *text;

	if (!argv)
		return NULL;
	text = (char *)argv + vector;
	argv[0] = (char *)program;
	argv[1] = text;
	snprintf(text, NUMBER_SIZE, "%d", pid);
	for (size_t i = 0; i < 3 * n; i++) {
		const struct spec_id_map *m = &maps[i / 3];
		uint32_t numbers[] = {m->container_id, m->host_id, m->size};

		argv[HELPER_FIRST + i] = text + (1 + i) * NUMBER_SIZE;
		snprintf(argv[HELPER_FIRST + i], NUMBER_SIZE, "%u", numbers[i % 3]);
	}
	return argv;
}

static int run_helper(const struct map_kind *k, pid_t pid, const struct spec_id_map *maps, size_t n, struct error *err)
{
	auto_free char *program = spawn_find(k->helper, NULL);
	auto_free char **argv = helper_arguments(k->helper, pid, maps, n);
	auto_buf struct buf errors = {0};
	char how[SPAWN_STATUS_SIZE];
	int status, r;

	if (!program)
		return error_set(err, ENOENT, "%s: needs the program %s, which is not there: install it (Debian: package uidmap), "
				 "or map nothing but the own id, %u", k->property, k->helper,
				 k == &uid_kind ? geteuid() : getegid());
	if (!argv)
		return error_oom(err);
	r = spawn_run(&(struct spawn){.path = program, .argv = argv, .errors = &errors}, &status, err);
	if (r < 0)
		return error_wrap(err, "%s", k->property);
	if (status == 0)
		return 0;
	if (errors.data)
		errors.data[strcspn(errors.data, "\n")] = '\0';
	return error_set(err, EPERM, "%s: %s: does %s give user %u these ids? (root adds some by usermod %s FIRST-LAST NAME)",
			 k->property, errors.data && *errors.data ? errors.data : spawn_status(status, how), k->subids,
			 geteuid(), k->usermod);
}

static bool is_own_id(const struct spec_id_map *maps, size_t n, uint32_t own)
{
	return n == 1 && maps[0].size == 1 && maps[0].host_id == own;
}

int idmap_write(pid_t pid, const struct spec_linux *l, struct error *err)
{
	auto_close int proc = -1;
	bool root = geteuid() == 0, own_gid = is_own_id(l->gid_mappings, l->n_gid_mappings, getegid());
	char path[32];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = fs_open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, err);
	if (proc < 0)
		return proc;
	/* Without the right to set groups the kernel takes a gid map only after that (user_namespaces(7)). */
	if (!root && own_gid)
		r = fs_write_at(proc, "setgroups", "deny", err);
	if (r < 0)
		return r;
	if (root || own_gid)
		r = write_map(proc, gid_kind.file, l->gid_mappings, l->n_gid_mappings, err);
	else
		r = run_helper(&gid_kind, pid, l->gid_mappings, l->n_gid_mappings, err);
	if (r < 0)
		return r;
	if (root || is_own_id(l->uid_mappings, l->n_uid_mappings, geteuid()))
		return write_map(proc, uid_kind.file, l->uid_mappings, l->n_uid_mappings, err);
	return run_helper(&uid_kind, pid, l->uid_mappings, l->n_uid_mappings, err);
}

/* --- a namespace of its own --------------------------------------------------------------------------------- */

/* The child: tells the number of the descriptor (or minus errno) and waits to be killed. */
static _Noreturn void hold_namespace(int pipe_fd)
{
	int proc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		proc = -errno;
	if (write(pipe_fd, &proc, sizeof(proc)) != sizeof(proc))
		_exit(1);
	for (;;)
		pause();
}

static int write_maps(int pipe_fd, const struct spec_id_map *uids, size_t n_uids, const struct spec_id_map *gids,
		      size_t n_gids, struct error *err)
{
	auto_close int proc = -1;
	int fd, r;

	if (read(pipe_fd, &fd, sizeof(fd)) != sizeof(fd))
		return error_set(err, ECHILD, "cannot make a user namespace for id mappings: its process died");
	if (fd < 0)
		return error_set(err, -fd, "cannot make a user namespace for id mappings: /proc/self: %s", strerror(-fd));
	proc = fd;
	r = write_map(proc, "uid_map", uids, n_uids, err);
	if (r == 0)
		r = write_map(proc, "gid_map", gids, n_gids, err);
	return r < 0 ? r : fs_open_at(proc, "ns/user", O_RDONLY, 0, err);
}

int idmap_userns(const struct spec_id_map *uids, size_t n_uids, const struct spec_id_map *gids, size_t n_gids,
		 struct error *err)
{
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(err, "cannot make a pipe");
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		hold_namespace(fds[1]);
	if (pid < 0) {
		r = error_sys(err, "cannot make a user namespace for id mappings");
	} else {
		r = write_maps(fds[0], uids, n_uids, gids, n_gids, err);
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(fds[0]);
	close(fds[1]);
	return r;
}
