/* What the services file's tables cannot say: defaults, durations, addresses, signals, and that names and order make
 * sense. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "cleanup.h"
#include "error.h"
#include "json.h"
#include "services.h"
#include "services_file.h"
#include "spawn.h"

/* The service that is being checked, for messages: `services.json: services[2] (dnsmasq).ready.tcp: ...`. */
struct check {
	const char *where;
	size_t index;
	struct service_conf *c;
	struct error *err;
};

static int fail(const struct check *k, const char *property, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(const struct check *k, const char *property, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return error_set(k->err, EINVAL, "%s: services[%zu] (%s).%s: %s", k->where, k->index, k->c->name, property, why);
}

/* --- durations ----------------------------------------------------------------------------------------------- */

enum { HOUR = 3600 * 1000, DAY = 24 * HOUR };

#define TIME(property, member, fallback_ms, min_ms)                                                                    \
	{property, offsetof(struct service_conf, member), fallback_ms, min_ms}

/* The back-off grows from 200 ms, so that a daemon that dies at once is back at once, to 30 s, so that one which
 * cannot work does not fill the log; a stop may take 5 s, as the daemons of a gateway say goodbye to their peers. */
static const struct {
	const char *property;
	size_t offset;
	uint32_t fallback, min;
} times[] = {
	TIME("ready.timeout", ready.timeout, 10000, 1),
	TIME("ready.interval", ready.interval, 100, 1),
	TIME("restart.min", restart.min, 200, 1),
	TIME("restart.max", restart.max, 30000, 1),
	TIME("restart.window", restart.window, 60000, 1),
	TIME("restart.resetAfter", restart.reset_after, 10000, 1),
	TIME("health.interval", health.interval, 10000, 10),
	TIME("health.timeout", health.timeout, 3000, 10),
	TIME("health.startPeriod", health.start_period, 0, 0),
	TIME("stop.timeout", stop.timeout, 5000, 0),
};

static int complete_times(const struct check *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		struct duration *d = (struct duration *)((char *)k->c + times[i].offset);

		if (!d->text) {
			d->ms = times[i].fallback;
			continue;
		}
		if (str_duration(d->text, &d->ms) < 0)
			return fail(k, times[i].property, "\"%s\" is no duration; write it like \"200ms\", \"5s\", \"1m30s\"",
				    d->text);
		if (d->ms < times[i].min || d->ms > DAY)
			return fail(k, times[i].property, "\"%s\" is not between %ums and 24h", d->text, times[i].min);
	}
	return 0;
}

/* --- readiness ----------------------------------------------------------------------------------------------- */

/* "10.0.0.1:80", "[fd00::1]:80". */
static int parse_address(const char *text, struct ready_conf *r)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t len = colon ? (size_t)(colon - text) : 0;
	uint32_t port;

	if (!len || len >= sizeof(host) || str_u32(colon + 1, 1, 65535, &port) < 0)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		r->address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
		r->address_len = sizeof(r->address.in6);
		return inet_pton(AF_INET6, host + 1, &r->address.in6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	r->address.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	r->address_len = sizeof(r->address.in);
	return inet_pton(AF_INET, host, &r->address.in.sin_addr) == 1 ? 0 : -EINVAL;
}

