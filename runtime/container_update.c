/* Changing the limits of a container that is there. Only what is asked for changes; whatever has to be known of the rest is
 * read from the cgroup as it is, as nothing of it is saved (specs/state.md). Device rules stay as they were created: runc does
 * not change them either, and clients send them along. */
#include <errno.h>

#include "cgroup.h"
#include "container.h"
#include "error.h"
#include "str.h"

int container_update(struct container *c, const struct spec_resources *asked, struct error *err)
{
	struct spec_resources r = *asked;
	struct cgroup cg;
	int rc;

	if (c->pidfd < 0)
		return error_set(err, ESRCH, "container not running");
	if (!strv_len(c->state.cgroups))
		return error_set(err, ENOTSUP, "cannot update container %s: it has no cgroup; create it with a linux.cgroupsPath",
				 c->id);
	r.devices = NULL;
	r.n_devices = 0;
	rc = cgroup_from_paths(c->state.cgroups, c->state.unit, &cg, err);
	if (rc < 0)
		return rc;
	rc = cgroup_update(&cg, &r, err);
	cgroup_close(&cg);
	return rc;
}
