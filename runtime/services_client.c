/* The control socket's messages, and asking. */
#include "services_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "error.h"

static const struct json_field request_fields[] = {
	F_STRING(struct services_request, "request", request, JSON_REQUIRED),
	F_STRING(struct services_request, "service", service, 0),
	F_END,
};
JSON_TYPE(services_request_type, struct services_request, request_fields);

static const struct json_field report_fields[] = {
	F_STRING(struct service_report, "name", name, JSON_REQUIRED),
	F_STRING(struct service_report, "state", state, JSON_REQUIRED),
	F_I32(struct service_report, "pid", pid, JSON_KEEP),
	F_STRING(struct service_report, "since", since, JSON_REQUIRED),
	F_U32(struct service_report, "restarts", restarts, JSON_KEEP),
	F_STRING(struct service_report, "health", health, JSON_REQUIRED),
	F_STRING(struct service_report, "exit", exit, JSON_KEEP),
	F_END,
};
static JSON_TYPE(report_type, struct service_report, report_fields);

static const struct json_field reply_fields[] = {
	F_STRING(struct services_reply, "error", error, 0),
	F_LIST(struct services_reply, "services", services, n_services, &report_type, 0),
	F_END,
};
JSON_TYPE(services_reply_type, struct services_reply, reply_fields);

static int connect_to(const struct container *c, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	/* A little longer than the supervisor allows itself, so that its answer is the one that is heard. */
	struct timeval patience = {.tv_sec = SERVICES_TIMEOUT_S + 5};
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (!c->state.has_services)
		return error_set(err, ENOENT, "container %s has no services: its config.json has no annotation "
				 "org.nsrun.services", c->id);
	if (c->state.status == STATUS_PAUSED)
		return error_set(err, EAGAIN, "container %s is paused, and its supervisor with it; nsrun resume %s lets it answer",
				 c->id, c->id);
	if (fd < 0)
		return error_sys(err, "cannot make a socket");
	/* By the directory's descriptor: the path itself may be longer than a socket's name can be. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/services.sock", c->dir_fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return take_fd(&fd);
	if (errno == ECONNREFUSED || errno == ENOENT)
		return error_set(err, ESRCH, "container %s is not running: nobody listens on its services.sock", c->id);
	return error_sys(err, "cannot connect to the services.sock of container %s", c->id);
}

static int exchange(int fd, const struct buf *out, char *in, size_t size, struct error *err)
{
	ssize_t n;

	if (send(fd, out->data, out->len, MSG_NOSIGNAL) < 0)
		return error_sys(err, "cannot send to the supervisor");
	n = recv(fd, in, size, 0);
	if (n < 0 && errno == EAGAIN)
		return error_set(err, ETIMEDOUT, "the supervisor does not answer");
	if (n < 0)
		return error_sys(err, "cannot hear the supervisor");
	if (n == 0)
		return error_set(err, ECONNRESET, "the supervisor ended before it answered");
	return (int)n;
}

int services_ask(const struct container *c, const struct services_request *q, struct services_reply *ret,
		 struct json_doc **ret_doc, struct error *err)
{
	auto_close int fd = connect_to(c, err);
	auto_buf struct buf out = {0};
	auto_free char *in = malloc(SERVICES_PACKET_MAX);
	auto_json struct json_doc *doc = NULL;
	int rc;

	if (fd < 0)
		return fd;
	json_encode(&out, &services_request_type, q, 0);
	if (!in || out.failed)
		return error_oom(err);
	rc = exchange(fd, &out, in, SERVICES_PACKET_MAX, err);
	if (rc < 0)
		return rc;
	doc = json_parse("answer of the supervisor", in, (size_t)rc, err);
	if (!doc)
		return -EINVAL;
	rc = json_decode(doc, json_root(doc), &services_reply_type, ret, "answer of the supervisor", err);
	if (rc < 0)
		return rc;
	if (ret->error)
		return error_set(err, EIO, "%s", ret->error);
	*ret_doc = take_ptr(doc);
	return 0;
}
