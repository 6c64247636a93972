/* Talking to systemd about a container's unit. cgroup_systemd.h has the plot.
 * Source: org.freedesktop.systemd1(5); systemd, docs/CONTROL_GROUP_INTERFACE.md and CGROUP_DELEGATION.md. */
#include "cgroup_systemd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "dbus.h"
#include "error.h"
#include "ns.h"
#include "str.h"

#define SYSTEMD	  "org.freedesktop.systemd1"
#define MANAGER	  "org.freedesktop.systemd1.Manager"
#define OBJECT	  "/org/freedesktop/systemd1"
#define JOB_MATCH "type='signal',sender='" SYSTEMD "',path='" OBJECT "',interface='" MANAGER "',member='JobRemoved'"

enum { EXISTS_TRIES = 10, EXISTS_WAIT_MS = 20 };

struct cgroup_systemd {
	struct dbus bus;
	char *slice;
	pid_t placeholder; /* 0: there is none */
};

/* --- the manager -------------------------------------------------------------------------------------------- */

/* The user's own manager serves who is not root, also who is only root of a user namespace. */
static bool is_user(void)
{
	return geteuid() != 0 || ns_in_userns();
}

/* The bus's address, and the address at which systemd itself listens, which needs no bus. */
static void addresses(char **ret_bus, char **ret_direct)
{
	const char *bus = getenv(is_user() ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS");
	const char *dir = getenv("XDG_RUNTIME_DIR");

	*ret_bus = str_empty(bus) ? NULL : strdup(bus);
	*ret_direct = NULL;
	if (!is_user()) {
		if (!*ret_bus)
			*ret_bus = strdup("unix:path=/run/dbus/system_bus_socket");
		*ret_direct = strdup("unix:path=/run/systemd/private");
	} else if (!str_empty(dir)) {
		if (!*ret_bus)
			*ret_bus = str_printf("unix:path=%s/bus", dir);
		*ret_direct = str_printf("unix:path=%s/systemd/private", dir);
	}
}

static int open_manager(struct dbus *d, struct error *err)
{
	auto_free char *bus = NULL, *direct = NULL;
	struct error why = {0};
	int rc = -ENOENT;

	addresses(&bus, &direct);
	if (bus)
		rc = dbus_open(d, bus, false, &why);
	else
		error_set(&why, ENOENT, "neither $DBUS_SESSION_BUS_ADDRESS nor $XDG_RUNTIME_DIR is set");
	if (rc < 0 && direct) {
		dbus_close(d);
		rc = dbus_open(d, direct, true, NULL);
	}
	if (rc == 0)
		return 0;
	return error_set(err, why.code, "cannot reach systemd%s for the systemd cgroup driver: %s; where it does not run, use "
			 "--cgroup-manager cgroupfs (podman: cgroup_manager=\"cgroupfs\"; containerd: SystemdCgroup = false)",
			 is_user() ? "'s user manager" : "", why.msg);
}

static int call(struct dbus *d, const char *member, const char *signature, const struct buf *body,
		struct dbus_message *ret, struct error *err)
{
	return dbus_call(d, &(struct dbus_call){.destination = SYSTEMD, .path = OBJECT, .interface = MANAGER,
						.member = member, .signature = signature, .body = body}, ret, err);
}

/* The cgroup that the manager has below it: "" for the system's, unless it is in a container. */
static int put_base(struct dbus *d, struct buf *out, struct error *err)
{
	auto_buf struct buf body = {0};
	struct dbus_message reply;
	const char *base;
	int rc;

	dbus_put_string(&body, MANAGER);
	dbus_put_string(&body, "ControlGroup");
	rc = dbus_call(d, &(struct dbus_call){.destination = SYSTEMD, .path = OBJECT, .signature = "ss", .body = &body,
					      .interface = "org.freedesktop.DBus.Properties", .member = "Get"}, &reply, err);
	if (rc < 0)
		return error_wrap(err, "cannot ask systemd for its cgroup");
	(void)dbus_get_signature(&reply.body);
	base = dbus_get_string(&reply.body);
	if (reply.body.failed || strstr(base, "..") || (*base && *base != '/'))
		return error_set(err, EPROTO, "cannot ask systemd for its cgroup: the answer makes no sense");
	buf_puts(out, str_eq(base, "/") ? "" : base);
	return 0;
}

/* --- jobs --------------------------------------------------------------------------------------------------- */

struct job {
	char *path, *sender;
	char result[32]; /* "done", "failed", ... */
};

static bool is_end_of_job(const struct dbus_message *m, void *arg)
{
	struct dbus_reader body = m->body;
	struct job *j = arg;
	const char *path, *result;

	/* Anybody on the bus can send us a signal; the sender's name is the bus's word. */
	if (!str_eq(m->interface, MANAGER) || !str_eq(m->member, "JobRemoved") || !str_eq(m->sender, j->sender))
		return false;
	(void)dbus_get_u32(&body);
	path = dbus_get_string(&body);
	(void)dbus_get_string(&body); /* the unit */
	result = dbus_get_string(&body);
	if (body.failed || !str_eq(path, j->path))
		return false;
	snprintf(j->result, sizeof(j->result), "%s", result);
	return true;
}

/* Calls a method that answers with a job, and waits for the job's end. */
static int run_job(struct dbus *d, const char *member, const char *signature, const struct buf *body, struct error *err)
{
	struct dbus_message reply;
	struct job j = {0};
	int rc = call(d, member, signature, body, &reply, err);

	if (rc < 0)
		return rc;
	j.path = strdup(dbus_get_string(&reply.body));
	j.sender = reply.sender ? strdup(reply.sender) : NULL;
	if (!j.path || (reply.sender && !j.sender))
		rc = error_oom(err);
	else if (reply.body.failed)
		rc = error_set(err, EPROTO, "systemd's answer to %s makes no sense", member);
	else
		rc = dbus_wait_signal(d, is_end_of_job, &j, err);
	free(j.path);
	free(j.sender);
	if (rc == 0 && !str_eq(j.result, "done"))
		return error_set(err, ECANCELED, "its job ended with \"%s\", see the journal", j.result);
	return rc;
}

static void reset_failed(struct dbus *d, const char *unit)
{
	auto_buf struct buf body = {0};

	dbus_put_string(&body, unit);
	(void)call(d, "ResetFailedUnit", "s", &body, NULL, NULL);
}

/* --- plan --------------------------------------------------------------------------------------------------- */

int cgroup_systemd_plan(struct cgroup *c, const struct spec *s, const char *id, struct buf *path, struct error *err)
{
	struct cgroup_systemd *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return error_oom(err);
	d->bus.fd = -1;
	c->systemd = d;
	rc = cgroup_systemd_names(s->linux_.cgroups_path, id, is_user(), &d->slice, &c->unit, err);
	if (rc == 0)
		rc = open_manager(&d->bus, err);
	if (rc == 0 && !dbus_shares_pids(&d->bus))
		rc = error_set(err, ENOTSUP, "the systemd cgroup driver does not work from another pid namespace than systemd's; "
			       "use --cgroup-manager cgroupfs");
	if (rc == 0)
		rc = put_base(&d->bus, path, err);
	if (rc == 0 && str_ends(c->unit, ".slice"))
		return cgroup_systemd_expand(c->unit, path, err);
	if (rc == 0)
		rc = cgroup_systemd_expand(d->slice, path, err);
	buf_printf(path, "/%s", c->unit);
	return rc < 0 ? rc : path->failed ? error_oom(err) : 0;
}

void cgroup_systemd_close(struct cgroup *c)
{
	cleanup_free(&c->unit);
	if (!c->systemd)
		return;
	cgroup_systemd_settle(c);
	dbus_close(&c->systemd->bus);
	free(c->systemd->slice);
	cleanup_free(&c->systemd);
}

/* --- start -------------------------------------------------------------------------------------------------- */

/* It holds nothing but its place, and goes with us. Signals that we block (run) must reach it. */
static _Noreturn void hold_place(pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static int make_placeholder(struct cgroup_systemd *d, struct error *err)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return error_sys(err, "cannot make a process");
	if (pid == 0)
		hold_place(parent);
	d->placeholder = pid;
	return 0;
}

bool cgroup_systemd_has_placeholder(const struct cgroup *c)
{
	return c->systemd && c->systemd->placeholder > 0;
}

void cgroup_systemd_settle(struct cgroup *c)
{
	struct cgroup_systemd *d = c->systemd;

	if (!cgroup_systemd_has_placeholder(c))
		return;
	kill(d->placeholder, SIGKILL);
	while (waitpid(d->placeholder, NULL, 0) < 0 && errno == EINTR)
		;
	d->placeholder = 0;
}

static void put_pids(struct buf *b, pid_t pid)
{
	struct dbus_array a;

	dbus_align(b, 8);
	dbus_put_string(b, "PIDs");
	dbus_put_signature(b, "au");
	a = dbus_open_array(b, 4);
	dbus_put_u32(b, (uint32_t)pid);
	dbus_close_array(b, a);
}

/* StartTransientUnit(name, mode, properties, auxiliary units). */
static int put_unit(struct buf *b, const struct cgroup *c, const struct spec *s, struct error *err)
{
	static const char *const accounting[] = {"CPUAccounting", "MemoryAccounting", "TasksAccounting"};
	const struct cgroup_systemd *d = c->systemd;
	struct dbus_array properties, auxiliary;
	int rc = 0;

	dbus_put_string(b, c->unit);
	dbus_put_string(b, "fail");
	properties = dbus_open_array(b, 8);
	cgroup_systemd_put_string(b, "Description", "nsrun container");
	/* Nothing stays of it when it has failed (its processes ran out of memory). */
	cgroup_systemd_put_string(b, "CollectMode", "inactive-or-failed");
	cgroup_systemd_put_bool(b, "DefaultDependencies", false);
	for (size_t i = 0; i < ARRAY_SIZE(accounting); i++)
		cgroup_systemd_put_bool(b, accounting[i], true);
	cgroup_systemd_put_bool(b, c->v2 ? "IOAccounting" : "BlockIOAccounting", true);
	if (cgroup_systemd_has_placeholder(c)) {
		cgroup_systemd_put_string(b, "Slice", d->slice);
		cgroup_systemd_put_bool(b, "Delegate", true);
		put_pids(b, d->placeholder);
	}
	if (s->linux_.resources)
		rc = cgroup_systemd_put_limits(b, c, s->linux_.resources, err);
	if (rc == 0)
		rc = cgroup_systemd_put_annotations(b, s, err);
	dbus_close_array(b, properties);
	auxiliary = dbus_open_array(b, 8);
	dbus_close_array(b, auxiliary);
	return rc < 0 ? rc : b->failed ? error_oom(err) : 0;
}

/* systemd said so, and so it must be: what it wants of a process could have been refused by the kernel, and nothing may
 * run under other limits than those that were asked for (CVE-2025-47291 was of that kind). */
static int check_place(const struct cgroup *c, struct error *err)
{
	const struct cgroup_systemd *d = c->systemd;
	const char *path = c->dirs[0].path;
	auto_buf struct buf found = {0};
	int rc = 0;

	if (cgroup_systemd_has_placeholder(c) && c->v2)
		rc = cgroup_path_of(d->placeholder, "", &found, err);
	if (rc < 0)
		return rc;
	if (found.failed)
		return error_oom(err);
	if (found.data && !str_eq(found.data, path + strlen(CGROUP_ROOT)))
		return error_set(err, EPROTO, "systemd has put a process for %s into the cgroup %s instead of %s", c->unit,
				 found.data, path + strlen(CGROUP_ROOT));
	if (access(path, F_OK) < 0)
		return error_sys(err, "cannot find the cgroup %s that systemd should have made", path);
	return 0;
}

/* One that failed and was kept (by another runtime) gives its name away; one that has just ended needs a moment to be
 * forgotten. */
static int start_unit(struct cgroup *c, const struct buf *body, struct error *err)
{
	struct dbus *bus = &c->systemd->bus;
	struct error why = {0};
	int rc = run_job(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body, &why);

	for (int i = 0; rc == -EEXIST && i < EXISTS_TRIES; i++) {
		reset_failed(bus, c->unit);
		poll(NULL, 0, i > 0 ? EXISTS_WAIT_MS : 0);
		rc = run_job(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body, &why);
	}
	if (rc == -EEXIST) {
		rc = error_set(err, EEXIST, "cannot make the unit %s: there is one already; stop it (systemctl stop %s) or choose "
			       "another linux.cgroupsPath", c->unit, c->unit);
		cgroup_close(c);
	} else if (rc < 0) {
		rc = error_set(err, -rc, "cannot make the unit %s: systemd says: %s", c->unit, why.msg);
	}
	return rc;
}

int cgroup_systemd_start(struct cgroup *c, const struct spec *s, struct error *err)
{
	auto_buf struct buf body = {0};
	int rc = str_ends(c->unit, ".slice") ? 0 : make_placeholder(c->systemd, err);

	if (rc == 0)
		rc = put_unit(&body, c, s, err);
	if (rc == 0)
		rc = dbus_add_match(&c->systemd->bus, JOB_MATCH, err);
	if (rc == 0)
		rc = start_unit(c, &body, err);
	if (rc == 0)
		rc = check_place(c, err);
	if (rc < 0)
		cgroup_systemd_settle(c);
	return rc;
}

/* --- later -------------------------------------------------------------------------------------------------- */

int cgroup_systemd_update(const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	auto_dbus struct dbus d = DBUS_INIT;
	auto_buf struct buf body = {0};
	struct dbus_array properties;
	struct error why = {0};
	int rc;

	dbus_put_string(&body, c->unit);
	dbus_put_u32(&body, true); /* for as long as the unit lives */
	properties = dbus_open_array(&body, 8);
	rc = cgroup_systemd_put_limits(&body, c, r, err);
	dbus_close_array(&body, properties);
	if (rc == 0 && body.failed)
		rc = error_oom(err);
	if (rc < 0 || body.len == properties.start)
		return rc;
	rc = open_manager(&d, err);
	if (rc < 0)
		return rc;
	rc = call(&d, "SetUnitProperties", "sba(sv)", &body, NULL, &why);
	return rc < 0 ? error_set(err, -rc, "cannot change the unit %s: systemd says: %s", c->unit, why.msg) : 0;
}

int cgroup_systemd_stop(const struct cgroup *c, struct error *err)
{
	auto_dbus struct dbus d = DBUS_INIT;
	auto_buf struct buf body = {0};
	struct error why = {0};
	int rc = open_manager(&d, err);

	if (rc < 0)
		return rc;
	dbus_put_string(&body, c->unit);
	dbus_put_string(&body, "replace");
	if (body.failed)
		return error_oom(err);
	rc = dbus_add_match(&d, JOB_MATCH, &why);
	if (rc == 0)
		rc = run_job(&d, "StopUnit", "ss", &body, &why);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return error_set(err, -rc, "cannot stop the unit %s: systemd says: %s", c->unit, why.msg);
	/* An annotation may have changed how it is collected. */
	reset_failed(&d, c->unit);
	return 0;
}
