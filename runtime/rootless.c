/* What --rootless means is runc's: `true` and `false` say it, `auto` (the default) finds out. Root of a user namespace that
 * is still called root by $USER keeps its state where root does: it has a /run of its own. */
#include "rootless.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "cgroup_impl.h"
#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "log.h"
#include "ns.h"
#include "str.h"

enum { ROOTLESS_FALSE, ROOTLESS_TRUE, ROOTLESS_AUTO };

static const struct word words[] = {
	{"auto", ROOTLESS_AUTO}, {"true", ROOTLESS_TRUE}, {"false", ROOTLESS_FALSE}, {NULL, 0},
};

int rootless_check_option(struct error *err)
{
	if (!globals.rootless || word_value(words, globals.rootless) >= 0)
		return 0;
	return error_set(err, EINVAL, "--rootless %s: must be true, false or auto", globals.rootless);
}

static int option(void)
{
	return globals.rootless ? word_value(words, globals.rootless) : (int)ROOTLESS_AUTO;
}

bool rootless_state(void)
{
	const char *user = getenv("USER");

	if (option() != ROOTLESS_AUTO)
		return option() == ROOTLESS_TRUE;
	return geteuid() != 0 || (ns_in_userns() && !str_empty(user) && !str_eq(user, "root"));
}

bool rootless_cgroups(void)
{
	if (option() != ROOTLESS_AUTO)
		return option() == ROOTLESS_TRUE;
	return geteuid() != 0 || ns_in_userns();
}

/* --- cgroups ------------------------------------------------------------------------------------------------ */

/* True when the caller may make the directory, or write to the one that is there. */
static bool may_make(const char *dir)
{
	auto_free char *path = strdup(dir);
	char *slash;

	while (path && access(path, F_OK) < 0 && (slash = strrchr(path, '/')) && slash > path)
		*slash = '\0';
	return path && access(path, W_OK) == 0;
}

/* Device rules are no limits: an ordinary user cannot set them, nor make or open other nodes than the host lets it. */
static unsigned limits_of(const struct spec_resources *r, bool v2)
{
	return cgroup_needs(r, v2) & ~(unsigned)CG_DEVICES;
}

static int refuse_limits(const char *dir, bool v2, struct error *err)
{
	return error_set(err, EACCES, "linux.resources: limits need a cgroup that user %u may make, and %s is none: %s, or leave "
			 "linux.resources out", geteuid(), dir,
			 v2 ? "start nsrun by `systemd-run --user --scope -p Delegate=yes`, with a linux.cgroupsPath that does not "
			      "begin with '/'" :
			      "have root make it and give it to the user");
}

/* What is dropped has no path any more. */
static int drop(struct cgroup *c, const struct spec *s, struct error *err)
{
	const struct spec_resources *r = s->linux_.resources;
	unsigned limits = r ? limits_of(r, c->v2) : 0;

	for (size_t i = 0; i < c->n; i++) {
		struct cgroup_dir *d = &c->dirs[i];

		if (may_make(d->path))
			continue;
		if (!d->parent && (c->v2 ? limits || (r && r->unified.n) : limits & d->controllers))
			return refuse_limits(d->path, c->v2, err);
		if (i == 0 && !str_empty(s->linux_.cgroups_path))
			log_warn("linux.cgroupsPath: user %u may not make %s: the container stays in the cgroup of its creator",
				 geteuid(), d->path);
		cleanup_free(&d->path);
	}
	return 0;
}

int rootless_plan(struct cgroup *c, const struct spec *s, struct error *err)
{
	size_t planned = c->n;
	int rc = c->unit ? 0 : drop(c, s, err); /* with a unit systemd makes it */

	if (rc < 0)
		return rc;
	c->n = 0;
	for (size_t i = 0; i < planned; i++)
		if (c->dirs[i].path)
			c->dirs[c->n++] = c->dirs[i];
	return 0;
}
