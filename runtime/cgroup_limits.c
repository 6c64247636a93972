/* Limits: a table of runtime-spec property -> file and value, for both versions, in the order of writing.
 *
 * A property that the version has no file for is an error: a limit that is silently not there is worse than none.
 * Source: runtime-spec config-linux.md, kernel Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"

enum { VALUE_SIZE = 64 };

struct limit {
	const char *name; /* in config.json, below linux.resources */
	enum cgroup_controller controller;
	const char *v1, *v2; /* NULL: the version has no such limit */
	/* Writes the file's text. 1: set, 0: not asked for (or nothing to write), negative: cannot be. */
	int (*value)(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err);
	const char *hint; /* what to do when it cannot be written */
};

/* In properties that are numbers, 0 means unset: clients write it for what nobody chose. Exceptions say so. */

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

unsigned cgroup_needs(const struct spec_resources *r, bool v2)
{
	const struct spec_memory *m = r ? r->memory : NULL;
	const struct spec_cpu *cpu = r ? r->cpu : NULL;
	unsigned bits = 0;

	if (!r)
		return 0;
	if (r->n_devices > 0 && !v2)
		bits |= CG_DEVICES;
	if (m && (m->limit || m->reservation || m->swap || m->has_swappiness || m->disable_oom_killer))
		bits |= CG_MEMORY;
	if (cpu && (cpu->shares || cpu->period || cpu->burst || cpu->quota || cpu->has_idle))
		bits |= CG_CPU;
	if (cpu && (!str_empty(cpu->cpus) || !str_empty(cpu->mems)))
		bits |= CG_CPUSET;
	if (r->pids)
		bits |= CG_PIDS;
	return v2 ? bits | unified_needs(&r->unified) : bits;
}

/* --- values ------------------------------------------------------------------------------------------------- */

static int print_i64(char out[VALUE_SIZE], int64_t n)
{
	snprintf(out, VALUE_SIZE, "%" PRId64, n);
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

static int memory_limit(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return r->memory && r->memory->limit ? print_limit(out, r->memory->limit, v2) : 0;
}

static int memory_reservation(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	return r->memory && r->memory->reservation ? print_limit(out, r->memory->reservation, v2) : 0;
}

/* config.json and v1 count memory and swap together, v2 counts swap alone. */
static int memory_swap(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	const struct spec_memory *m = r->memory;

	if (!m || m->swap == 0)
		return 0;
	if (!v2 || m->swap < 0)
		return print_limit(out, m->swap, v2);
	if (m->limit <= 0)
		return error_set(err, EINVAL, "linux.resources.memory.swap: %" PRId64 " counts memory and swap together, so it "
				 "needs memory.limit as well", m->swap);
	if (m->swap < m->limit)
		return error_set(err, EINVAL, "linux.resources.memory.swap: %" PRId64 " counts memory and swap together, and must "
				 "not be below memory.limit (%" PRId64 ")", m->swap, m->limit);
	return print_i64(out, m->swap - m->limit);
}

static int memory_swappiness(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)v2;
	if (!r->memory || !r->memory->has_swappiness)
		return 0;
	if (r->memory->swappiness > 100)
		return error_set(err, EINVAL, "linux.resources.memory.swappiness: %" PRIu64 " is not within 0 and 100",
				 r->memory->swappiness);
	return print_i64(out, (int64_t)r->memory->swappiness);
}

static int memory_oom(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)v2, (void)err;
	return r->memory && r->memory->disable_oom_killer ? print_i64(out, 1) : 0;
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

static int cpu_shares(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)err;
	if (!r->cpu || r->cpu->shares == 0)
		return 0;
	snprintf(out, VALUE_SIZE, "%" PRIu64, v2 ? shares_to_weight(r->cpu->shares) : r->cpu->shares);
	return 1;
}

static int cpu_period(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)v2, (void)err;
	if (!r->cpu || r->cpu->period == 0)
		return 0;
	snprintf(out, VALUE_SIZE, "%" PRIu64, r->cpu->period);
	return 1;
}

static int cpu_quota(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)v2, (void)err;
	return r->cpu && r->cpu->quota ? print_i64(out, r->cpu->quota < 0 ? -1 : r->cpu->quota) : 0;
}

static int cpu_max(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	int n = 0;

	(void)v2, (void)err;
	if (!r->cpu || (r->cpu->quota == 0 && r->cpu->period == 0))
		return 0;
	if (r->cpu->quota > 0)
		n = snprintf(out, VALUE_SIZE, "%" PRId64, r->cpu->quota);
	else
		n = snprintf(out, VALUE_SIZE, "max");
	if (r->cpu->period > 0)
		snprintf(out + n, VALUE_SIZE - n, " %" PRIu64, r->cpu->period);
	return 1;
}

static int cpu_burst(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)v2, (void)err;
	if (!r->cpu || r->cpu->burst == 0)
		return 0;
	snprintf(out, VALUE_SIZE, "%" PRIu64, r->cpu->burst);
	return 1;
}

static int cpu_idle(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)v2, (void)err;
	return r->cpu && r->cpu->has_idle ? print_i64(out, r->cpu->idle) : 0;
}

