/* What no runtime can be faster than: the system calls that a container needs, and nothing else.
 *
 *     floor few|full ROOTFS COMMAND...
 *
 * few:  network, UTS and mount namespace, /proc
 * full: the six namespaces and the mounts of the configuration that `runc spec` writes (without cgroups, devices, masked
 *       paths, capabilities: a runtime has to be faster elsewhere to come near)
 * Both: one clone3(2), a private mount tree, pivot_root(2), execve(2), and waiting for it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *type, *target;
	unsigned long flags;
	const char *data;
	int full;
} mounts[] = {
	{"proc", "proc", 0, NULL, 0},
	{"tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k", 1},
	{"devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5", 1},
	{"tmpfs", "dev/shm", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k", 1},
	{"mqueue", "dev/mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL, 1},
	{"sysfs", "sys", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL, 1},
};

static void check(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		_exit(1);
	}
}

static void container(int full, const char *rootfs, char **argv)
{
	static char *const env[] = {"PATH=/bin:/usr/bin", NULL};

	check(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "slave");
	check(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), "bind");
	check(chdir(rootfs), "chdir");
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		if (mounts[i].full > full)
			continue;
		mkdir(mounts[i].target, 0755);
		check(mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].data),
		      mounts[i].target);
	}
	check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	check(umount2(".", MNT_DETACH), "umount");
	check(chdir("/"), "chdir");
	check(sethostname("floor", 5), "sethostname");
	execve(argv[0], argv, env);
	check(-1, argv[0]);
}

int main(int argc, char **argv)
{
	struct clone_args args = {.flags = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS, .exit_signal = SIGCHLD};
	int full = argc > 1 && strcmp(argv[1], "full") == 0, status;
	pid_t pid;

	if (argc < 4)
		return 2;
	if (full)
		args.flags |= CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWCGROUP;
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	check(pid, "clone3");
	if (pid == 0)
		container(full, argv[2], argv + 3);
	check(waitpid(pid, &status, 0), "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
