/* The foreground relay between the caller's stdin and stdout and a container's pty.
 *
 * Neither side may make the other wait: every descriptor is made non-blocking in a way that does not show in the open
 * file descriptions which the caller shares with others (its shell, say), and each direction has a buffer that is
 * refilled only when it is empty. */
#include "terminal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"

enum {
	CAUTIOUS_WRITE = 512,	   /* to a descriptor that might block although poll(2) says there is room */
	DRAIN_LIMIT = 256 * 1024,  /* more than a pty holds: survivors of the container must not keep us busy */
	DRAIN_PATIENCE_MS = 5000,  /* without stdout taking a byte */
};

static struct {
	int fd;
	bool active, registered;
	struct termios was;
} caller_tty = {.fd = -1};

int terminal_raw(int fd, struct error *err)
{
	struct termios t;

	/* From the background, tcsetattr(3) would disturb (or be stopped by) whoever is in the foreground. */
	if (caller_tty.active || tcgetattr(fd, &t) < 0 || tcgetpgrp(fd) != getpgrp())
		return 0;
	caller_tty.was = t;
	cfmakeraw(&t);
	/* The container's pty leaves newlines as they are (ONLCR off), so the caller's terminal still has to translate. */
	t.c_oflag |= OPOST;
	if (tcsetattr(fd, TCSANOW, &t) < 0)
		return error_sys(err, "cannot put the terminal into raw mode");
	caller_tty.fd = fd;
	caller_tty.active = true;
	if (!caller_tty.registered)
		caller_tty.registered = atexit(terminal_restore) == 0;
	return 0;
}

void terminal_restore(void)
{
	int saved = errno;
	sigset_t ttou, old;

	if (!caller_tty.active)
		return;
	caller_tty.active = false;
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU); /* we may be in the background by now */
	sigprocmask(SIG_BLOCK, &ttou, &old);
	tcsetattr(caller_tty.fd, TCSADRAIN, &caller_tty.was);
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = saved;
}

void terminal_copy_size(int pty)
{
	struct winsize w;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (ioctl(fd, TIOCGWINSZ, &w) < 0)
			continue;
		if (w.ws_row > 0 && w.ws_col > 0)
			ioctl(pty, TIOCSWINSZ, &w);
		return;
	}
}

void terminal_relay_resize(const struct terminal_relay *r)
{
	if (r->master >= 0)
		terminal_copy_size(r->master);
}

/* O_NONBLOCK on descriptor 1 itself would be seen by everybody who shares it. Opening anew gives a description of our
 * own; a regular file must not be (its offset would start over), and never waits anyway. */
static void open_output(struct terminal_relay *r)
{
	char path[FS_PROC_FD_SIZE];
	struct stat st;
	int fd;

	r->out = STDOUT_FILENO;
	if (fstat(STDOUT_FILENO, &st) < 0) {
		r->out = -1;
		return;
	}
	r->out_socket = S_ISSOCK(st.st_mode);
	if (!S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode))
		return;
	fd = open(fs_proc_fd(STDOUT_FILENO, path), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	r->out_owned = fd >= 0;
	r->out_waits = fd < 0;
	if (fd >= 0)
		r->out = fd;
}

int terminal_relay_open(struct terminal_relay *r, int master, struct error *err)
{
	int rc, flags = fcntl(master, F_GETFL);

	*r = (struct terminal_relay)TERMINAL_RELAY_INIT;
	if (flags < 0 || fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0)
		rc = error_sys(err, "cannot make the terminal's master non-blocking");
	else
		rc = terminal_raw(STDIN_FILENO, err);
	if (rc < 0) {
		close(master);
		return rc;
	}
	r->open = true;
	r->master = master;
	r->in = fcntl(STDIN_FILENO, F_GETFD) >= 0 ? STDIN_FILENO : -1;
	open_output(r);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &r->old_sigpipe);
	terminal_relay_resize(r); /* it may have changed since the pty was made */
	return 0;
}

static bool is_empty(const struct terminal_buffer *b)
{
	return b->start == b->end;
}

void terminal_relay_poll(const struct terminal_relay *r, struct pollfd fds[TERMINAL_RELAY_FDS])
{
	short master = (is_empty(&r->to_out) ? POLLIN : 0) | (is_empty(&r->to_master) ? 0 : POLLOUT);
	bool in = r->master >= 0 && is_empty(&r->to_master);

	/* -1 instead of no events: POLLHUP is reported whether asked for or not, and would turn the loop into a busy one. */
	fds[0] = (struct pollfd){.fd = in ? r->in : -1, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = master ? r->master : -1, .events = master};
	fds[2] = (struct pollfd){.fd = is_empty(&r->to_out) ? -1 : r->out, .events = POLLOUT};
}

