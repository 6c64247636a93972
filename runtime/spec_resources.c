/* The field tables of linux.resources (runtime-spec config-linux.md#control-groups) and the rules between them; for
 * config.json and for `update`, which reads such an object by itself.
 *
 * In properties that are numbers, 0 mostly means unset: clients write it for what nobody chose. spec.h names the
 * exceptions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "fs.h"
#include "json.h"
#include "spec.h"
#include "spec_parts.h"

enum { WEIGHT_MIN = 10, WEIGHT_MAX = 1000 };

/* --- tables ------------------------------------------------------------------------------------------------- */

static const struct json_field device_rule_fields[] = {
	F_BOOL(struct spec_device_rule, "allow", allow, JSON_REQUIRED),
	F_STRING(struct spec_device_rule, "type", type, 0),
	F_I64_HAS(struct spec_device_rule, "major", major, has_major, 0),
	F_I64_HAS(struct spec_device_rule, "minor", minor, has_minor, 0),
	F_STRING(struct spec_device_rule, "access", access, 0),
	F_END,
};
static JSON_TYPE(device_rule_type, struct spec_device_rule, device_rule_fields);

static const struct json_field memory_fields[] = {
	F_I64_HAS(struct spec_memory, "limit", limit, has_limit, 0),
	F_I64_HAS(struct spec_memory, "reservation", reservation, has_reservation, 0),
	F_I64_HAS(struct spec_memory, "swap", swap, has_swap, 0),
	F_I64(struct spec_memory, "kernel", kernel, 0),
	F_I64(struct spec_memory, "kernelTCP", kernel_tcp, 0),
	F_U64_HAS(struct spec_memory, "swappiness", swappiness, has_swappiness, 0),
	F_BOOL_HAS(struct spec_memory, "disableOOMKiller", disable_oom_killer, has_disable_oom_killer, 0),
	F_BOOL_HAS(struct spec_memory, "useHierarchy", use_hierarchy, has_use_hierarchy, 0),
	F_BOOL(struct spec_memory, "checkBeforeUpdate", check_before_update, 0),
	F_END,
};
static JSON_TYPE(memory_type, struct spec_memory, memory_fields);

static const struct json_field cpu_fields[] = {
	F_U64_HAS(struct spec_cpu, "shares", shares, has_shares, 0),
	F_I64_HAS(struct spec_cpu, "quota", quota, has_quota, 0),
	F_U64_HAS(struct spec_cpu, "burst", burst, has_burst, 0),
	F_U64_HAS(struct spec_cpu, "period", period, has_period, 0),
	F_I64(struct spec_cpu, "realtimeRuntime", rt_runtime, 0),
	F_U64(struct spec_cpu, "realtimePeriod", rt_period, 0),
	F_STRING(struct spec_cpu, "cpus", cpus, 0),
	F_STRING(struct spec_cpu, "mems", mems, 0),
	F_I64_HAS(struct spec_cpu, "idle", idle, has_idle, 0),
	F_END,
};
static JSON_TYPE(cpu_type, struct spec_cpu, cpu_fields);

static const struct json_field pids_fields[] = {
	F_I64_HAS(struct spec_pids, "limit", limit, has_limit, 0),
	F_END,
};
static JSON_TYPE(pids_type, struct spec_pids, pids_fields);

static const struct json_field weight_device_fields[] = {
	F_I64(struct spec_weight_device, "major", major, JSON_REQUIRED),
	F_I64(struct spec_weight_device, "minor", minor, JSON_REQUIRED),
	F_U32(struct spec_weight_device, "weight", weight, 0),
	F_U32(struct spec_weight_device, "leafWeight", leaf_weight, 0),
	F_END,
};
static JSON_TYPE(weight_device_type, struct spec_weight_device, weight_device_fields);

static const struct json_field throttle_device_fields[] = {
	F_I64(struct spec_throttle_device, "major", major, JSON_REQUIRED),
	F_I64(struct spec_throttle_device, "minor", minor, JSON_REQUIRED),
	F_U64(struct spec_throttle_device, "rate", rate, JSON_REQUIRED),
	F_END,
};
static JSON_TYPE(throttle_device_type, struct spec_throttle_device, throttle_device_fields);

