/* Limits: a table of runtime-spec property -> file and value, for both versions, in the order of writing.
 *
 * A property that the version has no file for is an error: a limit that is silently not there is worse than none.
 * Source: runtime-spec config-linux.md, kernel Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "log.h"
#include "str.h"

enum { VALUE_SIZE = 64 };

/* What is asked for, and of which cgroup. */
struct ask {
	const struct cgroup *c;
	const struct spec_resources *r;
};

struct limit {
	const char *name; /* in config.json, below linux.resources */
	enum cgroup_controller controller;
	const char *v1, *v2; /* NULL: the version has no such limit */
	/* Writes the file's text. 1: set, 0: not asked for (or nothing to write), negative: cannot be. */
	int (*value)(const struct ask *a, char out[VALUE_SIZE], struct error *err);
	const char *hint; /* what to do when it cannot be written */
};

/* --- controllers -------------------------------------------------------------------------------------------- */

static unsigned unified_needs(const struct json_map *unified)
{
	unsigned bits = 0;

	for (size_t i = 0; i < unified->n; i++) {
		size_t len = strcspn(unified->pairs[i].key, ".");

		for (size_t k = 0; k < CGROUP_CONTROLLERS; k++) {
			const char *name = cgroup_controllers[k].v2;

			if (name && strlen(name) == len && strncmp(name, unified->pairs[i].key, len) == 0)
				bits |= cgroup_controllers[k].bit;
		}
	}
	return bits;
}

static unsigned cpu_needs(const struct spec_cpu *cpu)
{
	unsigned bits = 0;

	if (cpu->shares || cpu->period || cpu->burst || cpu->quota || cpu->has_idle || cpu->rt_period || cpu->rt_runtime)
		bits |= CG_CPU;
	if (!str_empty(cpu->cpus) || !str_empty(cpu->mems))
		bits |= CG_CPUSET;
	return bits;
}

unsigned cgroup_needs(const struct spec_resources *r, bool v2)
{
	const struct spec_memory *m = r ? r->memory : NULL;
	unsigned bits;

	if (!r)
		return 0;
	bits = (r->cpu ? cpu_needs(r->cpu) : 0) | (r->block_io ? cgroup_blkio_needs(r->block_io) : 0) | cgroup_list_needs(r);
	if (r->n_devices > 0 && !v2)
		bits |= CG_DEVICES;
	if (m && (m->limit || m->reservation || m->swap || m->has_swappiness || m->disable_oom_killer))
		bits |= CG_MEMORY;
	if (r->pids && r->pids->has_limit)
		bits |= CG_PIDS;
	return v2 ? bits | unified_needs(&r->unified) : bits;
}

/* --- values ------------------------------------------------------------------------------------------------- */

static int print_i64(char out[VALUE_SIZE], int64_t n)
{
	snprintf(out, VALUE_SIZE, "%" PRId64, n);
	return 1;
}

static int print_u64(char out[VALUE_SIZE], uint64_t n)
{
	snprintf(out, VALUE_SIZE, "%" PRIu64, n);
	return 1;
}

/* Negative is unlimited: "max" on v2, -1 on v1. */
static int print_limit(char out[VALUE_SIZE], int64_t n, bool v2)
{
	if (n < 0) {
		strcpy(out, v2 ? "max" : "-1");
		return 1;
	}
	return print_i64(out, n);
}

static bool has_file(const struct ask *a, enum cgroup_controller bit, const char *file)
{
	const char *dir = cgroup_dir(a->c, bit);
	char text[VALUE_SIZE];

	return dir && cgroup_read(dir, file, text, sizeof(text), NULL) == 0;
}

static int memory_limit(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_memory *m = a->r->memory;

	(void)err;
	return m && m->limit ? print_limit(out, m->limit, a->c->v2) : 0;
}

static int memory_reservation(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_memory *m = a->r->memory;

	(void)err;
	return m && m->reservation ? print_limit(out, m->reservation, a->c->v2) : 0;
}

/* The limit that the sum counts from: the one that is asked for, or the one that there is. Negative: there is none. */
static int limit_beneath_swap(const struct ask *a, int64_t *ret, struct error *err)
{
	const struct spec_memory *m = a->r->memory;
	const char *dir = cgroup_dir(a->c, CG_MEMORY);
	char text[VALUE_SIZE];

	if (m->limit)
		return 0;
	if (dir && cgroup_read(dir, "memory.max", text, sizeof(text), NULL) == 0 && str_i64(text, 0, INT64_MAX, ret) == 0)
		return 0;
	return error_set(err, EINVAL, "linux.resources.memory.swap: %" PRId64 " counts memory and swap together, so it needs "
			 "memory.limit as well", m->swap);
}

