#include "wg_uapi.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fs.h"
#include "netns.h"
#include "spawn.h"
#include "str.h"

#define TUN "/dev/net/tun"

/* How long the daemon may take to answer. It answers within milliseconds; more means that it hangs. */
enum { ANSWER_SECONDS = 5, ANSWER_MAX = 4 << 20 };

static char *top_dir(void)
{
	return str_printf("%s/wireguard", call_root());
}

static int open_dir(const char *name, struct error *err)
{
	auto_free char *top = top_dir();
	auto_free char *path = top ? str_printf("%s/%s", top, name) : NULL;

	return path ? fs_open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, err) : error_oom(err);
}

/* --- the process ---------------------------------------------------------------------------------------------- */

/* Field 22 of /proc/PID/stat; counted from the last ')', since the program's name may hold anything. */
static int start_time(pid_t pid, uint64_t *ret)
{
	char path[64];
	auto_free char *text = NULL;
	char *p;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fs_read_at(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return -ESRCH;
	p = strrchr(text, ')');
	for (i = 2; p && i < 22; i++) {
		p = strchr(p, ' ');
		p += p ? 1 : 0;
	}
	if (!p)
		return -ESRCH;
	*ret = strtoull(p, NULL, 10);
	return 0;
}

/* The start time is read after the pidfd was opened: if it is the recorded one, the pidfd is the recorded process. */
static int daemon_pidfd(int dir_fd, struct error *err)
{
	auto_free char *text = NULL;
	auto_close int pidfd = -1;
	unsigned long long recorded;
	uint64_t now;
	int pid;

	if (fs_read_at(dir_fd, "pid", 64, &text, NULL, NULL) < 0 || sscanf(text, "%d %llu", &pid, &recorded) != 2)
		return error_set(err, ESRCH, "wireguard-go does not run");
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0 || start_time(pid, &now) < 0 || now != recorded)
		return error_set(err, ESRCH, "wireguard-go (process %d) is gone", pid);
	return take_fd(&pidfd);
}

int wg_uapi_pidfd(const char *name, struct error *err)
{
	auto_close int dir_fd = open_dir(name, err);

	return dir_fd < 0 ? error_set(err, ESRCH, "wireguard-go does not run") : daemon_pidfd(dir_fd, err);
}

int wg_uapi_stop(const char *name, struct error *err)
{
	auto_free char *top = top_dir();
	auto_close int top_fd = -1, dir_fd = -1, pidfd = -1;
	struct pollfd p = {.events = POLLIN};
	int r;

	if (!top)
		return error_oom(err);
	top_fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	dir_fd = top_fd < 0 ? -1 : openat(top_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	pidfd = dir_fd < 0 ? -1 : daemon_pidfd(dir_fd, NULL);
	if (pidfd >= 0) {
		if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
			return error_sys(err, "cannot kill wireguard-go of %s", name);
		/* Its last act is closing the tun device, which removes it. */
		p.fd = pidfd;
		while (poll(&p, 1, -1) < 0 && errno == EINTR)
			;
	}
	r = dir_fd < 0 ? 0 : fs_remove_tree(top_fd, name, err);
	if (top_fd >= 0)
		rmdir(top); /* fails while there are others */
	return r;
}

/* Everything that the daemon's process needs, gathered before the fork. */
struct launch {
	const char *name, *program;
	int dir_fd, birth_fd, sock_fd, log_fd, tree_fd, status_fd;
};

static int write_pid(const struct launch *l, struct error *err)
{
	uint64_t started;
	char text[64];
	int n;

	if (start_time(getpid(), &started) < 0)
		return error_set(err, EIO, "cannot read /proc/%d/stat", (int)getpid());
	n = snprintf(text, sizeof(text), "%d %llu\n", (int)getpid(), (unsigned long long)started);
	return fs_replace_at(l->dir_fd, "pid", text, (size_t)n, 0644, err);
}

/* wireguard-go insists on /var/run/wireguard/NAME.sock: it watches that file and ends when it goes. All daemons of a
 * host would meet there, and `wg show` on the host would see all gateways; so each gets a view of its own directory.
 * Slave, not private: what the host unmounts must not live on in here. */
static int private_run(const struct launch *l, struct error *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return error_sys(err, "cannot make a mount namespace for wireguard-go");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0 ||
	    mount("tmpfs", "/var/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64k") < 0 ||
	    mkdir("/var/run/wireguard", 0700) < 0)
		return error_sys(err, "cannot make a private /var/run for wireguard-go");
	if (syscall(SYS_move_mount, l->tree_fd, "", AT_FDCWD, "/var/run/wireguard", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "cannot mount /var/run/wireguard for wireguard-go");
	return 0;
}

enum { UAPI_FD = 3 };

static int daemon_stdio(const struct launch *l, struct error *err)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(l->log_fd, 1) < 0 || dup2(l->log_fd, 2) < 0)
		return error_sys(err, "cannot set up standard input and output of wireguard-go");
	if (l->sock_fd != UAPI_FD && dup3(l->sock_fd, UAPI_FD, 0) < 0)
		return error_sys(err, "cannot pass the control socket to wireguard-go");
	if (l->sock_fd == UAPI_FD && fcntl(UAPI_FD, F_SETFD, 0) < 0)
		return error_sys(err, "cannot pass the control socket to wireguard-go");
	return 0;
}

