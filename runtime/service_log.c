/* Logs: whatever services write is taken from their pipes at once, so none ever waits for a reader, and goes line by line
 * to NAME.log in the container's directory: `2026-01-02T03:04:05.678Z NAME out|err|nsrun TEXT`. A file that has
 * grown to LOG_FILE_MAX becomes NAME.log.1, replacing the one before. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fs.h"
#include "init.h"
#include "container.h"
#include "supervise.h"

enum {
	READ_AT_ONCE = 64 << 10,   /* a service that writes without end must not keep the others waiting */
	BACKLOG_MAX = 256 << 10,
	STAMP_SIZE = 32,
};

/* --- the foreground ------------------------------------------------------------------------------------------ */

static void foreground_flush(struct terminal_log *t, struct supervisor *sup)
{
	struct buf *b = &t->backlog;
	size_t done = 0;

	while (done < b->len) {
		ssize_t n = write(t->out.fd, b->data + done, b->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return supervise_unwatch(sup, &t->out);
		if (n < 0)
			break;
		done += (size_t)n;
	}
	memmove(b->data, b->data + done, b->len - done);
	b->len -= done;
}

/* The loop is only asked to tell when there is room while something waits for it. */
static void foreground_poll(struct terminal_log *t, struct supervisor *sup)
{
	struct epoll_event e = {.events = t->backlog.len ? EPOLLOUT : 0, .data.ptr = &t->out};

	if (t->out.fd < 0 || t->is_file || t->polled == !!t->backlog.len)
		return;
	t->polled = !!t->backlog.len;
	epoll_ctl(sup->epoll, EPOLL_CTL_MOD, t->out.fd, &e);
}

static void foreground_ready(struct watch *w, uint32_t events)
{
	struct terminal_log *t = container_of(w, struct terminal_log, out);
	struct supervisor *sup = container_of(t, struct supervisor, terminal);

	/* The reader is gone; the files still have it all. */
	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLOUT))
		return supervise_unwatch(sup, w);
	foreground_flush(t, sup);
	foreground_poll(t, sup);
}

static void foreground_write(struct supervisor *sup, const struct buf *lines)
{
	struct terminal_log *t = &sup->terminal;

	if (t->out.fd < 0)
		return;
	if (t->backlog.len + lines->len > BACKLOG_MAX) {
		for (size_t i = 0; i < lines->len; i++)
			t->dropped += lines->data[i] == '\n';
		return;
	}
	if (t->dropped) {
		buf_printf(&t->backlog, "nsrun: %llu lines were not shown here, since nobody read them; `nsrun logs` has them"
			   "\n", (unsigned long long)t->dropped);
		t->dropped = 0;
	}
	buf_add(&t->backlog, lines->data, lines->len);
	foreground_flush(t, sup);
	foreground_poll(t, sup);
}

