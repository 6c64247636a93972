/* Directories in a hierarchy of cgroup version 1. */
#include <string.h>
#include <sys/stat.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "str.h"

/* A new cpuset has no cpus and no memory nodes, and refuses processes until it has. Those of the parent are given to
 * it, level by level. */
static int inherit_cpuset(const char *parent, const char *dir, struct error *err)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	char value[4096];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = cgroup_read(dir, files[i], value, sizeof(value), err);

		if (r == 0 && value[0] == '\0') {
			r = cgroup_read(parent, files[i], value, sizeof(value), err);
			if (r == 0)
				r = cgroup_write(dir, files[i], value, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* One level; `path` is cut at its last '/' for a moment. */
static int make_level(char *path, bool cpuset, bool *ret_made, struct error *err)
{
	char *slash = strrchr(path, '/');
	int r = 0;

	*ret_made = mkdir(path, 0755) == 0;
	if (!*ret_made && errno != EEXIST)
		return error_sys(err, "cannot make cgroup %s", path);
	if (!cpuset)
		return 0;
	*slash = '\0';
	auto_free char *parent = strdup(path);
	*slash = '/';
	if (parent)
		r = inherit_cpuset(parent, path, err);
	else
		r = error_oom(err);
	if (r < 0 && *ret_made)
		rmdir(path);
	return r;
}

int cgroup_v1_make(const struct cgroup_dir *d, bool *ret_made, struct error *err)
{
	bool cpuset = d->controllers & CG_CPUSET;
	auto_free char *path = strdup(d->path);
	char *p;

	if (!path)
		return error_oom(err);
	*ret_made = !cpuset && mkdir(path, 0755) == 0;
	if (*ret_made)
		return 0;
	/* Level by level below the hierarchy's root, which is CGROUP_ROOT/NAME. */
	p = strchr(path + strlen(CGROUP_ROOT "/"), '/');
	while (p) {
		int r;

		p = strchr(p + 1, '/');
		if (p)
			*p = '\0';
		r = make_level(path, cpuset, ret_made, err);
		if (r < 0)
			return r;
		if (p)
			*p = '/';
	}
	return 0;
}