static int become_daemon(struct launch *l, struct error *err)
{
	char *argv[] = {(char *)"wireguard-go", (char *)"-f", (char *)l->name, NULL};
	char *env[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LOG_LEVEL=error",
		       (char *)"WG_UAPI_FD=3", NULL};
	sigset_t none;
	int r;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	r = write_pid(l, err);
	if (r == 0)
		r = netns_enter(l->birth_fd, err);
	if (r == 0)
		r = private_run(l, err);
	/* The pipe must not be where the socket goes. */
	if (r == 0 && l->status_fd == UAPI_FD) {
		l->status_fd = fcntl(UAPI_FD, F_DUPFD_CLOEXEC, UAPI_FD + 1);
		if (l->status_fd < 0)
			return error_sys(err, "cannot duplicate a descriptor");
	}
	if (r == 0)
		r = daemon_stdio(l, err);
	if (r < 0)
		return r;
	if (chdir("/") < 0)
		return error_sys(err, "cannot enter /");
	syscall(SYS_close_range, UAPI_FD + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
	execve(l->program, argv, env);
	return error_sys(err, "cannot run '%s'", l->program);
}

/* Forks twice, so that the daemon is no child that somebody would have to reap. The pipe's end is close-on-exec: EOF
 * means that wireguard-go runs; before it comes the error. */
static int launch(struct launch *l, struct error *err)
{
	int pipe_fds[2], status;
	struct error e = {0};
	auto_close int read_fd = -1;
	pid_t pid;
	ssize_t n;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_sys(err, "cannot make a pipe");
	read_fd = pipe_fds[0];
	l->status_fd = pipe_fds[1];
	pid = fork();
	if (pid < 0) {
		close(pipe_fds[1]);
		return error_sys(err, "cannot fork");
	}
	if (pid == 0) {
		if (fork() == 0 && become_daemon(l, &e) < 0 && write(l->status_fd, &e, sizeof(e)) < 0)
			_exit(2);
		_exit(0);
	}
	close(pipe_fds[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	do
		n = read(read_fd, &e, sizeof(e));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(e)) {
		if (err)
			*err = e;
		return -e.code;
	}
	return 0;
}

/* --- its directory -------------------------------------------------------------------------------------------- */

static int write_owner(int dir_fd, const struct wg_owner *o, struct error *err)
{
	auto_json struct json_doc *doc = json_new();
	struct json_value *v = json_make(doc, JSON_OBJECT);
	auto_buf struct buf b = {0};

	json_set(doc, v, "owner", json_make_text(doc, o->mark));
	json_set(doc, v, "network", json_make_text(doc, o->network));
	json_set(doc, v, "containerID", json_make_text(doc, o->container_id));
	json_set(doc, v, "ifname", json_make_text(doc, o->ifname));
	json_write(&b, v, 2);
	buf_putc(&b, '\n');
	if (!doc || b.failed)
		return error_oom(err);
	return fs_replace_at(dir_fd, "owner.json", b.data, b.len, 0644, err);
}

/* A control socket's address, by way of the directory's descriptor: sun_path holds 108 bytes only. */
static void socket_address(int dir_fd, const char *name, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s.sock", dir_fd, name);
}

/* Listening before the daemon starts, so that nobody has to wait for a file to appear: a client connects at once, and is
 * answered, or refused when the daemon has died. */
static int listen_socket(int dir_fd, const char *name, struct error *err)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;
	mode_t old = umask(0077);
	int r;

	socket_address(dir_fd, name, &a);
	r = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof(a));
	umask(old);
	if (r < 0 || listen(fd, 8) < 0)
		return error_sys(err, "cannot listen on %s.sock for wireguard-go", name);
	return take_fd(&fd);
}

