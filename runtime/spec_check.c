/* The rules of config.json that involve more than one property, or that tables cannot say. Nothing here looks at the
 * host, so that the configuration of a container can be read again at any time; what depends on the host stands in
 * spec_check_host(). Messages start with the property's path. */
#include <string.h>
#include <sys/resource.h>

#include "cleanup.h"
#include "error.h"
#include "seccomp.h"
#include "spec.h"
#include "spec_parts.h"

enum { UTS_NAME_MAX = 64 }; /* __NEW_UTS_LEN */

const struct word spec_rlimit_words[] = {
	{"RLIMIT_CPU", RLIMIT_CPU}, {"RLIMIT_FSIZE", RLIMIT_FSIZE}, {"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_STACK", RLIMIT_STACK}, {"RLIMIT_CORE", RLIMIT_CORE}, {"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_NPROC", RLIMIT_NPROC}, {"RLIMIT_NOFILE", RLIMIT_NOFILE}, {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_AS", RLIMIT_AS}, {"RLIMIT_LOCKS", RLIMIT_LOCKS}, {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE}, {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME}, {NULL, 0},
};

static bool has_ns(const struct spec *s, enum ns_kind kind)
{
	return spec_namespace(s, kind);
}

/* --- process ------------------------------------------------------------------------------------------------ */

static int check_rlimits(const struct spec_process *p, struct error *err)
{
	unsigned seen = 0;

	for (size_t i = 0; i < p->n_rlimits; i++) {
		const struct spec_rlimit *l = &p->rlimits[i];
		int number = word_value(spec_rlimit_words, l->type);

		if (number < 0)
			return error_set(err, EINVAL, "process.rlimits[%zu].type: there is no \"%s\"", i, l->type);
		if (seen & 1u << number)
			return error_set(err, EINVAL, "process.rlimits[%zu].type: %s is given twice", i, l->type);
		if (l->soft > l->hard)
			return error_set(err, EINVAL,
					 "process.rlimits[%zu].soft: %s has a soft limit above its hard limit",
					 i, l->type);
		seen |= 1u << number;
	}
	return 0;
}

int spec_check_process(const struct spec_process *p, struct error *err)
{
	if (p->has_oom_score_adj && (p->oom_score_adj < -1000 || p->oom_score_adj > 1000))
		return error_set(err, EINVAL,
				 "process.oomScoreAdj: %d is not within -1000 and 1000", p->oom_score_adj);
	if (p->user.has_umask && p->user.umask > 0777)
		return error_set(err, EINVAL, "process.user.umask: %u is more than 511 (octal 777)", p->user.umask);
	for (size_t i = 0; i < strv_len(p->env); i++)
		if (!strchr(p->env[i], '=') || p->env[i][0] == '=')
			return error_set(err, EINVAL, "process.env[%zu]: \"%s\" is not NAME=value", i, p->env[i]);
	return check_rlimits(p, err);
}

static int check_process(const struct spec *s, struct error *err)
{
	/* With services, process only gives `exec` its defaults (specs/bundle.md). */
	if (!s->process && s->services)
		return 0;
	if (!s->process)
		return error_set(err, EINVAL, "process: missing, and the annotation org.nsrun.services names no services");
	if (!s->services && (!s->process->args || !s->process->args[0]))
		return error_set(err, EINVAL, "process.args: must name a program");
	return spec_check_process(s->process, err);
}

/* --- the rest, in the order of config.json ------------------------------------------------------------------ */

static int check_version(const struct spec *s, struct error *err)
{
	/* Minor versions only add (config.md#specification-version, semver), so newer ones are fine. */
	if (!strncmp(s->oci_version, "1.", 2) && s->oci_version[2] >= '0' && s->oci_version[2] <= '9')
		return 0;
	return error_set(err, EINVAL, "ociVersion: \"%s\" is not supported: nsrun knows version 1", s->oci_version);
}

static int check_uts_name(const struct spec *s, const char *property, const char *name, struct error *err)
{
	if (str_empty(name))
		return 0;
	if (!has_ns(s, NS_UTS))
		return error_set(err, EINVAL,
				 "%s: cannot be set without a uts namespace: add one to linux.namespaces", property);
	if (strlen(name) > UTS_NAME_MAX)
		return error_set(err, EINVAL, "%s: longer than %d bytes", property, UTS_NAME_MAX);
	return 0;
}

static int check_uts(const struct spec *s, struct error *err)
{
	int r = check_uts_name(s, "hostname", s->hostname, err);

	return r < 0 ? r : check_uts_name(s, "domainname", s->domainname, err);
}

static int check_namespaces(const struct spec *s, struct error *err)
{
	unsigned seen = 0;

	for (size_t i = 0; i < s->linux_.n_namespaces; i++) {
		const struct spec_namespace *n = &s->linux_.namespaces[i];

		if (seen & 1u << n->kind)
			return error_set(err, EINVAL, "linux.namespaces[%zu].type: \"%s\" is given twice", i,
					 ns_info[n->kind].word);
		if (!str_empty(n->path) && n->path[0] != '/')
			return error_set(err, EINVAL, "linux.namespaces[%zu].path: must be an absolute path", i);
		seen |= 1u << n->kind;
	}
	return 0;
}

static int check_maps(const char *property, const struct spec_id_map *maps, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct spec_id_map *m = &maps[i];

		if (!m->size)
			return error_set(err, EINVAL, "%s[%zu].size: must not be 0", property, i);
		/* The id 2^32-1 means "none" everywhere. */
		if ((uint64_t)m->container_id + m->size > UINT32_MAX || (uint64_t)m->host_id + m->size > UINT32_MAX)
			return error_set(err, EINVAL, "%s[%zu]: goes beyond the largest id", property, i);
	}
	return 0;
}