/* config.json and v1 count memory and swap together, v2 counts swap alone. Unlimited memory with nothing said of swap is
 * unlimited in both, as v1's sum cannot be below. */
static int memory_swap(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_memory *m = a->r->memory;
	int64_t limit = m ? m->limit : 0;
	int rc;

	if (!m || (m->swap == 0 && m->limit >= 0))
		return 0;
	if (m->swap == 0)
		return has_file(a, CG_MEMORY, a->c->v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes") ?
			       print_limit(out, -1, a->c->v2) : 0;
	rc = a->c->v2 && m->swap > 0 ? limit_beneath_swap(a, &limit, err) : 0;
	if (rc < 0)
		return rc;
	if (m->swap > 0 && m->swap < limit)
		return error_set(err, EINVAL, "linux.resources.memory.swap: %" PRId64 " counts memory and swap together, and must "
				 "not be below memory.limit (%" PRId64 ")", m->swap, limit);
	return print_limit(out, a->c->v2 && m->swap > 0 && limit > 0 ? m->swap - limit : m->swap, a->c->v2);
}

static int memory_swappiness(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_memory *m = a->r->memory;

	if (!m || !m->has_swappiness)
		return 0;
	if (m->swappiness > 100)
		return error_set(err, EINVAL, "linux.resources.memory.swappiness: %" PRIu64 " is not within 0 and 100",
				 m->swappiness);
	return print_u64(out, m->swappiness);
}

static int memory_oom(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return a->r->memory && a->r->memory->disable_oom_killer ? print_i64(out, 1) : 0;
}

/* v1's shares, 2..262144 with 1024 as the default, to v2's weight, 1..10000 with 100: a curve through all three pairs.
 * Source: runtime-spec config-linux.md#cpu. */
static uint64_t shares_to_weight(uint64_t shares)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static int cpu_shares(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_cpu *cpu = a->r->cpu;

	(void)err;
	return cpu && cpu->shares ? print_u64(out, a->c->v2 ? shares_to_weight(cpu->shares) : cpu->shares) : 0;
}

static int cpu_period(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return a->r->cpu && a->r->cpu->period ? print_u64(out, a->r->cpu->period) : 0;
}

static int cpu_quota(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return a->r->cpu && a->r->cpu->quota ? print_i64(out, a->r->cpu->quota < 0 ? -1 : a->r->cpu->quota) : 0;
}

/* The quota that there is stays when only the period is asked for; the kernel does the same for the period. */
static int cpu_max(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_cpu *cpu = a->r->cpu;
	const char *dir = cgroup_dir(a->c, CG_CPU);
	char quota[VALUE_SIZE / 2] = "max";

	(void)err;
	if (!cpu || (cpu->quota == 0 && cpu->period == 0))
		return 0;
	if (cpu->quota > 0)
		snprintf(quota, sizeof(quota), "%" PRId64, cpu->quota);
	else if (cpu->quota == 0 && dir)
		cgroup_read(dir, "cpu.max", quota, sizeof(quota), NULL);
	quota[strcspn(quota, " ")] = '\0';
	if (cpu->period > 0)
		snprintf(out, VALUE_SIZE, "%s %" PRIu64, quota, cpu->period);
	else
		strcpy(out, quota);
	return 1;
}

/* 0 takes a burst away that an earlier update gave; where there cannot be one, there is nothing to take away. */
static int cpu_burst(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_cpu *cpu = a->r->cpu;

	(void)err;
	if (!cpu || !cpu->has_burst)
		return 0;
	if (cpu->burst == 0 && !has_file(a, CG_CPU, a->c->v2 ? "cpu.max.burst" : "cpu.cfs_burst_us"))
		return 0;
	return print_u64(out, cpu->burst);
}

static int cpu_idle(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return a->r->cpu && a->r->cpu->has_idle ? print_i64(out, a->r->cpu->idle) : 0;
}

static int cpu_rt_period(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return a->r->cpu && a->r->cpu->rt_period ? print_u64(out, a->r->cpu->rt_period) : 0;
}

static int cpu_rt_runtime(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return a->r->cpu && a->r->cpu->rt_runtime ? print_i64(out, a->r->cpu->rt_runtime) : 0;
}

/* 0 is a real limit: no process but init. The file says 1 then, as init is born in its cgroup on v2, and as systemd's
 * TasksMax cannot be 0. */
static int pids_limit(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_pids *p = a->r->pids;

	(void)err;
	if (!p || !p->has_limit)
		return 0;
	return p->limit < 0 ? (strcpy(out, "max"), 1) : print_i64(out, p->limit ? p->limit : 1);
}

static int class_id(const struct ask *a, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return a->r->network && a->r->network->class_id ? print_u64(out, a->r->network->class_id) : 0;
}

static const char limit_hint[] = "; if the device or resource is busy, the container uses more than that";
static const char swap_hint[] = "; if the file is missing, the kernel does not account swap (boot with swapaccount=1)";
static const char rt_hint[] = "; if the file is missing, the kernel has no realtime groups (CONFIG_RT_GROUP_SCHED), and a parent "
			      "cgroup must have as much realtime as its children";

static const struct limit limits[] = {
	{"memory.limit", CG_MEMORY, "memory.limit_in_bytes", "memory.max", memory_limit, limit_hint},
	{"memory.swap", CG_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max", memory_swap, swap_hint},
	{"memory.reservation", CG_MEMORY, "memory.soft_limit_in_bytes", "memory.low", memory_reservation, NULL},
	{"memory.swappiness", CG_MEMORY, "memory.swappiness", NULL, memory_swappiness, NULL},
	{"memory.disableOOMKiller", CG_MEMORY, "memory.oom_control", NULL, memory_oom, NULL},
	{"cpu.shares", CG_CPU, "cpu.shares", "cpu.weight", cpu_shares, NULL},
	{"cpu.period", CG_CPU, "cpu.cfs_period_us", "", cpu_period, NULL},
	{"cpu.quota", CG_CPU, "cpu.cfs_quota_us", "", cpu_quota, NULL},
	{"cpu.quota", CG_CPU, "", "cpu.max", cpu_max, NULL},
	{"cpu.burst", CG_CPU, "cpu.cfs_burst_us", "cpu.max.burst", cpu_burst, NULL},
	/* After the shares, which an idle group does not take any more. */
	{"cpu.idle", CG_CPU, "cpu.idle", "cpu.idle", cpu_idle, NULL},
	{"cpu.realtimePeriod", CG_CPU, "cpu.rt_period_us", NULL, cpu_rt_period, rt_hint},
	{"cpu.realtimeRuntime", CG_CPU, "cpu.rt_runtime_us", NULL, cpu_rt_runtime, rt_hint},
	{"pids.limit", CG_PIDS, "pids.max", "pids.max", pids_limit, NULL},
	{"network.classID", CG_NET_CLS, "net_cls.classid", NULL, class_id, NULL},
};

/* --- writing ------------------------------------------------------------------------------------------------ */

int cgroup_no_such_limit(const struct cgroup *c, const char *name, struct error *err)
{
	return error_set(err, ENOTSUP, "linux.resources.%s: cgroup v%d has no such limit; leave it out", name, c->v2 ? 2 : 1);
}

int cgroup_set(const struct cgroup *c, const char *name, enum cgroup_controller bit, const char *file, const char *value,
	       const char *hint, struct error *err)
{
	const char *dir = cgroup_dir(c, bit);
	struct error why = {0};
	int r;

	if (!dir)
		return error_set(err, ENOENT, "cannot set linux.resources.%s: the container is in no cgroup of that controller; "
				 "it is when it is created with a linux.cgroupsPath or with such a limit", name);
	r = cgroup_write(dir, file, value, &why);
	if (r < 0)
		return error_set(err, -r, "cannot set linux.resources.%s: %s%s", name, why.msg, hint ? hint : "");
	return 0;
}

/* One round. Returns how many limits the kernel refuses as they stand, with the first one's error in err, or an error that
 * no other limit can cure. `done`: written, or not asked for. */
static int apply_round(const struct ask *a, bool done[ARRAY_SIZE(limits)], struct error *err)
{
	int refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct limit *l = &limits[i];
		const char *file = a->c->v2 ? l->v2 : l->v1;
		char value[VALUE_SIZE];
		int r;

		/* "": another row's file has it in this version. */
		if (done[i] || str_eq(file, ""))
			continue;
		r = l->value(a, value, err);
		if (r > 0)
			r = file ? cgroup_set(a->c, l->name, l->controller, file, value, l->hint, refused ? NULL : err) :
				   cgroup_no_such_limit(a->c, l->name, err);
		if (r < 0 && r != -EINVAL)
			return r;
		done[i] = r == 0;
		refused += r < 0;
	}
	return refused;
}

/* Limits depend on each other: the quota on the burst, the shares on idleness, v1's memory on its sum with swap. Which of a
 * pair can be written first depends on the values that there are, so what the kernel does not take is tried again for as
 * long as others were taken meanwhile. */
static int apply_table(const struct ask *a, struct error *err)
{
	bool done[ARRAY_SIZE(limits)] = {false};
	int left = ARRAY_SIZE(limits) + 1, before;
	struct error why = {0};

	do {
		before = left;
		left = apply_round(a, done, &why);
	} while (left > 0 && left < before);
	return left ? error_set(err, why.code, "%s", why.msg) : 0;
}

/* Whatever can be judged without the kernel, before anything is written. */
static int check_values(const struct ask *a, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const char *file = a->c->v2 ? limits[i].v2 : limits[i].v1;
		char value[VALUE_SIZE];
		int r = str_eq(file, "") ? 0 : limits[i].value(a, value, err);

		if (r < 0)
			return r;
		if (r > 0 && !file)
			return cgroup_no_such_limit(a->c, limits[i].name, err);
	}
	return 0;
}

