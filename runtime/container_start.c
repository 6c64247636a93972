/* Starting a created container. The start channel tells whether the program could be executed: it closes by itself when
 * it was, and carries the error when it was not. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "create.h"
#include "error.h"
#include "hooks.h"
#include "seal.h"
#include "sync.h"

static int check_status(const struct container *c, struct error *err)
{
	switch ((enum status)c->state.status) {
	case STATUS_CREATED:
		return 0;
	case STATUS_STOPPED:
		return error_set(err, EINVAL, "cannot start a container that has stopped");
	case STATUS_RUNNING:
		return error_set(err, EINVAL, "cannot start an already running container");
	default:
		return error_set(err, EINVAL, "cannot start a container in the %s state",
				 word_name(status_words, c->state.status));
	}
}

static int open_channel(struct container *c, struct error *err)
{
	auto_close int sock = -1;
	struct sockaddr_un addr;

	if (c->start_fd >= 0)
		return take_fd(&c->start_fd);
	container_start_address(c, &addr);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return error_sys(err, "cannot reach the init process of container %s", c->id);
	return take_fd(&sock);
}

/* runtime-spec runtime.md#lifecycle: a poststart hook that fails stops the container. */
static int poststart(struct container *c, struct error *err)
{
	int rc = hooks_run(&c->spec, HOOK_POSTSTART, &c->state, "running", c->state.pid, err);

	if (rc < 0 && c->pidfd >= 0)
		(void)pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
	return rc;
}

static int start_ready(struct container *c, int sock, struct error *err)
{
	int rc;

	/* Before init is told: should we be killed in between, init ends, as the channel does. */
	c->state.status = STATUS_RUNNING;
	rc = state_save(&c->state, c->dir_fd, err);
	if (rc == 0)
		rc = sync_send(sock, SYNC_START, 0, -1, err);
	seal_release();
	if (rc == 0)
		rc = container_converse(c, sock, NULL, UNTIL_RUNNING, err);
	if (rc == 0)
		(void)unlinkat(c->dir_fd, "start.sock", 0);
	return rc;
}

/* Init is told before it is ready, so that it need not wait for us then. It is not running yet, and what can be seen of it
 * may still be the host's; so the state stays "creating", now with its pid, until init lets go of the lock by executing the
 * program (state_refresh()). */
static int start_building(struct container *c, int sock, struct error *err)
{
	int rc;

	c->state.status = STATUS_CREATING;
	rc = state_save(&c->state, c->dir_fd, err);
	if (rc == 0)
		rc = sync_send(sock, SYNC_START, 0, -1, NULL);
	seal_release();
	/* One that could not be told has ended, and said why, if it could. */
	if (rc == 0 || rc == -EPIPE)
		rc = container_converse(c, sock, NULL, UNTIL_READY_AND_RUNNING, err);
	if (rc == -EPIPE)
		return container_init_died(c, err);
	c->state.status = STATUS_RUNNING;
	return rc < 0 ? rc : state_save(&c->state, c->dir_fd, err);
}

int container_start(struct container *c, struct error *err)
{
	auto_close int sock = -1;
	int rc = check_status(c, err);

	if (rc == 0 && !c->has_spec)
		rc = container_load_spec(c, err);
	if (rc < 0)
		return rc;
	sock = open_channel(c, err);
	if (sock < 0)
		return sock;
	rc = c->building ? start_building(c, sock, err) : start_ready(c, sock, err);
	if (rc < 0)
		return rc;
	/* Whoever wants to work on the container need not wait for hooks, or for the container's end. */
	close_fd(&c->lock_fd);
	return poststart(c, err);
}
