/* Limits that are lists: of page sizes, of RDMA devices, of links, of files by name. As many writes as entries. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"

unsigned cgroup_list_needs(const struct spec_resources *r)
{
	unsigned bits = 0;

	if (r->n_hugepages > 0)
		bits |= CG_HUGETLB;
	if (r->n_rdma > 0)
		bits |= CG_RDMA;
	if (r->network && r->network->class_id)
		bits |= CG_NET_CLS;
	if (r->network && r->network->n_priorities > 0)
		bits |= CG_NET_PRIO;
	return bits;
}

/* What is used, and what is reserved for later use by mmap(2), which would else succeed and end in SIGBUS. Kernels before
 * 5.7 cannot limit that. */
static int set_hugepages(const struct cgroup *c, const struct spec_hugepage_limit *h, struct error *err)
{
	static const char hint[] = "; the page sizes that there are: ls /sys/kernel/mm/hugepages";
	const char *suffix = c->v2 ? "max" : "limit_in_bytes";
	char file[64], value[32];
	int r;

	snprintf(value, sizeof(value), "%" PRIu64, h->limit);
	snprintf(file, sizeof(file), "hugetlb.%s.%s", h->page_size, suffix);
	r = cgroup_set(c, "hugepageLimits", CG_HUGETLB, file, value, hint, err);
	if (r < 0)
		return r;
	snprintf(file, sizeof(file), "hugetlb.%s.rsvd.%s", h->page_size, suffix);
	r = cgroup_write(cgroup_dir(c, CG_HUGETLB), file, value, NULL);
	return r == -ENOENT ? 0 : r < 0 ? cgroup_set(c, "hugepageLimits", CG_HUGETLB, file, value, hint, err) : 0;
}

static int set_rdma(const struct cgroup *c, const struct spec_rdma *d, struct error *err)
{
	auto_buf struct buf line = {0};

	buf_puts(&line, d->device);
	if (d->has_handles)
		buf_printf(&line, " hca_handle=%u", d->handles);
	if (d->has_objects)
		buf_printf(&line, " hca_object=%u", d->objects);
	if (line.failed)
		return error_oom(err);
	if (!d->has_handles && !d->has_objects)
		return 0;
	return cgroup_set(c, "rdma", CG_RDMA, "rdma.max", line.data, "; the devices that there are: ls /sys/class/infiniband", err);
}

static int set_priority(const struct cgroup *c, const struct spec_if_priority *p, struct error *err)
{
	char line[48];

	if (c->v2)
		return cgroup_no_such_limit(c, "network.priorities", err);
	snprintf(line, sizeof(line), "%s %u", p->name, p->priority);
	return cgroup_set(c, "network.priorities", CG_NET_PRIO, "net_prio.ifpriomap", line, "; it must be a link of the host", err);
}

/* The keys are the files' names, so a key must not lead out of the directory. A value of several lines is as many writes,
 * as the kernel's files take one setting a write. */
static int set_unified(const struct cgroup *c, const struct json_pair *p, struct error *err)
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

int cgroup_lists(const struct cgroup *c, const struct spec_resources *r, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < r->n_hugepages && rc == 0; i++)
		rc = set_hugepages(c, &r->hugepages[i], err);
	for (size_t i = 0; i < r->n_rdma && rc == 0; i++)
		rc = set_rdma(c, &r->rdma[i], err);
	for (size_t i = 0; r->network && i < r->network->n_priorities && rc == 0; i++)
		rc = set_priority(c, &r->network->priorities[i], err);
	for (size_t i = 0; i < r->unified.n && rc == 0; i++)
		rc = set_unified(c, &r->unified.pairs[i], err);
	return rc;
}