int cgroup_visit_limits(const struct cgroup *c, const struct spec_resources *r,
			void (*visit)(void *arg, const char *file, const char *text), void *arg, struct error *err)
{
	const struct ask a = {.c = c, .r = r};
	char value[VALUE_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const char *file = c->v2 ? limits[i].v2 : limits[i].v1;
		int rc = str_empty(file) ? 0 : limits[i].value(&a, value, err);

		if (rc < 0)
			return rc;
		if (rc > 0)
			visit(arg, file, value);
	}
	if (r->cpu && !str_empty(r->cpu->cpus))
		visit(arg, "cpuset.cpus", r->cpu->cpus);
	if (r->cpu && !str_empty(r->cpu->mems))
		visit(arg, "cpuset.mems", r->cpu->mems);
	return 0;
}

static int check_hierarchy(const struct spec_memory *m, struct error *err)
{
	if (!m || !m->has_use_hierarchy || m->use_hierarchy)
		return 0;
	return error_set(err, ENOTSUP, "linux.resources.memory.useHierarchy: false is not possible, current kernels always "
			 "account memory hierarchically; leave it out");
}

/* v2 would take a limit below what is in use and kill for it; v1's kernel refuses by itself. */
static int check_usage(const struct cgroup *c, const struct spec_memory *m, struct error *err)
{
	char text[VALUE_SIZE];
	uint64_t usage;
	int r;

	if (!c->v2 || !m || !m->check_before_update || m->limit <= 0)
		return 0;
	r = cgroup_read(c->dirs[0].path, "memory.current", text, sizeof(text), err);
	if (r < 0)
		return r;
	if (str_u64(text, 0, UINT64_MAX, &usage) == 0 && usage > (uint64_t)m->limit)
		return error_set(err, EBUSY, "rejecting memory limit %" PRId64 ": the container uses %" PRIu64 " bytes", m->limit,
				 usage);
	return 0;
}