/* 0 is a real limit: no further process. */
static int pids_limit(const struct spec_resources *r, bool v2, char out[VALUE_SIZE], struct error *err)
{
	(void)v2, (void)err;
	if (!r->pids)
		return 0;
	return r->pids->limit < 0 ? (strcpy(out, "max"), 1) : print_i64(out, r->pids->limit);
}

static const char swap_hint[] = "; if the file is missing, the kernel does not account swap (boot with swapaccount=1)";

static const struct limit limits[] = {
	{"memory.limit", CG_MEMORY, "memory.limit_in_bytes", "memory.max", memory_limit, NULL},
	/* After the limit: v1 refuses a sum below it. */
	{"memory.swap", CG_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max", memory_swap, swap_hint},
	{"memory.reservation", CG_MEMORY, "memory.soft_limit_in_bytes", "memory.low", memory_reservation, NULL},
	{"memory.swappiness", CG_MEMORY, "memory.swappiness", NULL, memory_swappiness, NULL},
	{"memory.disableOOMKiller", CG_MEMORY, "memory.oom_control", NULL, memory_oom, NULL},
	{"cpu.shares", CG_CPU, "cpu.shares", "cpu.weight", cpu_shares, NULL},
	/* The period before the quota, and both before the burst, which must not exceed the quota. */
	{"cpu.period", CG_CPU, "cpu.cfs_period_us", "", cpu_period, NULL},
	{"cpu.quota", CG_CPU, "cpu.cfs_quota_us", "", cpu_quota, NULL},
	{"cpu.quota", CG_CPU, "", "cpu.max", cpu_max, NULL},
	{"cpu.burst", CG_CPU, "cpu.cfs_burst_us", "cpu.max.burst", cpu_burst, NULL},
	/* After the shares, which an idle group cannot take any more. */
	{"cpu.idle", CG_CPU, "cpu.idle", "cpu.idle", cpu_idle, NULL},
	{"pids.limit", CG_PIDS, "pids.max", "pids.max", pids_limit, NULL},
};

/* --- writing ------------------------------------------------------------------------------------------------ */

static int write_limit(const struct cgroup *c, const char *name, enum cgroup_controller bit, const char *file,
		       const char *value, const char *hint, struct error *err)
{
	const char *dir = cgroup_dir(c, bit);
	struct error why = {0};
	int r;

	if (!dir)
		return error_set(err, ENOENT, "cannot set linux.resources.%s: the container is in no cgroup of that controller",
				 name);
	r = cgroup_write(dir, file, value, &why);
	if (r < 0)
		return error_set(err, -r, "cannot set linux.resources.%s: %s%s", name, why.msg, hint ? hint : "");
	return 0;
}

static int apply(const struct cgroup *c, const struct limit *l, const struct spec_resources *r, struct error *err)
{
	const char *file = c->v2 ? l->v2 : l->v1;
	char value[VALUE_SIZE];
	int set;

	if (file && file[0] == '\0')
		return 0; /* another row's file has it in this version */
	set = l->value(r, c->v2, value, err);
	if (set <= 0)
		return set;
	if (!file)
		return error_set(err, ENOTSUP, "linux.resources.%s: cgroup v%d has no such limit; leave it out", l->name,
				 c->v2 ? 2 : 1);
	return write_limit(c, l->name, l->controller, file, value, l->hint, err);
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
		r = write_limit(c, "cpu.cpus", CG_CPUSET, "cpuset.cpus", cpu->cpus, NULL, err);
	if (r == 0 && cpu && !str_empty(cpu->mems))
		r = write_limit(c, "cpu.mems", CG_CPUSET, "cpuset.mems", cpu->mems, NULL, err);
	return r;
}

/* The keys are the files' names, so a key must not lead out of the directory. A value of several lines is as many
 * writes, as the kernel's files take one setting a write. */
static int apply_unified(const struct cgroup *c, const struct json_pair *p, struct error *err)
{
	struct error why = {0};

	if (!fs_is_name(p->key))
		return error_set(err, EINVAL, "linux.resources.unified: \"%s\" is not a file name of a cgroup", p->key);
	for (const char *line = p->value; *line;) {
		size_t len = strcspn(line, "\n");
		auto_free char *value = strndup(line, len);
		int r = value ? cgroup_write(c->dirs[0].path, p->key, value, &why) : error_oom(&why);

		if (r == -ENOENT)
			return error_set(err, ENOENT, "cannot set linux.resources.unified[\"%s\"]: %s has no such file; the "
					 "controller %.*s is not available there, or has no such setting", p->key,
					 c->dirs[0].path, (int)strcspn(p->key, "."), p->key);
		if (r < 0)
			return error_set(err, -r, "cannot set linux.resources.unified[\"%s\"]: %s", p->key, why.msg);
		line += len;
		line += *line == '\n';
	}
	return 0;
}

int cgroup_limits(const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	int rc = check_hierarchy(r->memory, err);

	if (rc == 0)
		rc = check_usage(c, r->memory, err);
	for (size_t i = 0; i < ARRAY_SIZE(limits) && rc == 0; i++)
		rc = apply(c, &limits[i], r, err);
	if (rc == 0)
		rc = apply_cpuset(c, r->cpu, err);
	for (size_t i = 0; i < r->unified.n && rc == 0; i++)
		rc = apply_unified(c, &r->unified.pairs[i], err);
	return rc;
}
