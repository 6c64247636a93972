/* Pausing by the freezer. Nothing is saved: the freezer itself tells that a container is paused (state_refresh()), so what
 * another program froze or thawed counts as well. */
#include <errno.h>

#include "cgroup.h"
#include "container.h"
#include "error.h"
#include "str.h"

static int freeze(struct container *c, bool frozen, struct error *err)
{
	struct cgroup cg;
	int rc;

	if (!strv_len(c->state.cgroups))
		return error_set(err, ENOTSUP, "cannot %s container %s: it has no cgroup; create it with a linux.cgroupsPath",
				 frozen ? "pause" : "resume", c->id);
	rc = cgroup_from_paths(c->state.cgroups, c->state.unit, &cg, err);
	if (rc < 0)
		return rc;
	rc = cgroup_freeze(&cg, frozen, err);
	cgroup_close(&cg);
	return rc;
}

int container_pause(struct container *c, struct error *err)
{
	if (c->state.status == STATUS_PAUSED)
		return error_set(err, EBUSY, "container not running: %s is paused already", c->id);
	if (c->state.status != STATUS_RUNNING && c->state.status != STATUS_CREATED)
		return error_set(err, ESRCH, "container not running");
	return freeze(c, true, err);
}

int container_resume(struct container *c, struct error *err)
{
	if (c->state.status != STATUS_PAUSED)
		return error_set(err, EINVAL, "container not paused");
	return freeze(c, false, err);
}
