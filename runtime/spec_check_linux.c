/* Rules of config.json about what namespaces hold: mounts, sysctls, links. spec_check.c says what belongs here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "error.h"
#include "spec.h"
#include "spec_parts.h"

enum { SYSCTL_NAME_MAX = 256 };

/* --- mounts ------------------------------------------------------------------------------------------------- */

static bool has_option(const struct spec_mount *m, const char *a, const char *b)
{
	return strv_has(m->options, a) || strv_has(m->options, b);
}

static int check_id_mapped(const struct spec *s, size_t i, struct error *err)
{
	const struct spec_mount *m = &s->mounts[i];
	bool maps = m->n_uid_mappings || m->n_gid_mappings;

	if (!maps && !has_option(m, "idmap", "ridmap"))
		return 0;
	if (!has_option(m, "bind", "rbind"))
		return error_set(err, EINVAL, "mounts[%zu]: id-mapped mounts are only supported for bind mounts", i);
	if (maps && (!m->n_uid_mappings || !m->n_gid_mappings))
		return error_set(err, EINVAL,
				 "mounts[%zu]: id-mapped mounts must have both uid and gid mappings specified", i);
	if (!maps && !spec_namespace(s, NS_USER))
		return error_set(err, EINVAL,
				 "mounts[%zu]: idmap without uidMappings and gidMappings takes the container's, but "
				 "it has no user namespace", i);
	return 0;
}

int spec_check_mounts(const struct spec *s, struct error *err)
{
	if (s->n_mounts && !spec_namespace(s, NS_MOUNT))
		return error_set(err, EINVAL,
				 "mounts: cannot mount without a mount namespace, as the mounts would stay on the "
				 "host: "
				 "add {\"type\": \"mount\"} to linux.namespaces, or leave mounts empty");
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];
		int r;

		if (has_option(m, "bind", "rbind") && str_empty(m->source))
			return error_set(err, EINVAL, "mounts[%zu].source: missing: a bind mount needs one", i);
		r = check_id_mapped(s, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- sysctl ------------------------------------------------------------------------------------------------- */

/* /proc/sys is namespaced only in part; prefixes end with '.'. Anything else would change the host. */
static const struct {
	const char *name;
	enum ns_kind kind;
} namespaced_sysctls[] = {
	{"kernel.msgmax", NS_IPC},	{"kernel.msgmnb", NS_IPC}, {"kernel.msgmni", NS_IPC},
	{"kernel.sem", NS_IPC},		{"kernel.shmall", NS_IPC}, {"kernel.shmmax", NS_IPC},
	{"kernel.shmmni", NS_IPC},	{"kernel.shm_rmid_forced", NS_IPC}, {"fs.mqueue.", NS_IPC},
	{"net.", NS_NET},		{"kernel.domainname", NS_UTS},
	{"user.", NS_USER},
};

/* As sysctl(8): when '/' is the first separator met, it separates, and '.' is part of a name. */
static void with_dots(const char *name, char *out, size_t size)
{
	const char *first = strpbrk(name, "./");
	bool swap = first && *first == '/';
	size_t i;

	for (i = 0; name[i] && i + 1 < size; i++)
		out[i] = !swap ? name[i] : name[i] == '/' ? '.' : name[i] == '.' ? '/' : name[i];
	out[i] = '\0';
}

/* A component ".." (in either spelling) would leave the namespaced part. */
static bool climbs(const char *dotted)
{
	return strstr(dotted, "..") || strstr(dotted, "//") || strstr(dotted, "/.") || strstr(dotted, "./") ||
	       dotted[0] == '.' || dotted[0] == '/';
}

/* The kind of namespace that holds the parameter (its name with dots), or -1. */
static int sysctl_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(namespaced_sysctls); i++) {
		const char *known = namespaced_sysctls[i].name;

		if (str_ends(known, ".") ? str_starts(name, known) : !strcmp(name, known))
			return (int)namespaced_sysctls[i].kind;
	}
	return -1;
}

