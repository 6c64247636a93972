/* Taking back what a container made, whoever was killed doing it at whatever point: everything on the host is named by
 * state.json before it is made, and taking back what is not there is success. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "container.h"
#include "create.h"
#include "error.h"
#include "fs.h"
#include "hooks.h"
#include "log.h"
#include "net.h"
#include "netns.h"
#include "services.h"

/* A name that shows another namespace than ours is somebody else's. What is no namespace at all is what pinning leaves
 * behind when it is killed half-way. */
static int unpin_netns(const struct container *c, struct error *err)
{
	auto_free char *path = NULL;
	struct stat st, dir;

	if (!c->state.netns_name || !c->state.netns_inode)
		return 0;
	path = str_printf(NETNS_DIR "/%s", c->state.netns_name);
	if (!path)
		return error_oom(err);
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot look at %s", path);
	if (stat(NETNS_DIR, &dir) == 0 && st.st_dev != dir.st_dev && st.st_ino != c->state.netns_inode)
		return 0;
	return netns_unpin(c->state.netns_name, err);
}

static int detach(const struct container *c, struct error *err)
{
	return c->state.attachments && c->state.attachments[0] ? net_detach(c, err) : 0;
}

static int remove_cgroups(const struct container *c, struct error *err)
{
	struct cgroup cg;
	int rc;

	if (!c->state.cgroups || !c->state.cgroups[0])
		return 0;
	rc = cgroup_from_paths(c->state.cgroups, c->state.unit, &cg, err);
	if (rc < 0)
		return rc;
	rc = cgroup_remove(&cg, err);
	cgroup_close(&cg);
	return rc;
}

/* With the root locked nobody makes a lock file in it meanwhile (container_lock()), and no creator is about to. */
static int remove_directory(struct container *c, struct error *err)
{
	auto_close int root = state_open_root(false, err);

	if (root < 0)
		return root;
	if (flock(root, LOCK_EX) < 0)
		return error_sys(err, "cannot lock the state root %s", globals.root);
	return fs_remove_tree(root, c->id, err);
}

int container_take_back(struct container *c, bool poststop, struct error *err)
{
	static int (*const steps[])(const struct container *, struct error *) = {detach, unpin_netns, remove_cgroups};
	int first = 0;

	/* What cannot be taken back does not keep the rest, but the record of it stays for another try. */
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct error one = {0};

		if (steps[i](c, &one) == 0)
			continue;
		if (first == 0) {
			first = error_set(err, one.code, "%s", one.msg);
			continue;
		}
		log_warn("%s", one.msg);
	}
	if (poststop && c->has_spec)
		(void)hooks_run(&c->spec, HOOK_POSTSTOP, &c->state, "stopped", 0, NULL);
	return first < 0 ? first : remove_directory(c, err);
}

int container_delete(struct container *c, bool force, struct error *err)
{
	int rc = container_lock(c, err);

	if (rc < 0)
		return rc;
	if (c->state.status != STATUS_STOPPED && c->state.status != STATUS_CREATED && !force)
		return error_set(err, EBUSY, "cannot delete container %s that is not stopped: %s", c->id,
				 word_name(status_words, c->state.status));
	/* Without its configuration (killed before it was copied) there are no hooks to run. */
	if (!c->has_spec)
		(void)container_load_spec(c, NULL);
	rc = container_kill_all(c, err);
	/* A service's keeper outlives init for the moment it needs to kill what it keeps. */
	if (rc == 0 && c->state.has_services)
		rc = services_wait_gone(c->dir_fd, 10000, err);
	return rc < 0 ? rc : container_take_back(c, true, err);
}
