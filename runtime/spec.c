/* config.json: the field tables of everything that is not Linux's own, and loading.
 *
 * The tables list every property of runtime-spec 1.3.0 that concerns a Linux container; what nsrun cannot do yet stands
 * in them as F_REFUSED with the reason, so that it is an error and never silence. Properties for other platforms
 * (windows, solaris, freebsd, zos; process.commandLine, process.user.username) are not listed and thereby ignored, as
 * any unknown one (config.md#extensibility). specs/oci-support.md is printed from these tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "json.h"
#include "spec.h"
#include "spec_parts.h"

/* --- process ------------------------------------------------------------------------------------------------ */

static const struct json_field user_fields[] = {
	F_U32(struct spec_user, "uid", uid, 0),
	F_U32(struct spec_user, "gid", gid, 0),
	F_U32_HAS(struct spec_user, "umask", umask, has_umask, 0),
	F_U32S(struct spec_user, "additionalGids", additional_gids, n_additional_gids, 0),
	F_END,
};
static JSON_TYPE(user_type, struct spec_user, user_fields);

static const struct json_field capabilities_fields[] = {
	F_STRINGS(struct spec_capabilities, "bounding", bounding, 0),
	F_STRINGS(struct spec_capabilities, "effective", effective, 0),
	F_STRINGS(struct spec_capabilities, "inheritable", inheritable, 0),
	F_STRINGS(struct spec_capabilities, "permitted", permitted, 0),
	F_STRINGS(struct spec_capabilities, "ambient", ambient, 0),
	F_END,
};
static JSON_TYPE(capabilities_type, struct spec_capabilities, capabilities_fields);

static const struct json_field rlimit_fields[] = {
	F_STRING(struct spec_rlimit, "type", type, JSON_REQUIRED),
	F_U64(struct spec_rlimit, "soft", soft, JSON_REQUIRED),
	F_U64(struct spec_rlimit, "hard", hard, JSON_REQUIRED),
	F_END,
};
static JSON_TYPE(rlimit_type, struct spec_rlimit, rlimit_fields);

static const struct json_field console_size_fields[] = {
	F_U32(struct spec_console_size, "height", height, JSON_REQUIRED),
	F_U32(struct spec_console_size, "width", width, JSON_REQUIRED),
	F_END,
};
static JSON_TYPE(console_size_type, struct spec_console_size, console_size_fields);

static const struct json_field process_fields[] = {
	F_BOOL(struct spec_process, "terminal", terminal, 0),
	F_POINTER(struct spec_process, "consoleSize", console_size, &console_size_type, 0),
	F_STRUCT(struct spec_process, "user", user, &user_type, 0),
	F_STRINGS(struct spec_process, "args", args, 0),
	F_STRINGS(struct spec_process, "env", env, 0),
	F_STRING(struct spec_process, "cwd", cwd, JSON_REQUIRED | JSON_ABSOLUTE),
	F_POINTER(struct spec_process, "capabilities", capabilities, &capabilities_type, 0),
	F_LIST(struct spec_process, "rlimits", rlimits, n_rlimits, &rlimit_type, 0),
	F_BOOL(struct spec_process, "noNewPrivileges", no_new_privileges, 0),
	F_I32_HAS(struct spec_process, "oomScoreAdj", oom_score_adj, has_oom_score_adj, 0),
	F_STRING(struct spec_process, "apparmorProfile", apparmor_profile, 0),
	F_REFUSED("selinuxLabel", "nsrun cannot set SELinux labels yet"),
	F_REFUSED("scheduler", "nsrun cannot set scheduling policies yet"),
	F_REFUSED("ioPriority", "nsrun cannot set I/O priorities yet"),
	F_REFUSED("execCPUAffinity", "nsrun cannot set the CPU affinity of exec yet"),
	F_END,
};
JSON_TYPE(spec_process_type, struct spec_process, process_fields);

/* --- root, mounts, hooks ------------------------------------------------------------------------------------ */

static const struct json_field root_fields[] = {
	F_STRING(struct spec_root, "path", path, JSON_REQUIRED | JSON_NONEMPTY),
	F_BOOL(struct spec_root, "readonly", readonly, 0),
	F_END,
};
static JSON_TYPE(root_type, struct spec_root, root_fields);

static const struct json_field mount_fields[] = {
	F_STRING(struct spec_mount, "destination", destination, JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct spec_mount, "type", type, 0),
	F_STRING(struct spec_mount, "source", source, 0),
	F_STRINGS(struct spec_mount, "options", options, 0),
	F_LIST(struct spec_mount, "uidMappings", uid_mappings, n_uid_mappings, &spec_id_map_type, 0),
	F_LIST(struct spec_mount, "gidMappings", gid_mappings, n_gid_mappings, &spec_id_map_type, 0),
	F_END,
};
static JSON_TYPE(mount_type, struct spec_mount, mount_fields);