static int check_ready_details(const struct check *k)
{
	struct ready_conf *r = &k->c->ready;

	/* 0, 1 and 2 are the program's stdio; the bound keeps the descriptors between 3 and it few. */
	if (r->has_fd && (r->fd < 3 || r->fd > 63))
		return fail(k, "ready.fd", "%u is not between 3 and 63", r->fd);
	if (r->tcp && parse_address(r->tcp, r) < 0)
		return fail(k, "ready.tcp", "\"%s\" is no address and port; write \"127.0.0.1:80\" or \"[::1]:80\"", r->tcp);
	if (r->unix_path && strlen(r->unix_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return fail(k, "ready.unix", "the path is longer than a socket's name can be");
	if (r->device && strlen(r->device) >= IFNAMSIZ)
		return fail(k, "ready.device", "\"%s\" is longer than an interface name can be (%d characters)", r->device,
			    IFNAMSIZ - 1);
	return 0;
}

static int complete_ready(const struct check *k)
{
	struct ready_conf *r = &k->c->ready;
	const struct {
		bool given;
		enum ready_kind kind;
	} kinds[] = {
		{r->has_fd, READY_FD},	   {r->tcp, READY_TCP},	  {r->unix_path, READY_UNIX},
		{r->exec.raw, READY_EXEC}, {r->file, READY_FILE}, {r->device, READY_DEVICE},
	};
	int n = 0;

	r->kind = k->c->oneshot ? READY_EXITED : READY_RUNS;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!kinds[i].given)
			continue;
		r->kind = kinds[i].kind;
		n++;
	}
	if (n > 1)
		return fail(k, "ready", "only one of fd, tcp, unix, exec, file and device can be given");
	if (n && k->c->oneshot)
		return fail(k, "ready", "a oneshot is ready when it has ended with status 0; only a timeout can be given");
	/* How long a oneshot may take is for its author to say. */
	if (k->c->oneshot && !r->timeout.text)
		r->timeout.ms = 0;
	return check_ready_details(k);
}

/* --- the rest ------------------------------------------------------------------------------------------------ */

static int complete_signal(const struct check *k, const char *property, const char *text, int fallback, int *ret)
{
	*ret = text ? signal_number(text) : fallback;
	return *ret < 0 ? fail(k, property, "\"%s\" is no signal", text) : 0;
}

static int complete_restart(const struct check *k)
{
	struct service_conf *c = k->c;
	struct restart_conf *r = &c->restart;

	if (r->policy == RESTART_DEFAULT)
		r->policy = c->oneshot ? RESTART_NO : RESTART_ALWAYS;
	if (c->oneshot && r->policy == RESTART_ALWAYS)
		return fail(k, "restart.policy", "a oneshot that ended well is not started again; use \"on-failure\" or \"no\"");
	if (r->max.ms < r->min.ms)
		return fail(k, "restart.max", "must not be smaller than restart.min");
	if (r->limit > RESTART_LIMIT_MAX)
		return fail(k, "restart.limit", "%u is more than %d", r->limit, RESTART_LIMIT_MAX);
	return 0;
}

static int complete_control(const struct check *k)
{
	struct service_conf *c = k->c;
	int rc = complete_signal(k, "stop.signal", c->stop.signal, SIGTERM, &c->stop.signo);

	if (rc == 0)
		rc = complete_signal(k, "reload.signal", c->reload.signal, 0, &c->reload.signo);
	if (rc < 0)
		return rc;
	if (c->reload.signal && c->reload.exec.raw)
		return fail(k, "reload", "only one of signal and exec can be given");
	if (c->undo.raw && !c->oneshot)
		return fail(k, "undo", "only a oneshot can be undone; a service is stopped by its stop signal");
	if (c->health.exec.raw && c->oneshot)
		return fail(k, "health", "a oneshot has no health");
	if (!c->health.retries)
		c->health.retries = 3;
	for (char **dir = c->private_dirs; dir && *dir; dir++)
		if (strspn(*dir, "/") == strlen(*dir))
			return fail(k, "privateDirs", "\"%s\" itself cannot be private; name the directories below it", *dir);
	if (c->netns && strcmp(c->netns, "host") != 0)
		return fail(k, "netns", "\"%s\" is not supported; only \"host\" is", c->netns);
	return 0;
}

static int check_name(const struct check *k)
{
	const char *name = k->c->name;

	if (strlen(name) > SERVICE_NAME_MAX || !isalnum((unsigned char)name[0]))
		return fail(k, "name", "must start with a letter or digit and have at most %d characters", SERVICE_NAME_MAX);
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
			return fail(k, "name", "only letters, digits, '_', '.' and '-' are allowed");
	/* The supervisor's own log is nsrun.log; NAME.log.1 is NAME's old one. */
	if (strcmp(name, "nsrun") == 0)
		return fail(k, "name", "this name is the supervisor's own");
	if (strstr(name, ".log"))
		return fail(k, "name", "must not contain \".log\", by which log files are told apart");
	return 0;
}