/* Stdin is over: the terminal's way to say so is its end-of-file character, twice when a line was left open (the first
 * only pushes the line). A program that has taken the terminal out of canonical mode knows no end of file. */
static void send_eof(struct terminal_relay *r)
{
	struct termios t;
	size_t n = r->mid_line ? 2 : 1;

	r->in = -1;
	if (r->master < 0 || tcgetattr(r->master, &t) < 0 || !(t.c_lflag & ICANON))
		return;
	memset(r->to_master.data, t.c_cc[VEOF], n);
	r->to_master.start = 0;
	r->to_master.end = n;
}

static void read_input(struct terminal_relay *r)
{
	struct terminal_buffer *b = &r->to_master;
	ssize_t n = read(r->in, b->data, sizeof(b->data));

	if (n == 0)
		send_eof(r);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		r->in = -1;
	if (n <= 0)
		return;
	b->start = 0;
	b->end = n;
	r->mid_line = b->data[n - 1] != '\n';
}

static void master_ended(struct terminal_relay *r)
{
	close_fd(&r->master);
	r->to_master.start = r->to_master.end = 0;
}

static void write_master(struct terminal_relay *r)
{
	struct terminal_buffer *b = &r->to_master;
	ssize_t n = write(r->master, b->data + b->start, b->end - b->start);

	if (n > 0)
		b->start += n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		b->start = b->end; /* the reader is gone; what it wrote is still to be read */
}

static void read_master(struct terminal_relay *r)
{
	struct terminal_buffer *b = &r->to_out;
	ssize_t n = read(r->master, b->data, sizeof(b->data));

	/* EIO: no slave is open any more. */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		master_ended(r);
	if (n <= 0)
		return;
	b->start = 0;
	b->end = n;
}

static void write_output(struct terminal_relay *r, short revents)
{
	struct terminal_buffer *b = &r->to_out;
	size_t len = b->end - b->start;
	ssize_t n;

	if (r->out < 0) { /* nobody reads: the container must not stand still for that */
		b->start = b->end;
		return;
	}
	if (r->out_waits && !revents)
		return;
	if (r->out_waits && len > CAUTIOUS_WRITE)
		len = CAUTIOUS_WRITE;
	if (r->out_socket)
		n = send(r->out, b->data + b->start, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(r->out, b->data + b->start, len);
	if (n > 0) {
		b->start += n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		if (r->out_owned)
			close(r->out);
		r->out = -1;
		r->out_owned = false;
		b->start = b->end; /* or nothing would be read from the container any more */
	}
}

int terminal_relay_step(struct terminal_relay *r, const struct pollfd fds[TERMINAL_RELAY_FDS])
{
	if (fds[0].fd >= 0 && fds[0].revents)
		read_input(r);
	if (r->master >= 0 && !is_empty(&r->to_master))
		write_master(r);
	if (fds[1].fd >= 0 && r->master >= 0 && is_empty(&r->to_out) && (fds[1].revents & ~POLLOUT))
		read_master(r);
	if (!is_empty(&r->to_out))
		write_output(r, fds[2].fd >= 0 ? fds[2].revents : 0);
	return r->master >= 0 || !is_empty(&r->to_out);
}

static void drain(struct terminal_relay *r)
{
	size_t taken = 0;

	for (;;) {
		struct pollfd out = {.fd = r->out, .events = POLLOUT};
		int ready;

		if (is_empty(&r->to_out)) {
			if (r->master < 0 || taken > DRAIN_LIMIT)
				return;
			read_master(r);
			taken += r->to_out.end - r->to_out.start;
			if (is_empty(&r->to_out))
				return;
		}
		ready = r->out < 0 ? 1 : poll(&out, 1, DRAIN_PATIENCE_MS);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return;
		write_output(r, out.revents);
	}
}

void terminal_relay_close(struct terminal_relay *r)
{
	if (!r->open)
		return;
	r->open = false;
	drain(r);
	terminal_restore();
	close_fd(&r->master);
	if (r->out_owned)
		close_fd(&r->out);
	r->in = r->out = -1;
	sigaction(SIGPIPE, &r->old_sigpipe, NULL);
}
