/* The names of a container's slice and scope.
 * Source: runc, docs/systemd.md; systemd.unit(5), systemd.slice(5). */
#include <errno.h>
#include <string.h>

#include "cgroup_systemd.h"
#include "cleanup.h"
#include "error.h"
#include "spec.h"
#include "str.h"

#define UNIT_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.-\\@"

enum { UNIT_NAME_MAX = 255 };

static int bad_path(const char *path, const char *why, struct error *err)
{
	return error_set(err, EINVAL, "linux.cgroupsPath: \"%s\" %s; with the systemd cgroup driver it has the form "
			 "SLICE:PREFIX:NAME, as in \"system.slice:nsrun:web\" (or choose --cgroup-manager cgroupfs)", path, why);
}

/* systemd's own escape for what cannot stand in a unit's name; of an id's characters this is '+' only. */
static void add_escaped(struct buf *b, const char *id)
{
	for (; *id; id++) {
		if (strchr(UNIT_CHARACTERS, *id) && *id != '\\')
			buf_putc(b, *id);
		else
			buf_printf(b, "\\x%02x", (unsigned char)*id);
	}
}

static int check_unit(const char *path, const char *unit, struct error *err)
{
	if (strlen(unit) > UNIT_NAME_MAX)
		return bad_path(path, "makes a name of more than 255 characters", err);
	if (strspn(unit, UNIT_CHARACTERS) != strlen(unit))
		return bad_path(path, "has characters that a unit's name cannot have", err);
	return 0;
}

int cgroup_systemd_expand(const char *slice, struct buf *out, struct error *err)
{
	size_t len = strlen(slice), stem = str_ends(slice, ".slice") ? len - strlen(".slice") : 0;

	if (str_eq(slice, "-.slice"))
		return 0;
	if (stem == 0 || strspn(slice, UNIT_CHARACTERS) != len || slice[0] == '-' || slice[stem - 1] == '-' ||
	    strstr(slice, "--"))
		return error_set(err, EINVAL, "linux.cgroupsPath: \"%s\" is not the name of a slice, such as \"system.slice\" or "
				 "\"a-b.slice\" (which is in a.slice)", slice);
	for (size_t i = 1; i <= stem; i++) {
		if (slice[i] != '-' && i != stem)
			continue;
		buf_putc(out, '/');
		buf_add(out, slice, i);
		buf_puts(out, ".slice");
	}
	return out->failed ? error_oom(err) : 0;
}

int cgroup_systemd_names(const char *cgroups_path, const char *id, bool user, char **ret_slice, char **ret_unit,
			 struct error *err)
{
	const char *path = str_empty(cgroups_path) ? "" : cgroups_path, *prefix = strchr(path, ':');
	const char *name = prefix ? strchr(prefix + 1, ':') : NULL;
	auto_buf struct buf unit = {0};
	auto_free char *slice = NULL;
	int rc;

	if (*path && (!name || strchr(name + 1, ':')))
		return bad_path(path, "does not have two colons", err);
	if (name && !name[1])
		return bad_path(path, "has no name", err);
	if (name && str_ends(name, ".slice")) {
		buf_puts(&unit, name + 1);
	} else if (name) {
		buf_add(&unit, prefix + 1, (size_t)(name - prefix - 1));
		buf_printf(&unit, "%s%s.scope", name == prefix + 1 ? "" : "-", name + 1);
	} else {
		buf_puts(&unit, "nsrun-");
		add_escaped(&unit, id);
		buf_puts(&unit, ".scope");
	}
	slice = prefix > path ? strndup(path, (size_t)(prefix - path)) : strdup(user ? "user.slice" : "system.slice");
	if (unit.failed || !slice)
		return error_oom(err);
	rc = check_unit(*path ? path : id, unit.data, err);
	if (rc < 0)
		return rc;
	*ret_unit = buf_take(&unit);
	*ret_slice = take_ptr(slice);
	return 0;
}
