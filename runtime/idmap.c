/* A user namespace is born with a process, which is killed once the mappings are written and the namespace is open.
 *
 * That process may have a number in /proc which its parent does not know (the parent may be in a pid namespace that
 * /proc does not belong to). So it opens its own directory of /proc, in the table of descriptors it shares with its
 * parent; and the parent writes through that, because the right to write mappings is the opener's. */
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "spec.h"
#include "str.h"

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