/* A description of our own, so that O_NONBLOCK concerns nobody else who has the terminal or the pipe open. */
static int reopen_stderr(struct supervisor *sup)
{
	return openat(sup->proc, "self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void service_log_foreground(struct supervisor *sup)
{
	struct terminal_log *t = &sup->terminal;
	struct stat st;
	int fd = -1;

	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	t->is_file = S_ISREG(st.st_mode);
	if (t->is_file)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (S_ISSOCK(st.st_mode)) /* cannot be opened again; nobody else reads from our end */
		fd = fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = reopen_stderr(sup);
	if (fd < 0)
		return;
	t->out.ready = foreground_ready;
	if (t->is_file)
		t->out.fd = fd;
	else
		(void)supervise_watch(sup, &t->out, fd, 0); /* what cannot be watched (/dev/null) need not be written to */
}

void service_log_foreground_end(struct supervisor *sup)
{
	if (sup->terminal.out.fd >= 0)
		foreground_flush(&sup->terminal, sup);
}

/* --- files --------------------------------------------------------------------------------------------------- */

static void stamp(char out[STAMP_SIZE])
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, STAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, STAMP_SIZE - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static int open_file(struct service_log *l)
{
	char name[SERVICE_NAME_MAX + 16];
	struct stat st;

	snprintf(name, sizeof(name), "%s.log", l->name);
	l->fd = openat(l->sup->conf->log_dir, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (l->fd < 0)
		return -errno;
	l->size = fstat(l->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return 0;
}

static void rotate(struct service_log *l)
{
	char name[SERVICE_NAME_MAX + 16], old[SERVICE_NAME_MAX + 16];

	snprintf(name, sizeof(name), "%s.log", l->name);
	snprintf(old, sizeof(old), "%s.log.1", l->name);
	if (renameat(l->sup->conf->log_dir, name, l->sup->conf->log_dir, old) < 0)
		return;
	close_fd(&l->fd);
	(void)open_file(l);
}

static void write_lines(struct service_log *l, const struct buf *lines)
{
	if (lines->failed || !lines->len)
		return;
	foreground_write(l->sup, lines);
	if (l->size + lines->len > LOG_FILE_MAX && l->size)
		rotate(l);
	/* A full file system costs lines; there is nobody to tell. */
	if (l->fd >= 0 && fs_write_all(l->fd, lines->data, lines->len) == 0)
		l->size += lines->len;
}

void service_log_note(struct service_log *l, const char *fmt, ...)
{
	auto_buf struct buf b = {0};
	char now[STAMP_SIZE], text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	stamp(now);
	buf_printf(&b, "%s %s nsrun %s\n", now, l->name, text);
	write_lines(l, &b);
}

/* --- pipes --------------------------------------------------------------------------------------------------- */

static void end_line(struct service_log *l, struct log_stream *s, const char *now, struct buf *lines)
{
	buf_printf(lines, "%s %s %s ", now, l->name, s->tag);
	buf_add(lines, s->line, s->len);
	buf_putc(lines, '\n');
	s->len = 0;
}

static void take_text(struct service_log *l, struct log_stream *s, const char *text, size_t len)
{
	auto_buf struct buf lines = {0};
	char now[STAMP_SIZE];

	stamp(now);
	while (len) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len, room = sizeof(s->line) - s->len;

		/* A longer line becomes several. */
		if (n > room) {
			n = room;
			nl = NULL;
		}
		memcpy(s->line + s->len, text, n);
		s->len += n;
		n += nl ? 1 : 0;
		text += n;
		len -= n;
		if (nl || (len && s->len == sizeof(s->line) && *text != '\n'))
			end_line(l, s, now, &lines);
	}
	write_lines(l, &lines);
}

/* Returns false when there was nothing (more). */
static bool take_some(struct service_log *l, struct log_stream *s)
{
	static char chunk[READ_AT_ONCE];
	ssize_t n = read(s->pipe.fd, chunk, sizeof(chunk));

	if (n > 0)
		take_text(l, s, chunk, (size_t)n);
	return n > 0;
}

static void out_ready(struct watch *w, uint32_t events)
{
	struct service_log *l = container_of(w, struct service_log, out.pipe);

	(void)events;
	take_some(l, &l->out);
}

static void err_ready(struct watch *w, uint32_t events)
{
	struct service_log *l = container_of(w, struct service_log, err.pipe);

	(void)events;
	take_some(l, &l->err);
}

static void flush_stream(struct service_log *l, struct log_stream *s)
{
	auto_buf struct buf lines = {0};
	char now[STAMP_SIZE];

	/* What a pipe holds is at most this much; whoever still writes is not waited for. */
	for (int i = 0; i < 2 && take_some(l, s); i++)
		;
	if (!s->len)
		return;
	stamp(now);
	end_line(l, s, now, &lines);
	write_lines(l, &lines);
}

void service_log_flush(struct service_log *l)
{
	flush_stream(l, &l->out);
	flush_stream(l, &l->err);
}

static int open_stream(struct service_log *l, struct log_stream *s, const char *tag,
		       void (*ready)(struct watch *, uint32_t), struct error *err)
{
	int fds[2], rc;

	s->tag = tag;
	s->pipe.ready = ready;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(err, "cannot make a pipe for %s", l->name);
	s->write_fd = fds[1];
	/* Only our end: what a program writes to must block as programs expect. */
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return error_sys(err, "cannot read a pipe without blocking");
	rc = supervise_watch(l->sup, &s->pipe, fds[0], EPOLLIN);
	return rc < 0 ? error_set(err, -rc, "cannot watch a pipe of %s: %s", l->name, strerror(-rc)) : 0;
}

int service_log_open(struct service_log *l, struct supervisor *sup, const char *name, bool with_pipes, struct error *err)
{
	int rc;

	l->sup = sup;
	l->name = name;
	rc = open_file(l);
	if (rc < 0)
		return error_set(err, -rc, "cannot open the log of %s: %s", name, strerror(-rc));
	if (!with_pipes)
		return 0;
	rc = open_stream(l, &l->out, "out", out_ready, err);
	return rc < 0 ? rc : open_stream(l, &l->err, "err", err_ready, err);
}
