/* nsrun update: limits from options, or as JSON. The options are turned into the same JSON, so that both have one decoder. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"
#include "error.h"
#include "fs.h"
#include "json.h"

struct options {
	const char *resources;
	const char *blkio_weight;
	const char *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_rt_period, *cpu_rt_runtime, *cpu_idle;
	const char *cpuset_cpus, *cpuset_mems;
	const char *memory, *memory_reservation, *memory_swap, *kernel_memory, *kernel_memory_tcp;
	const char *pids_limit;
	const char *l3_cache_schema, *mem_bw_schema;
};

#define OPTION(name, letter, member, value, help) {name, letter, CLI_STRING, offsetof(struct options, member), value, help}
static const struct cli_option options[] = {
	OPTION("resources", 'r', resources, "FILE", "what to change, as a resources object in JSON; - is the standard input"),
	OPTION("blkio-weight", 0, blkio_weight, "N", "share of block devices, 10 to 1000"),
	OPTION("cpu-period", 0, cpu_period, "USEC", "period of the CPU quota"),
	OPTION("cpu-quota", 0, cpu_quota, "USEC", "CPU time in a period; -1: unlimited"),
	OPTION("cpu-burst", 0, cpu_burst, "USEC", "CPU time that may be saved up for a later period"),
	OPTION("cpu-share", 0, cpu_share, "N", "share of the CPUs, against other containers"),
	OPTION("cpu-rt-period", 0, cpu_rt_period, "USEC", "period of the realtime limit (cgroup v1)"),
	OPTION("cpu-rt-runtime", 0, cpu_rt_runtime, "USEC", "realtime in a period (cgroup v1)"),
	OPTION("cpu-idle", 0, cpu_idle, "0|1", "1: runs only when nothing else wants to (SCHED_IDLE)"),
	OPTION("cpuset-cpus", 0, cpuset_cpus, "LIST", "the CPUs to run on: 0-2,7"),
	OPTION("cpuset-mems", 0, cpuset_mems, "LIST", "the memory nodes to use"),
	OPTION("memory", 0, memory, "SIZE", "memory: bytes, or with k, m, g, t, p; -1: unlimited"),
	OPTION("memory-reservation", 0, memory_reservation, "SIZE", "memory that is reclaimed last"),
	OPTION("memory-swap", 0, memory_swap, "SIZE", "memory and swap together; -1: unlimited swap"),
	OPTION("kernel-memory", 0, kernel_memory, "SIZE", NULL),
	OPTION("kernel-memory-tcp", 0, kernel_memory_tcp, "SIZE", NULL),
	OPTION("pids-limit", 0, pids_limit, "N", "number of processes; -1: unlimited"),
	OPTION("l3-cache-schema", 0, l3_cache_schema, "TEXT", NULL),
	OPTION("mem-bw-schema", 0, mem_bw_schema, "TEXT", NULL),
	{.kind = CLI_END},
};

/* --- options as JSON ---------------------------------------------------------------------------------------- */

enum kind { TEXT, SIGNED, UNSIGNED, SIZE };

static const struct {
	const char *option, *object, *key;
	enum kind kind;
	size_t offset;
} properties[] = {
	{"blkio-weight", "blockIO", "weight", UNSIGNED, offsetof(struct options, blkio_weight)},
	{"cpu-period", "cpu", "period", UNSIGNED, offsetof(struct options, cpu_period)},
	{"cpu-quota", "cpu", "quota", SIGNED, offsetof(struct options, cpu_quota)},
	{"cpu-burst", "cpu", "burst", UNSIGNED, offsetof(struct options, cpu_burst)},
	{"cpu-share", "cpu", "shares", UNSIGNED, offsetof(struct options, cpu_share)},
	{"cpu-rt-period", "cpu", "realtimePeriod", UNSIGNED, offsetof(struct options, cpu_rt_period)},
	{"cpu-rt-runtime", "cpu", "realtimeRuntime", SIGNED, offsetof(struct options, cpu_rt_runtime)},
	{"cpu-idle", "cpu", "idle", SIGNED, offsetof(struct options, cpu_idle)},
	{"cpuset-cpus", "cpu", "cpus", TEXT, offsetof(struct options, cpuset_cpus)},
	{"cpuset-mems", "cpu", "mems", TEXT, offsetof(struct options, cpuset_mems)},
	{"memory", "memory", "limit", SIZE, offsetof(struct options, memory)},
	{"memory-reservation", "memory", "reservation", SIZE, offsetof(struct options, memory_reservation)},
	{"memory-swap", "memory", "swap", SIZE, offsetof(struct options, memory_swap)},
	{"kernel-memory", "memory", "kernel", SIZE, offsetof(struct options, kernel_memory)},
	{"kernel-memory-tcp", "memory", "kernelTCP", SIZE, offsetof(struct options, kernel_memory_tcp)},
	{"pids-limit", "pids", "limit", SIGNED, offsetof(struct options, pids_limit)},
};