static int check_sysctl(const struct spec *s, const char *key, struct error *err)
{
	char name[SYSCTL_NAME_MAX];
	int kind;

	with_dots(key, name, sizeof(name));
	if (strlen(key) >= sizeof(name) || climbs(name))
		return error_set(err, EINVAL, "linux.sysctl: \"%s\" is no name of a kernel parameter", key);
	if (!strcmp(name, "kernel.hostname"))
		return error_set(err, EINVAL,
				 "linux.sysctl: \"%s\" is not allowed as it conflicts with the OCI \"hostname\" "
				 "field", key);
	kind = sysctl_kind(name);
	if (kind < 0)
		return error_set(err, EINVAL,
				 "linux.sysctl: \"%s\" is not in a separate kernel namespace, so it would change the "
				 "host", key);
	if (!spec_namespace(s, (enum ns_kind)kind))
		return error_set(err, EINVAL,
				 "linux.sysctl: \"%s\" would change the host: linux.namespaces has no %s namespace "
				 "to hold it", key, ns_info[kind].word);
	return 0;
}

int spec_check_sysctl(const struct spec *s, struct error *err)
{
	for (size_t i = 0; i < s->linux_.sysctl.n; i++) {
		int r = check_sysctl(s, s->linux_.sysctl.pairs[i].key, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- links -------------------------------------------------------------------------------------------------- */

static const char *final_name(const struct spec_netdev *d)
{
	return d->name ? d->name : d->host_name;
}

static int check_device_name(const struct spec *s, size_t i, struct error *err)
{
	const struct spec_netdev *d = &s->linux_.net_devices[i];
	const char *name = final_name(d);

	if (strstr(name, "%d"))
		return 0;
	if (!strcmp(name, "lo"))
		return error_set(err, EINVAL,
				 "linux.netDevices.%s: the container has an interface lo of its own", d->host_name);
	for (size_t j = 0; j < i; j++)
		if (!strcmp(name, final_name(&s->linux_.net_devices[j])))
			return error_set(err, EINVAL,
					 "linux.netDevices.%s: two devices would be named %s in the container",
					 d->host_name, name);
	for (size_t j = 0; j < s->n_attachments; j++)
		if (!strcmp(name, s->attachments[j].ifname))
			return error_set(err, EINVAL,
					 "linux.netDevices.%s: the annotation org.nsrun.net.%s makes an interface of "
					 "the same name", d->host_name, name);
	return 0;
}

int spec_check_net(const struct spec *s, struct error *err)
{
	const char *what = s->linux_.n_net_devices ? "linux.netDevices: network devices cannot be moved" :
			   s->netns_name	   ? "annotations.org.nsrun.netns: there is nothing to pin" :
						     NULL;

	if (what && !spec_namespace(s, NS_NET))
		return error_set(err, EINVAL,
				 "%s without a network namespace: add {\"type\": \"network\"} to "
				 "linux.namespaces", what);
	for (size_t i = 0; i < s->linux_.n_net_devices; i++) {
		int r = check_device_name(s, i, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- the host ----------------------------------------------------------------------------------------------- */

/* A namespace that is joined by path must not be the one that nsrun is in, if `what` would change it. */
static int check_not_ours(const struct spec *s, enum ns_kind kind, const char *what, struct error *err)
{
	const struct spec_namespace *n = spec_namespace(s, kind);
	struct stat theirs, ours;
	char self[64];

	if (!n || str_empty(n->path))
		return 0;
	snprintf(self, sizeof(self), "/proc/self/ns/%s", ns_info[kind].proc);
	if (stat(n->path, &theirs) < 0)
		return error_sys(err, "cannot join %s namespace %s", ns_info[kind].word, n->path);
	if (stat(self, &ours) < 0)
		return error_sys(err, "cannot look at %s", self);
	if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
		return error_set(err, EINVAL, "%s: not allowed in the host's %s namespace, which %s is", what,
				 ns_info[kind].word, n->path);
	return 0;
}

int spec_check_host(const struct spec *s, struct error *err)
{
	int r = 0;

	if (!str_empty(s->hostname) || !str_empty(s->domainname))
		r = check_not_ours(s, NS_UTS, str_empty(s->hostname) ? "domainname" : "hostname", err);
	if (!r && s->linux_.n_net_devices)
		r = check_not_ours(s, NS_NET, "linux.netDevices", err);
	if (!r && s->n_attachments)
		r = check_not_ours(s, NS_NET, "annotations.org.nsrun.net.*", err);
	for (size_t i = 0; !r && i < s->linux_.sysctl.n; i++) {
		char name[SYSCTL_NAME_MAX];

		with_dots(s->linux_.sysctl.pairs[i].key, name, sizeof(name));
		r = check_not_ours(s, (enum ns_kind)sysctl_kind(name), "linux.sysctl", err);
	}
	return r;
}