int services_complete(struct services *s, const char *where, struct error *err)
{
	static int (*const steps[])(const struct check *) = {
		check_name, complete_times, complete_ready, complete_restart, complete_control,
	};

	for (size_t i = 0; i < s->n; i++) {
		struct check k = {.where = where, .index = i, .c = &s->list[i], .err = err};

		for (size_t n = 0; n < ARRAY_SIZE(steps); n++) {
			int rc = steps[n](&k);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* --- order --------------------------------------------------------------------------------------------------- */

static int resolve(const struct check *k, const struct services *s, const char *property, char *const *names, size_t **ret,
		   size_t *ret_n)
{
	size_t n = strv_len(names);

	*ret = json_alloc(s->doc, n * sizeof(**ret));
	if (!*ret)
		return error_oom(k->err);
	for (size_t i = 0; i < n; i++) {
		int at = services_find(s, names[i]);

		if (at < 0)
			return fail(k, property, "there is no service \"%s\"", names[i]);
		(*ret)[i] = (size_t)at;
	}
	*ret_n = n;
	return 0;
}

enum colour { UNSEEN, ON_PATH, SEEN };

struct walk {
	const struct services *s;
	enum colour colour[SERVICES_MAX];
	size_t path[SERVICES_MAX], depth;
	const char *where;
	struct error *err;
};

static int cycle_found(const struct walk *w, size_t at)
{
	auto_buf struct buf b = {0};
	size_t from = 0;

	while (w->path[from] != at)
		from++;
	for (; from < w->depth; from++)
		buf_printf(&b, "%s -> ", w->s->list[w->path[from]].name);
	buf_puts(&b, w->s->list[at].name);
	return error_set(w->err, EINVAL, "%s: services wait for each other: %s", w->where, b.data ? b.data : "");
}

/* Depth first over needs and wants; SERVICES_MAX bounds the recursion. */
static int visit(struct walk *w, size_t at)
{
	const struct service_conf *c = &w->s->list[at];
	int rc = 0;

	if (w->colour[at] == SEEN)
		return 0;
	if (w->colour[at] == ON_PATH)
		return cycle_found(w, at);
	w->colour[at] = ON_PATH;
	w->path[w->depth++] = at;
	for (size_t i = 0; rc == 0 && i < c->n_need + c->n_want; i++)
		rc = visit(w, i < c->n_need ? c->need[i] : c->want[i - c->n_need]);
	w->depth--;
	w->colour[at] = SEEN;
	return rc;
}

static bool may_trace(const struct service_program *program)
{
	const struct spec_capabilities *c = program->process ? program->process->capabilities : NULL;

	return c && (strv_has(c->bounding, "CAP_SYS_PTRACE") || strv_has(c->permitted, "CAP_SYS_PTRACE"));
}

bool services_may_trace(const struct services *s)
{
	bool may = false;

	for (size_t i = 0; i < s->n; i++) {
		const struct service_conf *c = &s->list[i];

		may |= may_trace(&c->main) || may_trace(&c->undo) || may_trace(&c->ready.exec) || may_trace(&c->health.exec) ||
		       may_trace(&c->reload.exec);
	}
	return may;
}

int services_check_order(struct services *s, const char *where, struct error *err)
{
	struct walk w = {.s = s, .where = where, .err = err};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n; i++) {
		struct check k = {.where = where, .index = i, .c = &s->list[i], .err = err};

		if (services_find(s, k.c->name) != (int)i)
			return fail(&k, "name", "services[%d] has the same name", services_find(s, k.c->name));
		rc = resolve(&k, s, "needs", k.c->needs, &k.c->need, &k.c->n_need);
		if (rc == 0)
			rc = resolve(&k, s, "wants", k.c->wants, &k.c->want, &k.c->n_want);
	}
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		rc = visit(&w, i);
	return rc;
}
