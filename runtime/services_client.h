/* What travels on the control socket ROOT/ID/services.sock (specs/services.md), and the commands' side of it. */
#ifndef SERVICES_CLIENT_H
#define SERVICES_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

struct container;
struct error;

/* One packet each way. */
enum { SERVICES_PACKET_MAX = 128 << 10, SERVICES_TIMEOUT_S = 120 };

struct services_request {
	const char *request; /* "list", "start", "stop", "restart", "reload" */
	const char *service; /* not for list; without it reload means all */
};

struct service_report {
	const char *name, *state;
	int32_t pid;	   /* in the container's pid namespace; 0: none */
	const char *since; /* of the state */
	uint32_t restarts;
	const char *health;
	const char *exit; /* how it ended last, or what was wrong; "": it never did */
};

struct services_reply {
	const char *error; /* NULL: done */
	struct service_report *services;
	size_t n_services;
};

extern const struct json_type services_request_type, services_reply_type;

/* Asks and waits for the answer; memory lives as long as *ret_doc, which the caller frees. -ENOENT: the container has no
 * services; -ESRCH: it is not running. An error in the answer is this call's. */
int services_ask(const struct container *c, const struct services_request *q, struct services_reply *ret,
		 struct json_doc **ret_doc, struct error *err);

#endif