#define F_THROTTLE(k, m) F_LIST(struct spec_block_io, k, m, n_##m, &throttle_device_type, 0)
static const struct json_field block_io_fields[] = {
	F_U32(struct spec_block_io, "weight", weight, 0),
	F_U32(struct spec_block_io, "leafWeight", leaf_weight, 0),
	F_LIST(struct spec_block_io, "weightDevice", weight_devices, n_weight_devices, &weight_device_type, 0),
	F_THROTTLE("throttleReadBpsDevice", read_bps),
	F_THROTTLE("throttleWriteBpsDevice", write_bps),
	F_THROTTLE("throttleReadIOPSDevice", read_iops),
	F_THROTTLE("throttleWriteIOPSDevice", write_iops),
	F_END,
};
static JSON_TYPE(block_io_type, struct spec_block_io, block_io_fields);

static const struct json_field hugepage_limit_fields[] = {
	F_STRING(struct spec_hugepage_limit, "pageSize", page_size, JSON_REQUIRED),
	F_U64(struct spec_hugepage_limit, "limit", limit, JSON_REQUIRED),
	F_END,
};
static JSON_TYPE(hugepage_limit_type, struct spec_hugepage_limit, hugepage_limit_fields);

static const struct json_field if_priority_fields[] = {
	F_STRING(struct spec_if_priority, "name", name, JSON_REQUIRED),
	F_U32(struct spec_if_priority, "priority", priority, JSON_REQUIRED),
	F_END,
};
static JSON_TYPE(if_priority_type, struct spec_if_priority, if_priority_fields);

static const struct json_field network_fields[] = {
	F_U32(struct spec_network, "classID", class_id, 0),
	F_LIST(struct spec_network, "priorities", priorities, n_priorities, &if_priority_type, 0),
	F_END,
};
static JSON_TYPE(network_type, struct spec_network, network_fields);

static const struct json_field rdma_fields[] = {
	F_U32_HAS(struct spec_rdma, "hcaHandles", handles, has_handles, 0),
	F_U32_HAS(struct spec_rdma, "hcaObjects", objects, has_objects, 0),
	F_END,
};
static JSON_TYPE(rdma_type, struct spec_rdma, rdma_fields);

static const struct json_field resources_fields[] = {
	F_LIST(struct spec_resources, "devices", devices, n_devices, &device_rule_type, 0),
	F_POINTER(struct spec_resources, "memory", memory, &memory_type, 0),
	F_POINTER(struct spec_resources, "cpu", cpu, &cpu_type, 0),
	F_POINTER(struct spec_resources, "pids", pids, &pids_type, 0),
	F_POINTER(struct spec_resources, "blockIO", block_io, &block_io_type, 0),
	F_LIST(struct spec_resources, "hugepageLimits", hugepages, n_hugepages, &hugepage_limit_type, 0),
	F_POINTER(struct spec_resources, "network", network, &network_type, 0),
	F_RAW(struct spec_resources, "rdma", rdma_raw, 0),
	F_MAP(struct spec_resources, "unified", unified, 0),
	F_END,
};
JSON_TYPE(spec_resources_type, struct spec_resources, resources_fields);

/* --- what the tables cannot say ----------------------------------------------------------------------------- */

int spec_decode_rdma(struct json_doc *doc, struct spec_resources *r, const char *where, struct error *err)
{
	const struct json_value *v = r->rdma_raw;

	if (!v)
		return 0;
	if (v->what != JSON_OBJECT)
		return error_set(err, EINVAL, "%srdma: expected an object", where);
	r->rdma = json_alloc(doc, (v->n + 1) * sizeof(*r->rdma));
	if (!r->rdma)
		return error_oom(err);
	for (size_t i = 0; i < v->n; i++) {
		char path[128];
		int rc;

		/* A line of the kernel's file begins with it. */
		if (!fs_is_name(v->keys[i]) || strpbrk(v->keys[i], " \t\n"))
			return error_set(err, EINVAL, "%srdma: \"%s\" is no name of a device", where, v->keys[i]);
		snprintf(path, sizeof(path), "%srdma.%s", where, v->keys[i]);
		rc = json_decode(doc, v->items[i], &rdma_type, &r->rdma[i], path, err);
		if (rc < 0)
			return rc;
		r->rdma[i].device = v->keys[i];
	}
	r->n_rdma = v->n;
	return 0;
}

