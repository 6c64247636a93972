/* Tasks: the supervisor's side of a keeper. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "init.h"
#include "service_keeper.h"
#include "spawn.h"
#include "supervise.h"

static void set_state(struct task *t, enum task_state state)
{
	t->state = state;
	t->changed(t);
}

/* A program that runs as somebody else may open /dev/stdout, which is the pipe, by its path. */
static void give_pipes(const struct service *s, const struct spec_process *p)
{
	(void)!fchown(s->log.out.write_fd, p->user.uid, p->user.gid);
	(void)!fchown(s->log.err.write_fd, p->user.uid, p->user.gid);
}

static void handle(struct task *t, const struct keeper_msg *m, int fds[2])
{
	struct service *s = t->service;

	switch (m->type) {
	case KEEPER_MOUNTS:
		s->mount_ns = take_fd(&fds[0]);
		s->mount_root = take_fd(&fds[1]);
		break;
	case KEEPER_RUNS:
		t->pid = m->value;
		set_state(t, TASK_RUNNING);
		break;
	case KEEPER_FAILED:
		t->failed = true;
		error_set(&t->error, m->value ? m->value : EIO, "%.*s", (int)sizeof(m->text) - 1, m->text);
		set_state(t, TASK_ENDED);
		break;
	case KEEPER_ENDED:
		t->status = m->value;
		t->pid = 0;
		set_state(t, TASK_ENDED);
		break;
	default:
		break;
	}
}

static void listen_to_keeper(struct watch *w, uint32_t events)
{
	struct task *t = container_of(w, struct task, keeper_socket);
	struct supervisor *sup = t->service->sup;
	struct keeper_msg m;
	int fds[2], rc = 0;

	(void)events;
	while (w->fd >= 0 && (rc = service_keeper_receive(w->fd, &m, fds)) > 0) {
		handle(t, &m, fds);
		close_fd(&fds[0]);
		close_fd(&fds[1]);
	}
	if (w->fd >= 0 && rc != -EAGAIN)
		supervise_unwatch(sup, w);
}

int service_task_start(struct task *t, const struct spec_process *p, int notify, int notify_number, struct error *err)
{
	struct service *s = t->service;
	const struct services *conf = s->sup->conf;
	struct keeper_job job = {
		.name = s->conf->name,
		.process = p,
		.seccomp = conf->seccomp,
		.setgroups_denied = s->sup->ctx->setgroups_denied,
		.extra_env = s->sup->env,
		.private_dirs = s->conf->private_dirs,
		.proc = s->sup->proc,
		.null = conf->null_fd,
		.out = s->log.out.write_fd,
		.err = s->log.err.write_fd,
		.notify = notify,
		.notify_number = notify_number,
		.netns = s->conf->netns ? conf->host_netns : -1,
		.mount_ns = s->mount_ns,
		.mount_root = s->mount_root,
		.lock = conf->lock,
	};
	int socks[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return error_sys(err, "cannot make a socket pair");
	give_pipes(s, p);
	t->keeper = fork();
	if (t->keeper == 0) {
		job.sock = socks[1];
		service_keeper_run(&job);
	}
	close(socks[1]);
	if (t->keeper < 0) {
		t->keeper = 0;
		rc = error_sys(err, "cannot make a process");
		close(socks[0]);
		return rc;
	}
	t->failed = false;
	t->status = 0;
	t->pid = 0;
	t->keeper_socket.ready = listen_to_keeper;
	rc = supervise_watch(s->sup, &t->keeper_socket, socks[0], EPOLLIN);
	if (rc < 0)
		return error_set(err, -rc, "cannot listen to its keeper: %s", strerror(-rc));
	set_state(t, TASK_LAUNCHED);
	return 0;
}

static void send_signal(struct task *t, enum keeper_type type, int signo)
{
	struct keeper_msg m = {.type = type, .value = signo};

	if (t->state != TASK_NONE && t->keeper_socket.fd >= 0)
		(void)service_keeper_send(t->keeper_socket.fd, &m, NULL);
}

void service_task_signal(struct task *t, int signo)
{
	send_signal(t, KEEPER_SIGNAL, signo);
}

void service_task_signal_all(struct task *t, int signo)
{
	send_signal(t, KEEPER_SIGNAL_ALL, signo);
}

/* The keeper was killed by somebody: its program is our own child now, and what that started will be. */
static void keeper_lost(struct task *t, int status)
{
	char text[SPAWN_STATUS_SIZE];

	service_log_note(&t->service->log, "its keeper %s; killing what it kept", spawn_status(status, text));
	if (t->pid > 0) {
		kill(-t->pid, SIGKILL);
		kill(t->pid, SIGKILL);
		t->pid = 0;
	}
	t->service->sup->keeper_lost = true;
	t->status = status ? status : W_EXITCODE(1, 0);
	set_state(t, TASK_ENDED);
}

bool service_task_reaped(struct task *t, pid_t pid, int status)
{
	if (t->keeper != pid)
		return false;
	t->keeper = 0;
	/* What it said last comes before its end. */
	listen_to_keeper(&t->keeper_socket, 0);
	if (t->keeper_socket.fd >= 0)
		supervise_unwatch(t->service->sup, &t->keeper_socket);
	if (t->state == TASK_LAUNCHED || t->state == TASK_RUNNING)
		keeper_lost(t, status);
	set_state(t, TASK_NONE);
	return true;
}

const char *service_task_outcome(const struct task *t, char *out, size_t size)
{
	char text[SPAWN_STATUS_SIZE];

	snprintf(out, size, "%s", t->failed ? t->error.msg : spawn_status(t->status, text));
	return out;
}
