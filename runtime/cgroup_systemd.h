/* The systemd driver: the container's cgroup is a transient unit, a scope in a slice.
 *
 *    plan     finds the unit's name and path; connects to systemd
 *    start    a placeholder (a child that only waits) is put into the new scope, so that the scope is there
 *    settle   the container's init has been born in the scope: the placeholder ends
 *
 * A scope lives as long as it has a process. The placeholder dies with us and init does too, so whenever we are killed
 * systemd takes the scope away by itself. */
#ifndef CGROUP_SYSTEMD_H
#define CGROUP_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct cgroup;
struct error;
struct spec;
struct spec_resources;

/* Sets c->unit and c->systemd; path is where in a hierarchy the unit's directory will be ("/system.slice/x.scope"). */
int cgroup_systemd_plan(struct cgroup *c, const struct spec *s, const char *id, struct buf *path, struct error *err);
/* Has systemd make the unit, with those limits and properties that systemd knows. When somebody else has a unit of that
 * name nothing in the plan is ours: *c is empty then. */
int cgroup_systemd_start(struct cgroup *c, const struct spec *s, struct error *err);
/* Ends the placeholder, if there is one. */
void cgroup_systemd_settle(struct cgroup *c);
bool cgroup_systemd_has_placeholder(const struct cgroup *c);
/* The unit is stopped and forgotten; that there is none is success. */
int cgroup_systemd_stop(const struct cgroup *c, struct error *err);
void cgroup_systemd_close(struct cgroup *c);

/* cgroup_systemd_name.c: cgroupsPath as "SLICE:PREFIX:NAME".
 * Both names are allocations of the caller's. */
int cgroup_systemd_names(const char *cgroups_path, const char *id, bool user, char **ret_slice, char **ret_unit,
			 struct error *err);
/* "a-b.slice" -> "/a.slice/a-b.slice", "-.slice" -> "". */
int cgroup_systemd_expand(const char *slice, struct buf *out, struct error *err);

/* cgroup_systemd_props.c: appends to an array of properties (sv). */
void cgroup_systemd_put_string(struct buf *b, const char *name, const char *value);
void cgroup_systemd_put_bool(struct buf *b, const char *name, bool value);
void cgroup_systemd_put_u64(struct buf *b, const char *name, uint64_t value);
/* The limits that systemd has properties for, so that it does not undo them (daemon-reload). */
int cgroup_systemd_put_limits(struct buf *b, const struct cgroup *c, const struct spec_resources *r, struct error *err);
/* What the annotations org.systemd.property.NAME say. */
int cgroup_systemd_put_annotations(struct buf *b, const struct spec *s, struct error *err);

#endif
