#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"

enum { OUTPUT_MAX = 1 << 20, ERRORS_KEPT = 4096 };

extern char **environ;

/* --- the child ---------------------------------------------------------------------------------------------- */

/* What the child needs; it shares the parent's memory until it executes, and the parent waits meanwhile. */
struct child {
	const struct spawn *s;
	int in, out, err;
	int error; /* errno of the step that failed */
	const char *step;
};

void signals_default(void)
{
	/* The kernel's struct sigaction: all zero is SIG_DFL. The C library's call refuses the two signals that it keeps for
	 * itself, but a caller may have left them ignored. */
	static const unsigned char dfl[64];
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		syscall(SYS_rt_sigaction, i, dfl, NULL, (NSIG - 1) / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts from[i] at descriptor i. They are all above 2, so no dup2() closes one that is still needed. */
static bool place_descriptors(const int from[3])
{
	for (int i = 0; i < 3; i++)
		if (from[i] >= 0 && dup2(from[i], i) < 0)
			return false;
	return syscall(SYS_close_range, 3, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0;
}

static ON_OWN_STACK int child_main(void *arg)
{
	struct child *c = arg;
	const struct spawn *s = c->s;
	char *const self[] = {(char *)s->path, NULL};

	signals_default();
	c->step = "enter its network namespace";
	if (s->use_netns && setns(s->netns_fd, CLONE_NEWNET) < 0)
		goto fail;
	c->step = "change to its directory";
	if (s->cwd && chdir(s->cwd) < 0)
		goto fail;
	c->step = "set up its descriptors";
	if (!place_descriptors((int[]){c->in, c->out, c->err}))
		goto fail;
	if (s->use_keep_fd && fcntl(s->keep_fd, F_SETFD, 0) < 0)
		goto fail;
	c->step = NULL;
	execve(s->path, s->argv ? s->argv : self, s->env ? s->env : environ);
fail:
	c->error = errno;
	_exit(127);
}

/* --- pipes -------------------------------------------------------------------------------------------------- */

/* Moves a descriptor out of the way of 0, 1 and 2. */
static int above_stdio(int fd)
{
	int moved;

	if (fd < 0 || fd > 2)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return moved;
}

static int open_null(void)
{
	return above_stdio(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static int make_pipe(int ret[2])
{
	if (pipe2(ret, O_CLOEXEC) < 0)
		return -errno;
	ret[0] = above_stdio(ret[0]);
	ret[1] = above_stdio(ret[1]);
	return ret[0] < 0 || ret[1] < 0 ? -EMFILE : 0;
}

/* The input in a memory file: it can be of any size and nobody has to feed it. */
static int open_input(const struct spawn *s)
{
	auto_close int fd = -1;
	int rc;

	if (!s->input)
		return open_null();
	fd = above_stdio(memfd_create("input", MFD_CLOEXEC));
	if (fd < 0)
		return -1;
	rc = fs_write_all(fd, s->input, s->input_len);
	if (rc < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return take_fd(&fd);
}

/* Keeps only the end. */
static void keep_tail(struct buf *b, size_t max)
{
	if (b->len <= max)
		return;
	memmove(b->data, b->data + b->len - max, max);
	b->len = max;
	b->data[max] = '\0';
}

/* Reads what there is; false at the end. */
static bool drain(int fd, struct buf *into, size_t max, bool tail)
{
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	if (tail) {
		buf_add(into, chunk, (size_t)n);
		keep_tail(into, max);
	} else if (into->len < max) {
		buf_add(into, chunk, (size_t)n);
	}
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Collects output until the process has ended. What a daemonised grandchild keeps open does not hold us up: after the end
 * only what is already in the pipes is read. */
static int collect(const struct spawn *s, int pidfd, int *out, int *errors)
{
	uint64_t deadline = s->timeout_ms ? now_ms() + s->timeout_ms : 0;
	bool ended = false;

	for (;;) {
		struct pollfd p[3] = {{.fd = ended ? -1 : pidfd, .events = POLLIN},
				      {.fd = *out, .events = POLLIN},
				      {.fd = *errors, .events = POLLIN}};
		int wait = -1, n;

		if (ended && *out < 0 && *errors < 0)
			return 0;
		if (deadline) {
			uint64_t now = now_ms();

			wait = now >= deadline ? 0 : (int)(deadline - now);
		}
		n = poll(p, 3, ended ? 0 : wait);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return ended ? 0 : -ETIMEDOUT;
		if (p[1].revents && !drain(*out, s->output, OUTPUT_MAX, false))
			close_fd(out);
		if (p[2].revents && !drain(*errors, s->errors, ERRORS_KEPT, true))
			close_fd(errors);
		if (p[0].revents)
			ended = true;
	}
}

/* --- running ------------------------------------------------------------------------------------------------ */

static pid_t start_child(struct child *c, int *ret_pidfd)
{
	enum { STACK = 64 << 10 };
	auto_free char *stack = malloc(STACK);
	sigset_t all, saved;
	pid_t pid;

	if (!stack)
		return -1;
	/* The child runs in our memory: no handler of ours may run in it before it has reset them. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &saved);
	pid = clone(child_main, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, ret_pidfd);
	sigprocmask(SIG_SETMASK, &saved, NULL);
	return pid;
}

static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

int spawn_run(const struct spawn *s, int *ret_status, struct error *err)
{
	auto_close int in = open_input(s), null = -1, pidfd = -1;
	int out[2] = {-1, -1}, errors[2] = {-1, -1};
	struct child c = {.s = s, .in = in, .out = -1, .err = -1};
	int rc = 0, status = -1;
	pid_t pid;

	if (in < 0)
		return error_sys(err, "cannot prepare the input of %s", s->path);
	if ((s->output && make_pipe(out) < 0) || (s->errors && make_pipe(errors) < 0)) {
		rc = error_sys(err, "cannot make a pipe for %s", s->path);
		goto out;
	}
	c.err = errors[1];
	c.out = s->output ? out[1] : s->output_to_stderr ? (s->errors ? errors[1] : STDERR_FILENO) : (null = open_null());
	pid = start_child(&c, &pidfd);
	if (pid < 0) {
		rc = error_sys(err, "cannot start %s", s->path);
		goto out;
	}
	close_fd(&out[1]);
	close_fd(&errors[1]);
	rc = c.error ? 0 : collect(s, pidfd, &out[0], &errors[0]);
	if (rc < 0)
		kill(pid, SIGKILL);
	status = reap(pid);
	errno = c.error;
	if (c.error && c.step)
		rc = error_sys(err, "cannot run %s: cannot %s", s->path, c.step);
	else if (c.error)
		rc = error_sys(err, "cannot run %s", s->path);
	else if (rc == -ETIMEDOUT)
		error_set(err, ETIMEDOUT, "%s did not end within %llu ms and was killed", s->path,
			  (unsigned long long)s->timeout_ms);
	else if (rc < 0)
		error_set(err, -rc, "cannot wait for %s: %s", s->path, strerror(-rc));
	else
		*ret_status = status;
out:
	for (int i = 0; i < 2; i++) {
		close_fd(&out[i]);
		close_fd(&errors[i]);
	}
	return rc;
}

static bool can_execute(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *spawn_find(const char *name, const char *path)
{
	const char *end;

	if (strchr(name, '/'))
		return can_execute(name) ? strdup(name) : NULL;
	if (!path)
		path = getenv("PATH");
	if (str_empty(path))
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (;; path = end + 1) {
		auto_free char *candidate = NULL;

		end = strchrnul(path, ':');
		if (end > path)
			candidate = str_printf("%.*s/%s", (int)(end - path), path, name);
		if (candidate && can_execute(candidate))
			return take_ptr(candidate);
		if (!*end)
			return NULL;
	}
}

/* --- signals ------------------------------------------------------------------------------------------------ */

int signal_number(const char *name)
{
	uint32_t n, offset = 0;
	const char *base = name;

	if (str_u32(name, 1, NSIG - 1, &n) == 0)
		return (int)n;
	if (strncasecmp(base, "SIG", 3) == 0)
		base += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, base) == 0)
			return i;
	}
	if (strncasecmp(base, "RTMIN", 5) == 0) {
		if (base[5] && (base[5] != '+' || str_u32(base + 6, 0, 30, &offset) < 0))
			return -1;
		return SIGRTMIN + (int)offset;
	}
	if (strncasecmp(base, "RTMAX", 5) == 0) {
		if (base[5] && (base[5] != '-' || str_u32(base + 6, 0, 30, &offset) < 0))
			return -1;
		return SIGRTMAX - (int)offset;
	}
	return -1;
}

const char *signal_name(int signo)
{
	static char realtime[16];

	if (signo >= SIGRTMIN && signo <= SIGRTMAX) {
		snprintf(realtime, sizeof(realtime), "RTMIN+%d", signo - SIGRTMIN);
		return realtime;
	}
	return signo > 0 && signo < NSIG ? sigabbrev_np(signo) : NULL;
}

const char *spawn_status(int status, char out[SPAWN_STATUS_SIZE])
{
	const char *name;

	if (WIFEXITED(status)) {
		snprintf(out, SPAWN_STATUS_SIZE, "exited with status %d", WEXITSTATUS(status));
	} else {
		name = signal_name(WTERMSIG(status));
		snprintf(out, SPAWN_STATUS_SIZE, "was killed by signal %d (%s)", WTERMSIG(status), name ? name : "?");
	}
	return out;
}
