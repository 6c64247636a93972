/* The directory in the unified hierarchy: controllers have to be enabled in every directory above it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == len && strncmp(p, word, len) == 0)
			return true;
	return false;
}

static int enable_failed(const char *dir, const char *name, int code, struct error *err)
{
	if (code == EBUSY)
		return error_set(err, EBUSY, "cannot enable the %s controller in %s: it has processes of its own, and cgroup v2 "
				 "allows them only at the leaves; move them to a sub-cgroup, or choose another "
				 "linux.cgroupsPath", name, dir);
	return error_set(err, code, "cannot enable the %s controller in %s/cgroup.subtree_control: %s", name, dir,
			 strerror(code));
}

/* Makes dir's children have the controllers: those that are needed must be there, others are taken if they can be. */
static int enable(const char *dir, unsigned needed, unsigned wanted, struct error *err)
{
	char available[256], enabled[256], word[24];
	int r = cgroup_read(dir, "cgroup.controllers", available, sizeof(available), err);

	if (r == 0)
		r = cgroup_read(dir, "cgroup.subtree_control", enabled, sizeof(enabled), err);
	for (size_t i = 0; r == 0 && i < CGROUP_CONTROLLERS; i++) {
		const struct cgroup_controller_info *info = &cgroup_controllers[i];

		if (!info->v2 || !((needed | wanted) & info->bit) || has_word(enabled, info->v2))
			continue;
		if (!has_word(available, info->v2) && !(needed & info->bit))
			continue;
		if (!has_word(available, info->v2))
			return error_set(err, ENOENT, "linux.resources: the cgroup controller %s is not available in %s "
					 "(see its cgroup.controllers)", info->v2, dir);
		stpcpy(stpcpy(word, "+"), info->v2);
		r = cgroup_write(dir, "cgroup.subtree_control", word, NULL);
		if (r < 0 && (needed & info->bit))
			return enable_failed(dir, info->v2, -r, err);
		/* The directory has processes of its own. Some controllers could be had even so, but only by making it the
		 * root of a threaded tree, where a container cannot be started. */
		if (r == -EBUSY && needed)
			return enable_failed(dir, info->v2, -r, err);
		if (r == -EBUSY)
			return 0;
		r = 0;
	}
	return r;
}

int cgroup_v2_make(const struct cgroup_dir *d, unsigned needed, unsigned wanted, bool *ret_made, struct error *err)
{
	auto_free char *path = strdup(d->path);
	char *p;
	int r;

	if (!path)
		return error_oom(err);
	for (p = path + strlen(CGROUP_ROOT); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (p != path + strlen(CGROUP_ROOT) && mkdir(path, 0755) < 0 && errno != EEXIST)
			return error_sys(err, "cannot make cgroup %s", path);
		r = needed | wanted ? enable(path, needed, wanted, err) : 0;
		*p = '/';
		if (r < 0)
			return r;
	}
	*ret_made = mkdir(path, 0755) == 0;
	if (!*ret_made && errno != EEXIST)
		return error_sys(err, "cannot make cgroup %s", path);
	return 0;
}

/* --- delegation --------------------------------------------------------------------------------------------- */

enum { DELEGATE_MAX = 64 * 1024 };

static bool has_own(const struct spec *s, enum ns_kind kind)
{
	const struct spec_namespace *n = spec_namespace(s, kind);

	return n && str_empty(n->path);
}

static bool has_writable_mount(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (str_starts(s->mounts[i].type ? s->mounts[i].type : "", "cgroup") && !strv_has(s->mounts[i].options, "ro"))
			return true;
	return false;
}

/* The host's id of the container's root; -1: there is none. */
static uid_t root_of(const struct spec *s)
{
	for (size_t i = 0; i < s->linux_.n_uid_mappings; i++)
		if (s->linux_.uid_mappings[i].container_id == 0 && s->linux_.uid_mappings[i].size > 0)
			return s->linux_.uid_mappings[i].host_id;
	return (uid_t)-1;
}

/* Who owns these files may make sub-cgroups and move processes among them, but has no say in the limits.
 * Source: kernel, cgroup-v2.rst#delegation, and /sys/kernel/cgroup/delegate. */
int cgroup_v2_delegate(int dir_fd, const struct spec *s, struct error *err)
{
	uid_t owner = root_of(s);
	auto_free char *list = NULL;
	struct stat st;

	if (owner == (uid_t)-1 || !has_own(s, NS_USER) || !has_own(s, NS_CGROUP) || !has_writable_mount(s))
		return 0;
	/* Below a user's own manager it is his already. */
	if (fstat(dir_fd, &st) == 0 && st.st_uid == owner)
		return 0;
	/* Since Linux 4.15. Not the whole of it is there on every cgroup. */
	if (fs_read_at(AT_FDCWD, "/sys/kernel/cgroup/delegate", DELEGATE_MAX, &list, NULL, NULL) < 0)
		return 0;
	for (char *next = list, *file; (file = strsep(&next, "\n"));) {
		if (!fs_is_name(file) || fchownat(dir_fd, file, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT)
			continue;
		return error_sys(err, "cannot give the container's root (%u) the cgroup's %s", owner, file);
	}
	return fchown(dir_fd, owner, (gid_t)-1) == 0 ? 0 : error_sys(err, "cannot give the container's root (%u) its cgroup", owner);
}
