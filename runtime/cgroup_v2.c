/* The directory in the unified hierarchy: controllers have to be enabled in every directory above it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* As runtime-spec config-linux.md#cgroup-ownership has it. */
static bool shows_writable(const struct spec *s)
{
	const struct spec_namespace *ns = spec_namespace(s, NS_CGROUP);
	const struct spec_mount *m = s->mounts, *end = m + s->n_mounts;

	while (m < end && !(str_eq(m->destination, CGROUP_ROOT) && str_starts(m->type ? m->type : "", "cgroup")))
		m++;
	return ns && str_empty(ns->path) && m < end && !strv_has(m->options, "ro");
}

/* The host's id of the container's user; -1: it has none. */
static uid_t host_user(const struct spec *s)
{
	const struct spec_linux *l = &s->linux_;
	uid_t id = s->process ? s->process->user.uid : 0;

	if (!spec_namespace(s, NS_USER))
		return id;
	for (size_t i = 0; i < l->n_uid_mappings; i++)
		if (id >= l->uid_mappings[i].container_id && id - l->uid_mappings[i].container_id < l->uid_mappings[i].size)
			return l->uid_mappings[i].host_id + (id - l->uid_mappings[i].container_id);
	return (uid_t)-1;
}

/* Who owns the directory and these files may make sub-cgroups and move processes among them, but not change the limits
 * (kernel, cgroup-v2.rst#delegation). The list is the kernel's, since Linux 4.15; a cgroup need not have all of them. */
int cgroup_v2_delegate(int dir_fd, const struct spec *s, struct error *err)
{
	auto_free char *list = NULL;
	uid_t owner = host_user(s);
	struct stat st;
	char *next, *file;

	if (owner == (uid_t)-1 || !shows_writable(s))
		return 0;
	if (fstat(dir_fd, &st) < 0)
		return error_sys(err, "cannot look at the container's cgroup");
	if (st.st_uid == owner)
		return 0;
	if (fs_read_at(AT_FDCWD, "/sys/kernel/cgroup/delegate", DELEGATE_MAX, &list, NULL, NULL) < 0)
		list = strdup("cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n");
	if (!list)
		return error_oom(err);
	for (next = list; (file = strsep(&next, "\n"));) {
		if (!fs_is_name(file) || fchownat(dir_fd, file, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT)
			continue;
		/* An ordinary user cannot give it away; the container's root, who is that user, has it. */
		if (errno == EPERM && geteuid() != 0)
			return 0;
		return error_sys(err, "cannot give %s of the container's cgroup to its user (%u on the host)", file, owner);
	}
	if (fchown(dir_fd, owner, (gid_t)-1) < 0)
		return error_sys(err, "cannot give the container's cgroup to its user (%u on the host)", owner);
	return 0;
}
