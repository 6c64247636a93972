/* The control socket's server: one packet a request, one packet an answer, which for start, stop, restart and reload
 * comes when it has happened or cannot happen any more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "services_client.h"
#include "supervise.h"

enum { CONNECTIONS_MAX = 32, REQUEST_MAX = 4096 };

struct connection {
	struct watch watch; /* fd -1: free */
	struct supervisor *sup;
	const struct operation *pending; /* NULL: nothing */
	struct service *service; /* NULL: all */
	uint64_t deadline, reloads;
};

struct control {
	struct watch listener;
	struct supervisor *sup;
	struct connection connections[CONNECTIONS_MAX];
};

enum progress { GOING, HAPPENED, IMPOSSIBLE };

struct operation {
	const char *name;
	/* Asks for it; a negative result is the answer. */
	int (*begin)(struct connection *c, struct error *err);
	enum progress (*look)(const struct connection *c, struct error *err);
};

/* --- operations ---------------------------------------------------------------------------------------------- */

static int begin_start(struct connection *c, struct error *err)
{
	(void)err;
	service_wish_up(c->service);
	return 0;
}

static int begin_stop(struct connection *c, struct error *err)
{
	(void)err;
	service_wish_down(c->service);
	return 0;
}

static int begin_restart(struct connection *c, struct error *err)
{
	(void)err;
	service_wish_anew(c->service);
	return 0;
}

static int begin_reload(struct connection *c, struct error *err)
{
	c->reloads = c->service->reloads;
	return service_command_reload(c->service, err);
}

static enum progress look_up(const struct connection *c, struct error *err)
{
	const struct service *s = c->service;

	if (s->recreate)
		return GOING;
	if (service_state_is_up(s))
		return HAPPENED;
	if (s->stuck) {
		error_set(err, EIO, "service %s waits for a service that is down (see `nsrun services`)", s->conf->name);
		return IMPOSSIBLE;
	}
	if (s->state != SERVICE_FAILED && s->state != SERVICE_EXITED && s->state != SERVICE_BACKOFF)
		return GOING;
	error_set(err, EIO, "service %s did not come up: %s", s->conf->name, s->outcome);
	return IMPOSSIBLE;
}

static enum progress look_down(const struct connection *c, struct error *err)
{
	(void)err;
	return service_state_is_active(c->service) || c->service->state == SERVICE_WAITING ? GOING : HAPPENED;
}

static enum progress look_reloaded(const struct connection *c, struct error *err)
{
	const struct service *s = c->service;

	if (s->reloads == c->reloads)
		return GOING;
	if (!*s->reload_error)
		return HAPPENED;
	error_set(err, EIO, "service %s: reload failed: %s", s->conf->name, s->reload_error);
	return IMPOSSIBLE;
}

static int begin_reload_all(struct connection *c, struct error *err)
{
	(void)err;
	c->reloads = service_command_reload_all(c->sup);
	return 0;
}

static enum progress look_all_reloaded(const struct connection *c, struct error *err)
{
	const struct service *failed = NULL;

	for (size_t i = 0; i < c->sup->n; i++) {
		const struct service *s = &c->sup->list[i];

		if (s->reload_round < c->reloads)
			continue;
		if (s->reloading)
			return GOING;
		if (*s->reload_error && !failed)
			failed = s;
	}
	if (!failed)
		return HAPPENED;
	error_set(err, EIO, "service %s: reload failed: %s", failed->conf->name, failed->reload_error);
	return IMPOSSIBLE;
}

static const struct operation operations[] = {
	{"start", begin_start, look_up},
	{"stop", begin_stop, look_down},
	{"restart", begin_restart, look_up},
	{"reload", begin_reload, look_reloaded},
};
static const struct operation reload_all = {"reload", begin_reload_all, look_all_reloaded};

/* --- answers ------------------------------------------------------------------------------------------------- */

