/* Limits of block devices: shares of them, and rates. v2's "io" has one file for all four rates.
 * Source: runtime-spec config-linux.md#block-io, kernel Documentation/block/bfq-iosched.rst and cgroup-v2.rst. */
#include <inttypes.h>
#include <stdio.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "str.h"

enum { LINE_SIZE = 96 };

static const char leaf_hint[] = "; leaf weights went with the CFQ scheduler (Linux 5.0), leave them out";
static const char device_hint[] = "; the numbers must be those of a whole disk that is there (lsblk)";

unsigned cgroup_blkio_needs(const struct spec_block_io *b)
{
	return b->weight || b->leaf_weight || b->n_weight_devices || b->n_read_bps || b->n_write_bps || b->n_read_iops ||
			       b->n_write_iops ? CG_IO : 0;
}

/* --- shares ------------------------------------------------------------------------------------------------- */

/* The file that takes shares depends on the I/O scheduler that the kernel has. */
struct weight_files {
	const char *all, *device;
	bool convert; /* its weights are 1..10000, and not what config.json has: 10..1000 */
};

static struct weight_files weight_files(const struct cgroup *c)
{
	static const struct weight_files v1 = {"blkio.weight", "blkio.weight_device", false},
					 v1_bfq = {"blkio.bfq.weight", "blkio.bfq.weight_device", false},
					 v2 = {"io.weight", "io.weight", true}, v2_bfq = {"io.bfq.weight", "io.bfq.weight", false};
	const char *dir = cgroup_dir(c, CG_IO);
	char text[LINE_SIZE];

	if (c->v2)
		return dir && cgroup_read(dir, v2_bfq.all, text, sizeof(text), NULL) == 0 ? v2_bfq : v2;
	return dir && cgroup_read(dir, v1.all, text, sizeof(text), NULL) == 0 ? v1 : v1_bfq;
}

static uint32_t weight_value(const struct weight_files *f, uint32_t weight)
{
	return f->convert ? 1 + (weight - 10) * 9999 / 990 : weight;
}

static int set_device_weight(const struct cgroup *c, const struct spec_weight_device *d, const struct weight_files *f,
			     struct error *err)
{
	char line[LINE_SIZE];
	int r = 0;

	snprintf(line, sizeof(line), "%" PRId64 ":%" PRId64 " %u", d->major, d->minor, weight_value(f, d->weight));
	if (d->weight)
		r = cgroup_set(c, "blockIO.weightDevice", CG_IO, f->device, line, device_hint, err);
	if (r < 0 || !d->leaf_weight)
		return r;
	if (c->v2)
		return cgroup_no_such_limit(c, "blockIO.weightDevice[].leafWeight", err);
	snprintf(line, sizeof(line), "%" PRId64 ":%" PRId64 " %u", d->major, d->minor, d->leaf_weight);
	return cgroup_set(c, "blockIO.weightDevice", CG_IO, "blkio.leaf_weight_device", line, leaf_hint, err);
}

static int set_weights(const struct cgroup *c, const struct spec_block_io *b, struct error *err)
{
	const struct weight_files files = weight_files(c);
	char text[LINE_SIZE];
	int r = 0;

	snprintf(text, sizeof(text), "%u", weight_value(&files, b->weight));
	if (b->weight)
		r = cgroup_set(c, "blockIO.weight", CG_IO, files.all, text, NULL, err);
	if (r == 0 && b->leaf_weight && c->v2)
		r = cgroup_no_such_limit(c, "blockIO.leafWeight", err);
	snprintf(text, sizeof(text), "%u", b->leaf_weight);
	if (r == 0 && b->leaf_weight)
		r = cgroup_set(c, "blockIO.leafWeight", CG_IO, "blkio.leaf_weight", text, leaf_hint, err);
	for (size_t i = 0; i < b->n_weight_devices && r == 0; i++)
		r = set_device_weight(c, &b->weight_devices[i], &files, err);
	return r;
}

/* --- rates -------------------------------------------------------------------------------------------------- */

struct rate {
	const char *name, *v1, *v2;
	const struct spec_throttle_device *list;
	size_t n;
};

static int set_rate(const struct cgroup *c, const struct rate *rate, const struct spec_throttle_device *d, struct error *err)
{
	char line[LINE_SIZE];

	if (!c->v2)
		snprintf(line, sizeof(line), "%" PRId64 ":%" PRId64 " %" PRIu64, d->major, d->minor, d->rate);
	else if (d->rate == 0)
		snprintf(line, sizeof(line), "%" PRId64 ":%" PRId64 " %s=max", d->major, d->minor, rate->v2);
	else
		snprintf(line, sizeof(line), "%" PRId64 ":%" PRId64 " %s=%" PRIu64, d->major, d->minor, rate->v2, d->rate);
	return cgroup_set(c, rate->name, CG_IO, c->v2 ? "io.max" : rate->v1, line, device_hint, err);
}

int cgroup_blkio(const struct cgroup *c, const struct spec_block_io *b, struct error *err)
{
	const struct rate rates[] = {
		{"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b->read_bps, b->n_read_bps},
		{"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b->write_bps, b->n_write_bps},
		{"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b->read_iops, b->n_read_iops},
		{"blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b->write_iops, b->n_write_iops},
	};
	int r = set_weights(c, b, err);

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		for (size_t k = 0; k < rates[i].n && r == 0; k++)
			r = set_rate(c, &rates[i], &rates[i].list[k], err);
	return r;
}
