/* What `exec` runs: a process file as it is, or the container's own process with the options over it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "exec.h"
#include "exec_parts.h"
#include "fs.h"
#include "json.h"
#include "str.h"

int exec_parse_user(const char *text, uint32_t *uid, uint32_t *gid, struct error *err)
{
	const char *colon = strchr(text, ':');
	auto_free char *first = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
	uint32_t u, g = 0;

	if (!first)
		return error_oom(err);
	/* The largest number means "none" to the kernel. */
	if (str_u32(first, 0, UINT32_MAX - 1, &u) < 0 || (colon && str_u32(colon + 1, 0, UINT32_MAX - 1, &g) < 0))
		return error_set(err, EINVAL, "cannot run as user \"%s\": needs UID or UID:GID, in numbers", text);
	*uid = u;
	if (colon)
		*gid = g;
	return 0;
}

/* --- lists in the document's memory ------------------------------------------------------------------------- */

/* a followed by b; strings are borrowed. */
static char **joined(struct json_doc *doc, char *const *a, char *const *b)
{
	size_t n = strv_len(a), m = strv_len(b);
	char **list = json_alloc(doc, (n + m + 1) * sizeof(*list));

	for (size_t i = 0; list && i < n; i++)
		list[i] = a[i];
	for (size_t i = 0; list && i < m; i++)
		list[n + i] = b[i];
	return list;
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* A variable that is given again replaces the first; one without a value is removed. */
static int override_env(struct json_doc *doc, struct spec_process *p, char *const *env, struct error *err)
{
	char **list = joined(doc, p->env, env);
	size_t n = 0;

	if (!list)
		return error_oom(err);
	for (size_t i = 0; list[i]; i++) {
		bool again = false;

		for (size_t j = i + 1; list[j] && !again; j++)
			again = same_name(list[i], list[j]);
		if (!strchr(list[i], '=') || list[i][0] == '=')
			return error_set(err, EINVAL, "cannot set the environment variable \"%s\": needs the form NAME=value", list[i]);
		if (!again)
			list[n++] = list[i];
	}
	list[n] = NULL;
	p->env = list;
	return 0;
}

/* Not inheritable, as the CVEs of 2022 teach; ambient only where the container has inheritable ones at all. */
static int add_caps(struct json_doc *doc, struct spec_process *p, char *const *caps, struct error *err)
{
	struct spec_capabilities *c = json_alloc(doc, sizeof(*c));

	if (!c)
		return error_oom(err);
	if (p->capabilities)
		*c = *p->capabilities;
	c->bounding = joined(doc, c->bounding, caps);
	c->effective = joined(doc, c->effective, caps);
	c->permitted = joined(doc, c->permitted, caps);
	if (c->inheritable && c->inheritable[0])
		c->ambient = joined(doc, c->ambient, caps);
	if (!c->bounding || !c->effective || !c->permitted)
		return error_oom(err);
	p->capabilities = c;
	return 0;
}

static int add_groups(struct json_doc *doc, struct spec_user *u, char *const *groups, struct error *err)
{
	size_t n = strv_len(groups);
	uint32_t *list = json_alloc(doc, (u->n_additional_gids + n + 1) * sizeof(*list));

	if (!list)
		return error_oom(err);
	for (size_t i = 0; i < u->n_additional_gids; i++)
		list[i] = u->additional_gids[i];
	for (size_t i = 0; i < n; i++)
		if (str_u32(groups[i], 0, UINT32_MAX - 1, &list[u->n_additional_gids + i]) < 0)
			return error_set(err, EINVAL, "cannot add group \"%s\": needs a number", groups[i]);
	u->additional_gids = list;
	u->n_additional_gids += n;
	return 0;
}

/* --- the process -------------------------------------------------------------------------------------------- */

static int from_options(struct exec_process *e, const struct exec_options *o, char **argv, struct error *err)
{
	struct spec_process *p = &e->process;
	int rc = 0;

	p->args = argv;
	p->terminal = o->tty;
	p->console_size = NULL;
	if (o->cwd)
		p->cwd = o->cwd;
	if (o->user)
		rc = exec_parse_user(o->user, &p->user.uid, &p->user.gid, err);
	if (rc == 0 && o->env)
		rc = override_env(e->doc, p, o->env, err);
	if (rc == 0 && o->caps)
		rc = add_caps(e->doc, p, o->caps, err);
	if (rc == 0 && o->additional_gids)
		rc = add_groups(e->doc, &p->user, o->additional_gids, err);
	p->no_new_privileges |= o->no_new_privs;
	return rc;
}

static int from_file(struct exec_process *e, const struct exec_options *o, struct error *err)
{
	auto_free char *text = NULL;
	size_t len;
	int rc = fs_read_at(AT_FDCWD, o->process, JSON_MAX_SIZE, &text, &len, err);

	if (rc < 0)
		return rc;
	e->doc = json_parse(o->process, text, len, err);
	if (!e->doc)
		return -EINVAL;
	rc = spec_process_decode(e->doc, json_root(e->doc), &e->process, o->process, err);
	e->process.terminal |= o->tty;
	return rc;
}

/* As runc: a process file without a profile does not lead out of the container's. */
static void choose_apparmor_profile(struct spec_process *p, const struct spec_process *container, const struct exec_options *o)
{
	if (!str_empty(o->apparmor))
		p->apparmor_profile = o->apparmor;
	else if (str_empty(p->apparmor_profile) && container)
		p->apparmor_profile = container->apparmor_profile;
}

int exec_process_make(struct exec_process *e, const struct container *c, const struct exec_options *o, char **argv,
		      struct error *err)
{
	int rc;

	*e = (struct exec_process){0};
	if (o->process_label)
		return error_set(err, ENOTSUP, "nsrun cannot set SELinux labels yet: leave --process-label out");
	if (o->process) {
		rc = from_file(e, o, err);
	} else if (!c->spec.process) {
		return error_set(err, EINVAL, "cannot run in container %s without --process: its configuration has no process to take "
				 "user, environment and capabilities from", c->id);
	} else {
		e->process = *c->spec.process;
		e->doc = json_new();
		rc = e->doc ? from_options(e, o, argv, err) : error_oom(err);
	}
	choose_apparmor_profile(&e->process, c->spec.process, o);
	if (rc == 0 && (!e->process.args || !e->process.args[0]))
		rc = error_set(err, EINVAL, "process args cannot be empty");
	if (rc == 0 && (!e->process.cwd || e->process.cwd[0] != '/'))
		rc = error_set(err, EINVAL, "cannot use the working directory \"%s\": must be an absolute path",
			       e->process.cwd ? e->process.cwd : "");
	return rc;
}

void exec_process_free(struct exec_process *e)
{
	json_free(e->doc);
	*e = (struct exec_process){0};
}

/* --- --cgroup ----------------------------------------------------------------------------------------------- */

/* True when `controller` stands in the name of the hierarchy of /sys/fs/cgroup/HIERARCHY/... (version 1). */
static bool in_hierarchy(const char *path, const char *controller, size_t len)
{
	const char *p = path + strlen("/sys/fs/cgroup/"), *end;

	if (!str_starts(path, "/sys/fs/cgroup/"))
		return false;
	for (;; p = end + 1) {
		end = p + strcspn(p, ",/");
		if ((size_t)(end - p) == len && memcmp(p, controller, len) == 0)
			return true;
		if (*end != ',')
			return false;
	}
}

static int append_sub(char **path, const char *sub, struct error *err)
{
	char *longer;

	if (strstr(sub, ".."))
		return error_set(err, EINVAL, "bad sub cgroup path: %s", sub);
	longer = str_printf("%s/%s", *path, sub);
	if (!longer)
		return error_oom(err);
	free(*path);
	*path = longer;
	return 0;
}

/* "[CONTROLLER[,...]:]PATH" */
static int apply_one(char **paths, const char *option, struct error *err)
{
	const char *colon = strchr(option, ':'), *sub = colon ? colon + 1 : option, *p = option, *end;

	if (!colon) {
		for (char **path = paths; *path; path++) {
			int rc = append_sub(path, sub, err);

			if (rc < 0)
				return rc;
		}
		return 0;
	}
	for (;; p = end + 1) {
		bool found = false;

		end = p + strcspn(p, ",:");
		for (char **path = paths; *path && !found; path++) {
			found = in_hierarchy(*path, p, (size_t)(end - p));
			if (found && append_sub(path, sub, err) < 0)
				return -EINVAL;
		}
		if (!found)
			return error_set(err, EINVAL, "unknown controller %.*s in --cgroup %s", (int)(end - p), p, option);
		if (end == colon)
			return 0;
	}
}

int exec_cgroup_paths(const struct container *c, char **options, char ***ret, struct error *err)
{
	auto_strv char **paths = NULL;

	/* With a '/' at its end it is a parent, in the list for its removal only (cgroup.h). */
	for (char **p = c->state.cgroups; p && *p; p++)
		if (!str_ends(*p, "/") && strv_add(&paths, *p) < 0)
			return error_oom(err);
	if (options && !paths)
		return error_set(err, EINVAL, "cannot use --cgroup: container %s has no cgroup", c->id);
	for (char **o = options; o && *o; o++) {
		int rc = apply_one(paths, *o, err);

		if (rc < 0)
			return rc;
	}
	*ret = take_ptr(paths);
	return 0;
}