static void answer(struct connection *c, const struct services_reply *reply)
{
	auto_buf struct buf b = {0};

	c->pending = NULL;
	json_encode(&b, &services_reply_type, reply, 0);
	/* Who does not take the answer does not get it. */
	if (b.failed || send(c->watch.fd, b.data, b.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		supervise_unwatch(c->sup, &c->watch);
}

static void answer_error(struct connection *c, const struct error *err)
{
	answer(c, &(struct services_reply){.error = err->msg});
}

static void answer_late(struct connection *c)
{
	const struct service *s = c->service;
	struct error err;

	if (s)
		error_set(&err, ETIMEDOUT, "service %s is still %s after %d s", s->conf->name,
			  word_name(service_state_words, s->state), SERVICES_TIMEOUT_S);
	else
		error_set(&err, ETIMEDOUT, "services are still being reloaded after %d s", SERVICES_TIMEOUT_S);
	answer_error(c, &err);
}

static void answer_list(struct connection *c)
{
	struct supervisor *sup = c->sup;
	struct service_report list[SERVICES_MAX];

	for (size_t i = 0; i < sup->n; i++) {
		const struct service *s = &sup->list[i];

		list[i] = (struct service_report){
			.name = s->conf->name,
			.state = word_name(service_state_words, s->state),
			.pid = s->main.pid,
			.since = s->since,
			.restarts = s->starts ? s->starts - 1 : 0,
			.health = word_name(service_health_words, s->health),
			.exit = s->outcome,
		};
	}
	answer(c, &(struct services_reply){.services = list, .n_services = sup->n});
}

static const struct operation *find_operation(const struct services_request *q)
{
	if (!q->service && strcmp(q->request, reload_all.name) == 0)
		return &reload_all;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, q->request) == 0)
			return &operations[i];
	return NULL;
}

static int begin(struct connection *c, const struct services_request *q, struct error *err)
{
	const struct operation *op = find_operation(q);
	struct supervisor *sup = c->sup;
	int at = q->service ? services_find(sup->conf, q->service) : -1;

	if (!op)
		return error_set(err, EINVAL, "there is no request \"%s\"", q->request);
	if (at < 0 && op != &reload_all)
		return error_set(err, ENOENT, "there is no service \"%s\"", q->service ? q->service : "");
	if (sup->stopping)
		return error_set(err, ESHUTDOWN, "the container is stopping");
	c->service = at < 0 ? NULL : &sup->list[at];
	c->deadline = supervise_now() + SERVICES_TIMEOUT_S * 1000;
	c->pending = op;
	return op->begin(c, err);
}

static void serve(struct connection *c, const char *text, size_t len)
{
	struct services_request q;
	struct error err = {0};
	auto_json struct json_doc *doc = json_parse("request", text, len, &err);

	if (!doc || json_decode(doc, json_root(doc), &services_request_type, &q, "request", &err) < 0)
		return answer_error(c, &err);
	if (strcmp(q.request, "list") == 0)
		return answer_list(c);
	if (begin(c, &q, &err) < 0)
		answer_error(c, &err);
}

/* --- connections --------------------------------------------------------------------------------------------- */

static void hear(struct watch *w, uint32_t events)
{
	struct connection *c = container_of(w, struct connection, watch);
	char text[REQUEST_MAX];
	ssize_t n = recv(w->fd, text, sizeof(text), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	/* Nobody is there any more, or asks before the last answer has come. */
	if (n <= 0 || c->pending)
		return supervise_unwatch(c->sup, w);
	serve(c, text, (size_t)n);
}

static void take_caller(struct watch *w, uint32_t events)
{
	struct control *control = container_of(w, struct control, listener);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	for (size_t i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
		struct connection *c = &control->connections[i];

		if (c->watch.fd >= 0)
			continue;
		*c = (struct connection){.watch = {.fd = -1, .ready = hear}, .sup = control->sup};
		(void)supervise_watch(control->sup, &c->watch, fd, EPOLLIN);
		return;
	}
	close_fd(&fd);
}

int service_control_open(struct supervisor *sup, struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));
	int rc;

	if (!control)
		return error_oom(err);
	control->sup = sup;
	control->listener.ready = take_caller;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		control->connections[i].watch.fd = -1;
	sup->control = control;
	rc = supervise_watch(sup, &control->listener, sup->conf->control, EPOLLIN);
	return rc < 0 ? error_set(err, -rc, "cannot listen on the control socket: %s", strerror(-rc)) : 0;
}

uint64_t service_control_settle(struct supervisor *sup)
{
	uint64_t now = supervise_now(), next = 0;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &sup->control->connections[i];
		struct error err = {0};
		enum progress p;

		if (c->watch.fd < 0 || !c->pending)
			continue;
		p = c->pending->look(c, &err);
		if (p == HAPPENED) {
			answer(c, &(struct services_reply){0});
		} else if (p == IMPOSSIBLE) {
			answer_error(c, &err);
		} else if (now >= c->deadline) {
			answer_late(c);
		} else if (!next || c->deadline < next) {
			next = c->deadline;
		}
	}
	return next;
}