static int make_dir(const char *name, struct error *err)
{
	auto_free char *top = top_dir();
	auto_free char *path = top ? str_printf("%s/%s", top, name) : NULL;
	int r, tries;

	if (!path)
		return error_oom(err);
	/* Again when another's wg_uapi_stop() took the empty upper directory away in between. */
	for (r = -ENOENT, tries = 0; r == -ENOENT && tries < 100; tries++)
		r = fs_mkdirs(path, 0700, err);
	return r < 0 ? r : open_dir(name, err);
}

int wg_uapi_start(const char *name, const struct wg_owner *owner, int birth_fd, struct error *err)
{
	auto_free char *program = spawn_find("wireguard-go", NULL);
	auto_close int dir_fd = -1, sock_fd = -1, log_fd = -1, tree_fd = -1;
	struct launch l = {.name = name, .program = program, .birth_fd = birth_fd};
	int r;

	if (!program)
		return error_set(err, ENOENT, "this kernel has no WireGuard and there is no wireguard-go in PATH");
	/* Inside a user namespace its mode decides; udev's is 0666, the kernel's own 0600. */
	if (access(TUN, R_OK | W_OK) < 0)
		return error_sys(err, "cannot open " TUN " for wireguard-go");
	r = wg_uapi_stop(name, err);
	if (r < 0)
		return r;
	dir_fd = make_dir(name, err);
	if (dir_fd < 0)
		return dir_fd;
	r = write_owner(dir_fd, owner, err);
	if (r < 0)
		return r;
	sock_fd = listen_socket(dir_fd, name, err);
	if (sock_fd < 0)
		return sock_fd;
	log_fd = fs_open_at(dir_fd, "log", O_WRONLY | O_CREAT | O_APPEND, 0600, err);
	if (log_fd < 0)
		return log_fd;
	tree_fd = (int)syscall(SYS_open_tree, dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree_fd < 0)
		return error_sys(err, "cannot bind the directory of wireguard-go %s", name);
	l.dir_fd = dir_fd;
	l.sock_fd = sock_fd;
	l.log_fd = log_fd;
	l.tree_fd = tree_fd;
	return launch(&l, err);
}

