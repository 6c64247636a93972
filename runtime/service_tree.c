/* Descendants of a process. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "service_keeper.h"
#include "str.h"

struct entry {
	pid_t pid, parent;
	bool inside;
};

/* Parent of a process, 0: it is gone. proc(5): "PID (COMM) STATE PPID ..."; COMM may hold anything. */
static pid_t parent_of(int proc_fd, const char *pid)
{
	char path[32], text[512], *end;
	auto_close int fd = -1;
	ssize_t n;
	int parent;

	snprintf(path, sizeof(path), "%.16s/stat", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

static int list_processes(int proc_fd, struct entry **ret)
{
	auto_free struct entry *list = NULL;
	auto_closedir DIR *d = NULL;
	auto_close int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	size_t n = 0, cap = 0;
	uint32_t pid;

	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return -1;
	(void)take_fd(&fd);
	while ((e = readdir(d))) {
		if (str_u32(e->d_name, 1, INT32_MAX, &pid) < 0)
			continue;
		if (n == cap) {
			struct entry *grown = realloc(list, (cap = cap ? cap * 2 : 256) * sizeof(*list));

			if (!grown)
				return -1;
			list = grown;
		}
		list[n++] = (struct entry){.pid = (pid_t)pid, .parent = parent_of(proc_fd, e->d_name)};
	}
	*ret = take_ptr(list);
	return (int)n;
}

static bool is_spared(const struct service_tree_spare *spare, pid_t pid)
{
	for (size_t i = 0; spare && i < spare->n; i++)
		if (spare->pids[i] == pid)
			return true;
	return false;
}

/* Marks everything below root: a pass for each generation. */
static void mark(struct entry *list, int n, pid_t root, const struct service_tree_spare *spare)
{
	bool more = true;

	while (more) {
		more = false;
		for (int i = 0; i < n; i++) {
			bool inside = list[i].parent == root;

			if (list[i].inside || is_spared(spare, list[i].pid))
				continue;
			for (int k = 0; !inside && k < n; k++)
				inside = list[k].inside && list[k].pid == list[i].parent;
			list[i].inside = inside;
			more |= inside;
		}
	}
}

/* The pid may have a new owner since the list was made; the descriptor pins who has it now, and its parent must be the
 * same still. A parent that has died meanwhile leaves the process to root, whose next look finds it. */
static bool signal_entry(int proc_fd, const struct entry *e, int signo)
{
	auto_close int pidfd = pidfd_open(e->pid, 0);
	char name[16];

	if (pidfd < 0)
		return false;
	snprintf(name, sizeof(name), "%d", e->pid);
	return parent_of(proc_fd, name) == e->parent && pidfd_send_signal(pidfd, signo, NULL, 0) == 0;
}

int service_tree_signal(int proc_fd, pid_t root, const struct service_tree_spare *spare, int signo)
{
	auto_free struct entry *list = NULL;
	int n = list_processes(proc_fd, &list), count = 0;

	if (n < 0)
		return 0;
	mark(list, n, root, spare);
	for (int i = 0; i < n; i++)
		count += list[i].inside && signal_entry(proc_fd, &list[i], signo);
	return count;
}
