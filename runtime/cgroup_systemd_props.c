/* A unit's properties: from the resources and from annotations.
 *
 * systemd writes the files of its properties whenever it sees a reason to (daemon-reload), with what it knows. So it is told
 * of every limit that it has a property for; the files are written by ourselves nevertheless, since systemd rounds.
 * Source: systemd.resource-control(5), org.freedesktop.systemd1(5). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_impl.h"
#include "cgroup_systemd.h"
#include "cleanup.h"
#include "dbus.h"
#include "error.h"
#include "str.h"

#define ANNOTATION "org.systemd.property."

enum { USEC_PER_SEC = 1000000, QUOTA_STEP = 10000, MASK_BITS = 8192 };

void cgroup_systemd_put_string(struct buf *b, const char *name, const char *value)
{
	dbus_align(b, 8);
	dbus_put_string(b, name);
	dbus_put_signature(b, "s");
	dbus_put_string(b, value);
}

void cgroup_systemd_put_bool(struct buf *b, const char *name, bool value)
{
	dbus_align(b, 8);
	dbus_put_string(b, name);
	dbus_put_signature(b, "b");
	dbus_put_u32(b, value);
}

void cgroup_systemd_put_u64(struct buf *b, const char *name, uint64_t value)
{
	dbus_align(b, 8);
	dbus_put_string(b, name);
	dbus_put_signature(b, "t");
	dbus_put_u64(b, value);
}

/* --- limits ------------------------------------------------------------------------------------------------- */

/* What the limits' files say, put together. */
struct limits {
	struct buf *b;
	bool has_placeholder;
	uint64_t quota, period; /* microseconds; quota UINT64_MAX: no limit, 0: not said */
};

struct property {
	const char *v1, *v2; /* the files; NULL: systemd does not handle this one */
	const char *name;
	/* false: the text is not what such a file takes, which is left to the kernel to say. */
	bool (*put)(struct limits *l, const char *name, const char *text);
};

static bool put_number(struct limits *l, const char *name, const char *text)
{
	uint64_t v;

	if (str_u64(text, 0, UINT64_MAX, &v) < 0)
		return false;
	cgroup_systemd_put_u64(l->b, name, v);
	return true;
}

static bool put_limit(struct limits *l, const char *name, const char *text)
{
	if (!str_eq(text, "max") && !str_eq(text, "-1"))
		return put_number(l, name, text);
	cgroup_systemd_put_u64(l->b, name, UINT64_MAX);
	return true;
}

/* The placeholder and init are there together for a moment; systemd has no limit of 0. */
static bool put_tasks(struct limits *l, const char *name, const char *text)
{
	uint64_t least = l->has_placeholder ? 2 : 1, v;

	if (str_u64(text, 0, UINT64_MAX, &v) < 0)
		return put_limit(l, name, text);
	cgroup_systemd_put_u64(l->b, name, v < least ? least : v);
	return true;
}

/* "0-3,7" as bits, the lowest first. */
static bool put_mask(struct limits *l, const char *name, const char *text)
{
	uint8_t mask[MASK_BITS / 8] = {0};
	struct dbus_array a;
	size_t n = 0;

	for (const char *p = text; *p;) {
		char *end;
		unsigned long first = strtoul(p, &end, 10), last = first;

		if (end == p || !isdigit((unsigned char)*p))
			return false;
		if (*end == '-')
			last = strtoul(p = end + 1, &end, 10);
		if (end == p || last < first || last >= MASK_BITS || (*end && *end != ','))
			return false;
		for (unsigned long i = first; i <= last; i++)
			mask[i / 8] |= (uint8_t)(1 << i % 8);
		n = last / 8 + 1 > n ? last / 8 + 1 : n;
		p = *end ? end + 1 : end;
	}
	dbus_align(l->b, 8);
	dbus_put_string(l->b, name);
	dbus_put_signature(l->b, "ay");
	a = dbus_open_array(l->b, 1);
	buf_add(l->b, mask, n);
	dbus_close_array(l->b, a);
	return true;
}

static bool note_period(struct limits *l, const char *name, const char *text)
{
	(void)name;
	return str_u64(text, 1, USEC_PER_SEC, &l->period) == 0;
}

static bool note_quota(struct limits *l, const char *name, const char *text)
{
	(void)name;
	if (!str_eq(text, "max") && !str_eq(text, "-1"))
		return str_u64(text, 1, UINT64_MAX / USEC_PER_SEC, &l->quota) == 0;
	l->quota = UINT64_MAX;
	return true;
}

/* "QUOTA PERIOD" or "QUOTA" */
static bool note_cpu_max(struct limits *l, const char *name, const char *text)
{
	const char *space = strchr(text, ' ');
	auto_free char *quota = space ? strndup(text, (size_t)(space - text)) : strdup(text);

	if (!quota || !note_quota(l, name, quota))
		return false;
	return !space || note_period(l, name, space + 1);
}