static int check_device_rules(const struct spec_resources *r, const char *where, struct error *err)
{
	for (size_t i = 0; i < r->n_devices; i++) {
		const struct spec_device_rule *d = &r->devices[i];

		if (!str_empty(d->type) && (strlen(d->type) != 1 || !strchr("abc", d->type[0])))
			return error_set(err, EINVAL, "%sdevices[%zu].type: \"%s\" is not one of a, b, c", where, i, d->type);
		if (!str_empty(d->access) && d->access[strspn(d->access, "rwm")])
			return error_set(err, EINVAL, "%sdevices[%zu].access: \"%s\" is not made of r, w, m", where, i,
					 d->access);
	}
	return 0;
}

static bool is_weight(uint32_t weight)
{
	return weight == 0 || (weight >= WEIGHT_MIN && weight <= WEIGHT_MAX);
}

static int bad_weight(const char *where, const char *property, uint32_t weight, struct error *err)
{
	return error_set(err, EINVAL, "%sblockIO.%s: %u is not within %d and %d", where, property, weight, WEIGHT_MIN,
			 WEIGHT_MAX);
}

static int check_block_io(const struct spec_block_io *b, const char *where, struct error *err)
{
	if (!is_weight(b->weight))
		return bad_weight(where, "weight", b->weight, err);
	if (!is_weight(b->leaf_weight))
		return bad_weight(where, "leafWeight", b->leaf_weight, err);
	for (size_t i = 0; i < b->n_weight_devices; i++) {
		const struct spec_weight_device *d = &b->weight_devices[i];
		char property[48];

		snprintf(property, sizeof(property), "weightDevice[%zu].%s", i, is_weight(d->weight) ? "leafWeight" : "weight");
		if (!is_weight(d->weight) || !is_weight(d->leaf_weight))
			return bad_weight(where, property, is_weight(d->weight) ? d->leaf_weight : d->weight, err);
	}
	return 0;
}

/* "2MB": it becomes part of a file's name. */
static bool is_page_size(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	return digits > 0 && s[digits] && strchr("KMG", s[digits]) && str_eq(s + digits + 1, "B");
}

static int check_hugepages(const struct spec_resources *r, const char *where, struct error *err)
{
	for (size_t i = 0; i < r->n_hugepages; i++)
		if (!is_page_size(r->hugepages[i].page_size))
			return error_set(err, EINVAL, "%shugepageLimits[%zu].pageSize: \"%s\" is no size of pages, as 64KB, 2MB "
					 "and 1GB are", where, i, r->hugepages[i].page_size);
	return 0;
}

static int check_network(const struct spec_network *n, const char *where, struct error *err)
{
	for (size_t i = 0; i < n->n_priorities; i++)
		if (!spec_is_ifname(n->priorities[i].name))
			return error_set(err, EINVAL, "%snetwork.priorities[%zu].name: \"%s\" is no interface name", where, i,
					 n->priorities[i].name);
	return 0;
}

int spec_check_resources(const struct spec_resources *r, const char *where, struct error *err)
{
	int rc = check_device_rules(r, where, err);

	if (!rc && r->block_io)
		rc = check_block_io(r->block_io, where, err);
	if (!rc)
		rc = check_hugepages(r, where, err);
	if (!rc && r->network)
		rc = check_network(r->network, where, err);
	return rc;
}

int spec_resources_decode(struct json_doc *doc, const struct json_value *v, struct spec_resources *r, const char *where,
			  struct error *err)
{
	int rc = json_decode(doc, v, &spec_resources_type, r, where, err);

	if (rc < 0)
		return rc;
	rc = spec_decode_rdma(doc, r, "", err);
	if (!rc)
		rc = spec_check_resources(r, "", err);
	return rc < 0 ? error_wrap(err, "%s", where) : 0;
}
