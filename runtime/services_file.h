/* The services file as C structs: decoded by services_file.c, completed and checked by services_check.c, read-only
 * after that. Everything borrows from one document. specs/services.md describes each property. */
#ifndef SERVICES_FILE_H
#define SERVICES_FILE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "spec.h"

struct error;
struct seccomp_program;

/* The answer to `list` has to fit one message of the control socket. */
enum { SERVICES_MAX = 128, SERVICE_NAME_MAX = 64, RESTART_LIMIT_MAX = 64 };

/* A duration as written and in milliseconds. */
struct duration {
	const char *text;
	uint64_t ms;
};

/* A program of a service: its own process object laid over what it inherits; NULL process: there is none. */
struct service_program {
	const struct json_value *raw;
	struct spec_process *process;
};

enum ready_kind {
	READY_RUNS,   /* nothing said: as soon as the program was executed */
	READY_EXITED, /* a oneshot: when it has ended with status 0 */
	READY_FD,
	READY_TCP,
	READY_UNIX,
	READY_EXEC,
	READY_FILE,
	READY_DEVICE,
};

struct ready_conf {
	bool has_fd;
	uint32_t fd;
	const char *tcp, *unix_path, *file, *device;
	struct service_program exec;
	struct duration timeout, interval; /* timeout 0: none */
	/* Derived. */
	enum ready_kind kind;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address;
	socklen_t address_len;
};

enum restart_policy { RESTART_DEFAULT, RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS };

struct restart_conf {
	int policy; /* enum restart_policy; never RESTART_DEFAULT once loaded */
	struct duration min, max, window, reset_after;
	uint32_t limit; /* restarts within the window until it is given up; 0: never */
};

enum health_action { HEALTH_RESTART, HEALTH_CASCADE, HEALTH_NONE };

struct health_conf {
	struct service_program exec; /* process NULL: no health check */
	struct duration interval, timeout, start_period;
	uint32_t retries;
	int action; /* enum health_action */
};

struct reload_conf {
	const char *signal;
	struct service_program exec;
	int signo; /* 0: none */
};

struct stop_conf {
	const char *signal;
	struct duration timeout;
	int signo;
};

enum give_up { GIVE_UP_IGNORE, GIVE_UP_STOP_CONTAINER };

struct service_conf {
	const char *name;
	struct service_program main, undo;
	char **needs, **wants;
	struct ready_conf ready;
	struct restart_conf restart;
	int on_give_up; /* enum give_up */
	struct health_conf health;
	struct reload_conf reload;
	struct stop_conf stop;
	bool oneshot;
	bool optional; /* the container is ready without it */
	char **private_dirs;
	const char *netns; /* "host", or NULL: the container's */
	/* Derived: indices of the services named in needs and wants. */
	size_t *need, *want, n_need, n_want;
};

struct services {
	struct service_conf *list;
	size_t n;
	struct json_doc *doc;
	struct seccomp_program *seccomp; /* of every program; NULL: none */
	/* services_open() */
	int log_dir, control, lock, host_netns, null_fd; /* -1: not opened */
	int report; /* to the foreground (notify.h); -1: nobody listens */
};

extern const struct json_type services_type, service_type;

/* Decodes and checks a text; name starts the messages. defaults is config.json's process as it was written (may be
 * NULL). 0 or -EINVAL; *ret is for services_free(). */
int services_parse(const char *name, const char *text, size_t len, const struct json_value *defaults, struct services **ret,
		   struct error *err);

/* services_check.c: default values, durations, addresses, signals; then names and order. Messages start with `where`. */
int services_complete(struct services *s, const char *where, struct error *err);
int services_check_order(struct services *s, const char *where, struct error *err);

/* The service of that name, or -1. */
int services_find(const struct services *s, const char *name);

#endif