static int check_mappings(const struct spec *s, struct error *err)
{
	const struct spec_linux *l = &s->linux_;
	const struct spec_namespace *user = spec_namespace(s, NS_USER);
	bool mappings = l->n_uid_mappings || l->n_gid_mappings;
	int r;

	if (mappings && !user)
		return error_set(err, EINVAL,
				 "linux.%s: user namespace mappings specified, but linux.namespaces has no user "
				 "namespace", l->n_uid_mappings ? "uidMappings" : "gidMappings");
	/* Maps beside a path are accepted: Kubernetes' clients repeat there the ones that the joined namespace has. */
	if (user && str_empty(user->path) && (!l->n_uid_mappings || !l->n_gid_mappings))
		return error_set(err, EINVAL,
				 "linux.%s: missing: a new user namespace needs uidMappings and gidMappings",
				 l->n_uid_mappings ? "gidMappings" : "uidMappings");
	r = check_maps("linux.uidMappings", l->uid_mappings, l->n_uid_mappings, err);
	return r < 0 ? r : check_maps("linux.gidMappings", l->gid_mappings, l->n_gid_mappings, err);
}

static int check_devices(const struct spec *s, struct error *err)
{
	for (size_t i = 0; i < s->linux_.n_devices; i++) {
		const struct spec_device *d = &s->linux_.devices[i];

		if (strlen(d->type) != 1 || !strchr("cbup", d->type[0]))
			return error_set(err, EINVAL,
					 "linux.devices[%zu].type: \"%s\" is not one of c, b, u, p", i, d->type);
		if (d->type[0] != 'p' && (!d->has_major || !d->has_minor))
			return error_set(err, EINVAL,
					 "linux.devices[%zu].%s: missing", i, d->has_major ? "minor" : "major");
		if (d->major < 0 || d->major > 4095 || d->minor < 0 || d->minor > 1048575)
			return error_set(err, EINVAL, "linux.devices[%zu]: there is no device %lld:%lld", i,
					 (long long)d->major, (long long)d->minor);
	}
	if (s->linux_.n_devices && !has_ns(s, NS_MOUNT))
		return error_set(err, EINVAL,
				 "linux.devices: device nodes need a mount namespace: add one to linux.namespaces");
	return 0;
}

static int check_paths(const struct spec *s, const char *property, char *const *paths, struct error *err)
{
	if (!strv_len(paths))
		return 0;
	if (!has_ns(s, NS_MOUNT))
		return error_set(err, EINVAL,
				 "%s: cannot restrict paths without a mount namespace: add one to linux.namespaces, "
				 "or leave this out", property);
	for (size_t i = 0; paths[i]; i++)
		if (paths[i][0] != '/')
			return error_set(err, EINVAL, "%s[%zu]: must be an absolute path", property, i);
	return 0;
}

static int check_protection(const struct spec *s, struct error *err)
{
	static const char *const words[] = {"shared", "slave", "private", "unbindable",
					    "rshared", "rslave", "rprivate", "runbindable", NULL};
	const char *propagation = s->linux_.rootfs_propagation;
	int r = check_paths(s, "linux.maskedPaths", s->linux_.masked_paths, err);

	if (!r)
		r = check_paths(s, "linux.readonlyPaths", s->linux_.readonly_paths, err);
	if (r < 0)
		return r;
	if (!str_empty(propagation) && !strv_has((char *const *)words, propagation))
		return error_set(err, EINVAL,
				 "linux.rootfsPropagation: \"%s\" is not one of shared, slave, private, unbindable",
				 propagation);
	if (!str_empty(propagation) && !has_ns(s, NS_MOUNT))
		return error_set(err, EINVAL,
				 "linux.rootfsPropagation: needs a mount namespace: add one to linux.namespaces");
	if (s->root->readonly && !has_ns(s, NS_MOUNT))
		return error_set(err, EINVAL, "root.readonly: needs a mount namespace: add one to linux.namespaces");
	return 0;
}

static int check_cgroup(const struct spec *s, struct error *err)
{
	const char *path = s->linux_.cgroups_path;

	for (const char *at = path; at && (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (!at[2] || at[2] == '/'))
			return error_set(err, EINVAL, "linux.cgroupsPath: \"%s\" must not hold \"..\"", path);
	return s->linux_.resources ? spec_check_resources(s->linux_.resources, "linux.resources.", err) : 0;
}

static int check_seccomp(const struct spec *s, struct error *err)
{
	return s->linux_.seccomp ? seccomp_check(s->linux_.seccomp, err) : 0;
}

int spec_check(const struct spec *s, struct error *err)
{
	/* Namespaces first: most other rules ask which there are. */
	static int (*const checks[])(const struct spec *, struct error *) = {
		check_version,	   check_process,     check_namespaces, check_mappings, check_uts,
		spec_check_mounts, check_protection,  check_devices,	check_cgroup,	spec_check_sysctl,
		spec_check_net,	   check_seccomp,
	};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		int r = checks[i](s, err);

		if (r < 0)
			return r;
	}
	return 0;
}