static const struct property properties[] = {
	{"memory.limit_in_bytes", NULL, "MemoryLimit", put_limit},
	{NULL, "memory.max", "MemoryMax", put_limit},
	{NULL, "memory.high", "MemoryHigh", put_limit},
	{NULL, "memory.low", "MemoryLow", put_limit},
	{NULL, "memory.min", "MemoryMin", put_limit},
	{NULL, "memory.swap.max", "MemorySwapMax", put_limit},
	{"cpu.shares", NULL, "CPUShares", put_number},
	{NULL, "cpu.weight", "CPUWeight", put_number},
	{"cpu.cfs_quota_us", NULL, NULL, note_quota},
	{"cpu.cfs_period_us", NULL, NULL, note_period},
	{NULL, "cpu.max", NULL, note_cpu_max},
	{NULL, "cpuset.cpus", "AllowedCPUs", put_mask},
	{NULL, "cpuset.mems", "AllowedMemoryNodes", put_mask},
	{"pids.max", "pids.max", "TasksMax", put_tasks},
	{NULL, "io.weight", "IOWeight", put_number},
};

static void put_one(struct limits *l, bool v2, const char *file, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
		if (str_eq(v2 ? properties[i].v2 : properties[i].v1, file))
			(void)properties[i].put(l, properties[i].name, text);
}

/* systemd keeps the quota in whole percents of a second, cut off: rounded up, it never is below what was asked for. */
static void put_quota(struct limits *l)
{
	uint64_t period = l->period ? l->period : 100000, per_sec = UINT64_MAX;

	if (l->period)
		cgroup_systemd_put_u64(l->b, "CPUQuotaPeriodUSec", l->period);
	if (l->quota == 0)
		return;
	if (l->quota != UINT64_MAX)
		per_sec = (l->quota * USEC_PER_SEC / period + QUOTA_STEP - 1) / QUOTA_STEP * QUOTA_STEP;
	cgroup_systemd_put_u64(l->b, "CPUQuotaPerSecUSec", per_sec);
}

static void visit_v1(void *arg, const char *file, const char *text)
{
	put_one(arg, false, file, text);
}

static void visit_v2(void *arg, const char *file, const char *text)
{
	put_one(arg, true, file, text);
}

int cgroup_systemd_put_limits(struct buf *b, const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	struct limits l = {.b = b, .has_placeholder = cgroup_systemd_has_placeholder(c)};
	int rc = cgroup_visit_limits(c, r, c->v2 ? visit_v2 : visit_v1, &l, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; c->v2 && i < r->unified.n; i++)
		put_one(&l, true, r->unified.pairs[i].key, r->unified.pairs[i].value);
	put_quota(&l);
	return 0;
}

/* --- annotations -------------------------------------------------------------------------------------------- */

static bool is_property(const char *name)
{
	size_t n = 0;

	while (isalpha((unsigned char)name[n]))
		n++;
	return n >= 3 && name[n] == '\0';
}

/* systemd's properties have microseconds where its unit files have seconds: TimeoutStopSec=5 is TimeoutStopUSec=5000000.
 * (TimeoutStopUSec itself is left as it is.) */
static bool is_seconds(const char *name)
{
	size_t len = strlen(name);

	return len > 3 && str_ends(name, "Sec") && islower((unsigned char)name[len - 4]);
}

/* "5", "uint64 5", "0.5" */
static int put_seconds(struct buf *b, const char *name, const char *text, struct error *err)
{
	const char *number = text + strspn(text, "abcdefghijklmnopqrstuvwxyz");
	auto_free char *property = NULL;
	char *end;
	double seconds;

	if (number > text) /* a type's name */
		number += strcspn(number, "-0123456789");
	seconds = strtod(number, &end);
	if (end == number || *end || !(seconds >= 0 && seconds < 1e12))
		return error_set(err, EINVAL, "a number of seconds was expected at \"%s\"", number);
	property = str_printf("%.*sUSec", (int)(strlen(name) - strlen("Sec")), name);
	if (!property)
		return error_oom(err);
	cgroup_systemd_put_u64(b, property, (uint64_t)(seconds * USEC_PER_SEC));
	return 0;
}

int cgroup_systemd_put_annotations(struct buf *b, const struct spec *s, struct error *err)
{
	for (size_t i = 0; i < s->annotations.n; i++) {
		const char *key = s->annotations.pairs[i].key, *text = s->annotations.pairs[i].value;
		const char *name = key + strlen(ANNOTATION);
		int rc;

		if (!str_starts(key, ANNOTATION))
			continue;
		if (!is_property(name))
			return error_set(err, EINVAL, "annotations[\"%s\"]: \"%s\" is not the name of a property of systemd's units",
					 key, name);
		if (is_seconds(name)) {
			rc = put_seconds(b, name, text, err);
		} else {
			dbus_align(b, 8);
			dbus_put_string(b, name);
			rc = dbus_put_text(b, text, err);
		}
		if (rc < 0)
			return error_wrap(err, "annotations[\"%s\"]", key);
	}
	return 0;
}