static struct json_value *make_number(struct json_doc *doc, int64_t n)
{
	struct json_value *v = n < 0 ? json_make(doc, JSON_NUMBER) : json_make_u64(doc, (uint64_t)n);
	char text[24];

	if (v && n < 0) {
		v->n = (size_t)snprintf(text, sizeof(text), "%" PRId64, n);
		v->text = json_strdup(doc, text);
	}
	return v && v->text ? v : NULL;
}

/* The option's value, or NULL with err set. */
static struct json_value *make_value(struct json_doc *doc, const char *option, enum kind kind, const char *text,
				     struct error *err)
{
	struct json_value *v;
	int64_t n = -1;
	int rc = 0;

	if (kind == UNSIGNED || kind == SIGNED)
		rc = str_i64(text, kind == SIGNED ? INT64_MIN : 0, INT64_MAX, &n);
	else if (kind == SIZE && !str_eq(text, "-1"))
		rc = str_size(text, &n);
	if (rc < 0) {
		error_set(err, EINVAL, "invalid value for %s: \"%s\" is not %s", option, text,
			  kind == SIZE ? "a size (bytes, or with k, m, g, t, p) or -1" : kind == SIGNED ? "a number" :
			  "a number of 0 or more");
		return NULL;
	}
	v = kind == TEXT ? json_make_text(doc, text) : make_number(doc, n);
	if (!v)
		error_oom(err);
	return v;
}

static int collect(const struct options *o, struct json_doc *doc, struct json_value *root, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
		const char *text = *(const char *const *)((const char *)o + properties[i].offset);
		struct json_value *object = json_get(root, properties[i].object), *v;

		if (str_empty(text))
			continue;
		v = make_value(doc, properties[i].option, properties[i].kind, text, err);
		if (!v)
			return -err->code;
		if (!object) {
			object = json_make(doc, JSON_OBJECT);
			if (json_set(doc, root, properties[i].object, object) < 0)
				return error_oom(err);
		}
		if (json_set(doc, object, properties[i].key, v) < 0)
			return error_oom(err);
	}
	return 0;
}

/* --- either ------------------------------------------------------------------------------------------------- */

static struct json_doc *read_resources(const char *file, const char *name, struct error *err)
{
	auto_free char *text = NULL;
	size_t len;
	int rc;

	if (str_eq(file, "-"))
		rc = fs_read_fd(STDIN_FILENO, name, JSON_MAX_SIZE, &text, &len, err);
	else
		rc = fs_read_at(AT_FDCWD, file, JSON_MAX_SIZE, &text, &len, err);
	return rc < 0 ? NULL : json_parse(name, text, len, err);
}

static int update(struct container *c, const struct options *o, struct error *err)
{
	bool from_file = !str_empty(o->resources);
	const char *name = !from_file ? "options" : str_eq(o->resources, "-") ? "standard input" : o->resources;
	auto_json struct json_doc *doc = from_file ? read_resources(o->resources, name, err) : json_new();
	struct json_value *root;
	struct spec_resources r;
	int rc = 0;

	if (!doc)
		return from_file ? -err->code : error_oom(err);
	root = from_file ? json_root(doc) : json_make(doc, JSON_OBJECT);
	if (!root)
		return error_oom(err);
	if (!from_file)
		rc = collect(o, doc, root, err);
	if (rc == 0)
		rc = spec_resources_decode(doc, root, &r, name, err);
	return rc < 0 ? rc : container_update(c, &r, err);
}

static int run(void *arg, int argc, char **argv)
{
	auto_container struct container c = CONTAINER_INIT;
	const struct options *o = arg;
	struct error err = {0};

	(void)argc;
	if (o->l3_cache_schema || o->mem_bw_schema)
		error_set(&err, ENOTSUP, "--%s: nsrun cannot change Intel RDT classes; write to /sys/fs/resctrl instead",
			  o->l3_cache_schema ? "l3-cache-schema" : "mem-bw-schema");
	else if (container_open(&c, argv[0], true, &err) == 0 && update(&c, o, &err) == 0)
		return 0;
	return command_failed(&err);
}

const struct cli_command cmd_update = {
	.name = "update",
	.args = "ID",
	.help = "change the limits of a container",
	.details = "   Only what is given changes. With --resources all other options are ignored; the object is that of\n"
		   "   linux.resources in config.json: {\"memory\": {\"limit\": 67108864}, \"cpu\": {\"quota\": 50000}}.\n"
		   "   Its device rules are ignored.",
	.options = options,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