static int apply_cpuset(const struct cgroup *c, const struct spec_cpu *cpu, struct error *err)
{
	int r = 0;

	if (cpu && !str_empty(cpu->cpus))
		r = cgroup_set(c, "cpu.cpus", CG_CPUSET, "cpuset.cpus", cpu->cpus, NULL, err);
	if (r == 0 && cpu && !str_empty(cpu->mems))
		r = cgroup_set(c, "cpu.mems", CG_CPUSET, "cpuset.mems", cpu->mems, NULL, err);
	return r;
}

int cgroup_limits(const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	const struct ask a = {.c = c, .r = r};
	int rc = check_hierarchy(r->memory, err);

	if (r->memory && (r->memory->kernel || r->memory->kernel_tcp))
		log_warn("linux.resources.memory.kernel and kernelTCP are ignored: kernels have no such limits any more; use "
			 "memory.limit");
	if (rc == 0)
		rc = check_usage(c, r->memory, err);
	if (rc == 0)
		rc = check_values(&a, err);
	if (rc == 0)
		rc = apply_table(&a, err);
	if (rc == 0)
		rc = apply_cpuset(c, r->cpu, err);
	if (rc == 0 && r->block_io)
		rc = cgroup_blkio(c, r->block_io, err);
	return rc < 0 ? rc : cgroup_lists(c, r, err);
}

int cgroup_update(const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	bool made;
	int rc = 0;

	if (!c->v2 && r->unified.n > 0)
		return error_set(err, ENOTSUP, "linux.resources.unified is for cgroup v2; this host's controllers are on v1");
	if (c->v2)
		rc = cgroup_v2_make(&c->dirs[0], cgroup_needs(r, true), 0, &made, err);
	if (rc == 0 && c->unit)
		rc = cgroup_systemd_update(c, r, err);
	return rc < 0 ? rc : cgroup_limits(c, r, err);
}
