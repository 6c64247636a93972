#include "sync.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"

static const char *const names[] = {
	[SYNC_EOF] = "end of file",
	[SYNC_PID] = "pid",
	[SYNC_MAPPED] = "mapped",
	[SYNC_ROOT] = "root",
	[SYNC_GO] = "go",
	[SYNC_CONSOLE] = "console",
	[SYNC_SECCOMP] = "seccomp",
	[SYNC_READY] = "ready",
	[SYNC_CREATED] = "created",
	[SYNC_START] = "start",
	[SYNC_LOG] = "log",
	[SYNC_ERROR] = "error",
};

const char *sync_name(enum sync_type type)
{
	return (size_t)type < ARRAY_SIZE(names) ? names[type] : "unknown";
}

int sync_pair(int ret[2], struct error *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return error_sys(err, "cannot make a socket pair");
	return 0;
}

/* --- sending ------------------------------------------------------------------------------------------------ */

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* Only as much of the text as there is travels. */
static int send_msg(int sock, const struct sync_msg *m, int fd, struct error *err)
{
	struct iovec iov = {.iov_base = (void *)m, .iov_len = offsetof(struct sync_msg, text) + strlen(m->text) + 1};
	union fd_control control = {0};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		h.msg_control = control.bytes;
		h.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&h);
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &h, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_sys(err, "cannot send the message \"%s\"", sync_name((enum sync_type)m->type));
	return 0;
}

int sync_send(int sock, enum sync_type type, int32_t code, int fd, struct error *err)
{
	struct sync_msg m;

	m.type = (uint16_t)type;
	m.level = 0;
	m.code = code;
	m.text[0] = '\0';
	return send_msg(sock, &m, fd, err);
}

static int send_text(int sock, enum sync_type type, uint16_t level, int32_t code, const char *text)
{
	struct sync_msg m = {.type = (uint16_t)type, .level = level, .code = code};

	snprintf(m.text, sizeof(m.text), "%s", text);
	return send_msg(sock, &m, -1, NULL);
}

int sync_send_log(int sock, enum log_level level, const char *text)
{
	return send_text(sock, SYNC_LOG, (uint16_t)level, 0, text);
}

int sync_send_error(int sock, const struct error *e)
{
	return send_text(sock, SYNC_ERROR, 0, e->code, e->msg);
}

void sync_log_sink(enum log_level level, const char *msg, void *arg)
{
	(void)sync_send_log((int)(intptr_t)arg, level, msg);
}

/* --- receiving ---------------------------------------------------------------------------------------------- */

/* The descriptor that came along, or -1. */
static int received_fd(struct msghdr *h)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(h);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

int sync_receive(int sock, struct sync_msg *ret, int *ret_fd, struct error *err)
{
	struct iovec iov = {.iov_base = ret, .iov_len = sizeof(*ret) - 1};
	union fd_control control;
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	auto_close int fd = -1;
	ssize_t n;

	if (ret_fd)
		*ret_fd = -1;
	/* When the other side closes with messages of ours unread, the socket says ECONNRESET once; what it had sent
	 * before, an error perhaps, is still to be read. */
	do
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return error_sys(err, "cannot receive a message");
	if (n == 0) {
		*ret = (struct sync_msg){.type = SYNC_EOF};
		return 0;
	}
	fd = received_fd(&h);
	if ((size_t)n <= offsetof(struct sync_msg, text))
		return error_set(err, EPROTO, "received a message of %zd bytes", n);
	((char *)ret)[n] = '\0';
	if (ret_fd)
		*ret_fd = take_fd(&fd);
	return 0;
}

int sync_expect(int sock, enum sync_type type, struct sync_msg *ret, int *ret_fd, struct error *err)
{
	for (;;) {
		int rc = sync_receive(sock, ret, ret_fd, err);

		if (rc < 0)
			return rc;
		if (ret->type == type)
			return 0;
		switch (ret->type) {
		case SYNC_LOG:
			log_emit((enum log_level)ret->level, ret->text);
			break;
		case SYNC_ERROR:
			return error_set(err, ret->code > 0 ? ret->code : EPROTO, "%s", ret->text);
		case SYNC_EOF:
			return error_set(err, EPIPE, "the other side ended while \"%s\" was expected of it", sync_name(type));
		default:
			if (ret_fd)
				close_fd(ret_fd);
			return error_set(err, EPROTO, "received the message \"%s\" instead of \"%s\"",
					 sync_name((enum sync_type)ret->type), sync_name(type));
		}
	}
}