const char *wg_uapi_log_tail(const char *name, char out[512])
{
	auto_close int dir_fd = open_dir(name, NULL);
	auto_close int fd = dir_fd < 0 ? -1 : openat(dir_fd, "log", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	off_t size;

	out[0] = '\0';
	if (fd >= 0) {
		size = lseek(fd, 0, SEEK_END);
		n = pread(fd, out, 511, size > 511 ? size - 511 : 0);
	}
	out[n > 0 ? n : 0] = '\0';
	while (n > 0 && out[n - 1] == '\n')
		out[--n] = '\0';
	return out;
}

static int load_owner(int dir_fd, struct json_doc **ret_doc, struct wg_owner *ret)
{
	auto_free char *text = NULL;
	auto_json struct json_doc *doc = NULL;
	struct json_value *v;
	size_t len;

	if (fs_read_at(dir_fd, "owner.json", 65536, &text, &len, NULL) < 0)
		return -ENOENT;
	doc = json_parse("owner.json", text, len, NULL);
	if (!doc)
		return -EINVAL;
	v = json_root(doc);
	*ret = (struct wg_owner){.mark = json_get_text(v, "owner"),
				 .network = json_get_text(v, "network"),
				 .container_id = json_get_text(v, "containerID"),
				 .ifname = json_get_text(v, "ifname"),
				 .pidfd = -1};
	if (!ret->mark || !ret->network || !ret->container_id || !ret->ifname)
		return -EINVAL;
	*ret_doc = take_ptr(doc);
	return 0;
}

int wg_uapi_each(wg_uapi_cb *cb, void *arg, struct error *err)
{
	auto_free char *top = top_dir();
	auto_closedir DIR *dir = top ? opendir(top) : NULL;
	struct dirent *d;
	int r = 0;

	while (r == 0 && dir && (d = readdir(dir))) {
		auto_json struct json_doc *doc = NULL;
		auto_close int fd = -1, pidfd = -1;
		struct wg_owner o;

		if (!fs_is_name(d->d_name))
			continue;
		fd = openat(dirfd(dir), d->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || load_owner(fd, &doc, &o) < 0)
			continue;
		pidfd = o.pidfd = daemon_pidfd(fd, NULL);
		r = cb(d->d_name, &o, arg, err);
	}
	return r;
}

/* --- the conversation ----------------------------------------------------------------------------------------- */

static int no_answer(const char *name, struct error *err)
{
	char tail[512];
	int code = errno == EAGAIN ? ETIMEDOUT : ECONNRESET;

	wg_uapi_log_tail(name, tail);
	return error_set(err, code, "wireguard-go of %s %s%s%s", name,
			 code == ETIMEDOUT ? "does not answer" : "ended", *tail ? "; its log: " : "", tail);
}

static int dial(const char *name, struct error *err)
{
	auto_close int dir_fd = open_dir(name, err);
	auto_close int fd = -1;
	const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	struct sockaddr_un a;

	if (dir_fd < 0)
		return dir_fd;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_sys(err, "cannot make a socket");
	socket_address(dir_fd, name, &a);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return no_answer(name, err);
	return take_fd(&fd);
}

/* One request, one answer up to the empty line. *answer ends before "errno=". */
static int converse(const char *name, const struct buf *request, struct buf *answer, struct error *err)
{
	auto_close int fd = -1;
	char part[4096], *end;
	ssize_t n;

	if (request->failed)
		return error_oom(err);
	fd = dial(name, err);
	if (fd < 0)
		return fd;
	if (send(fd, request->data, request->len, MSG_NOSIGNAL) != (ssize_t)request->len)
		return no_answer(name, err);
	do {
		errno = 0;
		n = read(fd, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || answer->len > ANSWER_MAX)
			return no_answer(name, err);
		buf_add(answer, part, (size_t)n);
	} while (!answer->data || !str_ends(answer->data, "\n\n"));

	end = str_starts(answer->data, "errno=") ? answer->data : strstr(answer->data, "\nerrno=");
	if (answer->failed || !end)
		return error_set(err, EPROTO, "wireguard-go of %s answers without a result", name);
	n = strtol(strchr(end, '=') + 1, NULL, 10);
	*end = '\0';
	if (n != 0) {
		char tail[512];
		wg_uapi_log_tail(name, tail);
		return error_set(err, EINVAL, "wireguard-go of %s refuses its configuration (error %ld): %s", name,
				 (long)n, tail);
	}
	return 0;
}

int wg_uapi_set(const char *name, const struct wg_device *d, struct error *err)
{
	auto_buf struct buf request = {0}, answer = {0};
	int r;

	wg_uapi_write(&request, d);
	r = converse(name, &request, &answer, err);
	if (request.data)
		explicit_bzero(request.data, request.len);
	return r;
}

int wg_uapi_get(const char *name, struct json_doc *doc, struct wg_device *ret, struct error *err)
{
	auto_buf struct buf request = {0}, answer = {0};
	int r;

	buf_puts(&request, "get=1\n\n");
	r = converse(name, &request, &answer, err);
	return r < 0 ? r : wg_uapi_parse(doc, answer.data, ret, err);
}