static const struct json_field hook_fields[] = {
	F_STRING(struct spec_hook, "path", path, JSON_REQUIRED | JSON_ABSOLUTE),
	F_STRINGS(struct spec_hook, "args", args, 0),
	F_STRINGS(struct spec_hook, "env", env, 0),
	F_U32(struct spec_hook, "timeout", timeout, 0),
	F_END,
};
JSON_TYPE(spec_hook_type, struct spec_hook, hook_fields);

#define F_HOOKS(k, kind) F_LIST(struct spec_hooks, k, list[kind], n[kind], &spec_hook_type, 0)
static const struct json_field hooks_fields[] = {
	F_HOOKS("prestart", HOOK_PRESTART),
	F_HOOKS("createRuntime", HOOK_CREATE_RUNTIME),
	F_HOOKS("createContainer", HOOK_CREATE_CONTAINER),
	F_HOOKS("startContainer", HOOK_START_CONTAINER),
	F_HOOKS("poststart", HOOK_POSTSTART),
	F_HOOKS("poststop", HOOK_POSTSTOP),
	F_END,
};
static JSON_TYPE(hooks_type, struct spec_hooks, hooks_fields);

/* --- all of it ---------------------------------------------------------------------------------------------- */

static const struct json_field spec_fields[] = {
	F_STRING(struct spec, "ociVersion", oci_version, JSON_REQUIRED),
	F_POINTER(struct spec, "root", root, &root_type, JSON_REQUIRED),
	F_POINTER(struct spec, "process", process, &spec_process_type, 0),
	F_STRING(struct spec, "hostname", hostname, 0),
	F_STRING(struct spec, "domainname", domainname, 0),
	F_LIST(struct spec, "mounts", mounts, n_mounts, &mount_type, 0),
	F_STRUCT(struct spec, "hooks", hooks, &hooks_type, 0),
	F_MAP(struct spec, "annotations", annotations, 0),
	F_STRUCT(struct spec, "linux", linux_, &spec_linux_type, 0),
	F_REFUSED("vm", "nsrun runs no virtual machines"),
	F_END,
};
JSON_TYPE(spec_type, struct spec, spec_fields);

/* --- loading ------------------------------------------------------------------------------------------------ */

static int decode_all(struct spec *s, struct json_doc *doc, const char *name, struct error *err)
{
	int r = json_decode(doc, json_root(doc), &spec_type, s, name, err);

	if (r < 0)
		return r;
	s->doc = doc;
	r = spec_decode_net_devices(s, err);
	if (!r && s->linux_.resources)
		r = spec_decode_rdma(doc, s->linux_.resources, "linux.resources.", err);
	if (!r)
		r = spec_decode_annotations(s, err);
	if (!r)
		r = spec_check(s, err);
	return r < 0 ? error_wrap(err, "%s", name) : 0;
}

int spec_parse(struct spec *s, const char *name, const char *text, size_t len, struct error *err)
{
	auto_json struct json_doc *doc = json_parse(name, text, len, err);
	int r;

	*s = (struct spec){0};
	if (!doc)
		return err && err->code ? -err->code : -EINVAL;
	r = decode_all(s, doc, name, err);
	if (r < 0) {
		*s = (struct spec){0};
		return r;
	}
	s->doc = take_ptr(doc);
	return 0;
}

int spec_load(struct spec *s, int dirfd, const char *path, struct error *err)
{
	auto_free char *text = NULL;
	const char *slash = strrchr(path, '/');
	size_t len;
	int r;

	*s = (struct spec){0};
	r = fs_read_at(dirfd, path, JSON_MAX_SIZE, &text, &len, err);
	if (r == -ENOENT)
		return error_set(err, ENOENT,
				 "JSON specification file %s not found: a bundle needs one (`nsrun spec` writes an "
				 "example)", path);
	if (r < 0)
		return r;
	r = spec_parse(s, slash ? slash + 1 : path, text, len, err);
	if (r < 0)
		return r;
	s->text = take_ptr(text);
	s->text_len = len;
	return 0;
}

void spec_free(struct spec *s)
{
	json_free(s->doc);
	free(s->text);
	*s = (struct spec){0};
}

int spec_process_decode(struct json_doc *doc, const struct json_value *v, struct spec_process *p, const char *where,
			struct error *err)
{
	int r = json_decode(doc, v, &spec_process_type, p, where, err);

	if (r < 0)
		return r;
	r = spec_check_process(p, err);
	return r < 0 ? error_wrap(err, "%s", where) : 0;
}

const struct spec_namespace *spec_namespace(const struct spec *s, enum ns_kind kind)
{
	for (size_t i = 0; i < s->linux_.n_namespaces; i++)
		if (s->linux_.namespaces[i].kind == (int)kind)
			return &s->linux_.namespaces[i];
	return NULL;
}

const char *spec_annotation(const struct spec *s, const char *key)
{
	for (size_t i = 0; i < s->annotations.n; i++)
		if (!strcmp(s->annotations.pairs[i].key, key))
			return s->annotations.pairs[i].value;
	return NULL;
}
