/* tuning: sysctls of the container's network namespace, and MAC, MTU, queue length and reception modes of an interface that
 * a plugin before this one has made. What the interface was like is written down first, and restored by del; sysctls are
 * not, as with the reference: they end with the namespace. */
#include "iface.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "fs.h"
#include "netns.h"
#include "str.h"

#define ALLOWLIST "/etc/cni/tuning/allowlist.conf"

enum { STATE_MAX = 4096, ALLOWLIST_MAX = 1 << 20, SYSCTL_VALUE_MAX = 4096 };

struct tuning {
	struct json_map sysctl;
	const char *mac, *data_dir;
	uint32_t mtu, txqlen;
	bool promisc, allmulti, has_promisc, has_allmulti, has_txqlen;
};
static const struct json_field tuning_fields[] = {
	F_MAP(struct tuning, "sysctl", sysctl, JSON_FOLD),
	F_STRING(struct tuning, "mac", mac, JSON_FOLD),
	F_STRING(struct tuning, "dataDir", data_dir, JSON_FOLD),
	F_U32(struct tuning, "mtu", mtu, JSON_FOLD),
	F_U32_HAS(struct tuning, "txQLen", txqlen, has_txqlen, JSON_FOLD),
	F_BOOL_HAS(struct tuning, "promisc", promisc, has_promisc, JSON_FOLD),
	F_BOOL_HAS(struct tuning, "allmulti", allmulti, has_allmulti, JSON_FOLD),
	F_END,
};
static JSON_TYPE(tuning_type, struct tuning, tuning_fields);

/* What is wanted, args.cni's before the configuration's own. */
struct wanted {
	struct tuning base, args;
	struct link_req link;
	uint8_t mac[6];
	bool changes_link;
};

/* --- configuration ------------------------------------------------------------------------------------------- */

static int load(struct cni_call *call, struct cni_conf *conf, struct wanted *w, struct error *err)
{
	const struct tuning *b = &w->base, *a = &w->args;
	int code;

	*w = (struct wanted){.changes_link = false};
	code = conf_decode_error(json_decode(conf->doc, conf->raw, &tuning_type, &w->base, "tuning", err), err);
	if (code == 0 && !json_is_empty(conf->args_cni))
		code = conf_decode_error(json_decode(conf->doc, conf->args_cni, &tuning_type, &w->args, "args.cni", err), err);
	if (code == 0)
		code = iface_wanted_mac(call, conf, b->mac, w->mac, err);
	if (code < 0)
		return code;
	if (code > 0)
		w->link.mac = w->mac;
	w->link.name = call->ifname;
	w->link.mtu = a->mtu ? a->mtu : b->mtu;
	w->link.txqlen = a->has_txqlen ? a->txqlen : b->txqlen;
	if (a->has_promisc ? a->promisc : b->promisc)
		w->link.flags_on |= IFF_PROMISC;
	else if (a->has_promisc || b->has_promisc)
		w->link.flags_off |= IFF_PROMISC;
	if (a->has_allmulti ? a->allmulti : b->allmulti)
		w->link.flags_on |= IFF_ALLMULTI;
	else if (a->has_allmulti || b->has_allmulti)
		w->link.flags_off |= IFF_ALLMULTI;
	w->changes_link = w->link.mac || w->link.mtu || w->link.txqlen || w->link.flags_on || w->link.flags_off;
	return 0;
}

/* --- sysctls ------------------------------------------------------------------------------------------------- */

/* A file of regular expressions, a line each, that an administrator may have made. None: everything is allowed. */
static int allowed(const char *key, struct error *err)
{
	auto_free char *text = NULL;
	char *save = NULL;
	int code = fs_read_at(AT_FDCWD, ALLOWLIST, ALLOWLIST_MAX, &text, NULL, err);

	if (code < 0)
		return code == -ENOENT ? 0 : code;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		regex_t re;
		bool match;

		if (regcomp(&re, line, REG_EXTENDED | REG_NOSUB) != 0)
			return error_set(err, CNI_INVALID_CONFIG, ALLOWLIST ": '%s' is no regular expression", line);
		match = regexec(&re, key, 0, NULL, 0) == 0;
		regfree(&re);
		if (match)
			return 0;
	}
	return error_set(err, CNI_INVALID_CONFIG, "sysctl %s is not allowed by " ALLOWLIST, key);
}

/* IFNAME stands for the interface's name, whose dots are written as slashes. */
static int sysctl_key(const struct cni_call *call, const char *key, char out[IFACE_SYSCTL_SIZE], struct error *err)
{
	const char *at = strstr(key, "IFNAME"), *separator = strpbrk(key, "./");
	char path[IFACE_SYSCTL_SIZE], name[IFNAMSIZ];
	int code;

	snprintf(name, sizeof(name), "%s", call->ifname);
	for (char *p = name; *p && separator && *separator == '.'; p++)
		*p = *p == '.' ? '/' : *p;
	if (at)
		snprintf(out, IFACE_SYSCTL_SIZE, "%.*s%s%s", (int)(at - key), key, name, at + strlen("IFNAME"));
	else
		snprintf(out, IFACE_SYSCTL_SIZE, "%s", key);
	code = iface_sysctl_path(out, path, err);
	if (code < 0)
		return code;
	if (!str_starts(path, "/proc/sys/net/"))
		return error_set(err, CNI_INVALID_CONFIG, "sysctl %s: only net.* belongs to a network namespace", key);
	return 0;
}

static int set_sysctls(struct cni_call *call, const struct json_map *map, struct error *err)
{
	char key[IFACE_SYSCTL_SIZE];
	int code = 0;

	for (size_t i = 0; code == 0 && i < map->n; i++) {
		code = allowed(map->pairs[i].key, err);
		if (code == 0)
			code = sysctl_key(call, map->pairs[i].key, key, err);
		if (code == 0)
			code = iface_sysctl(call, true, key, map->pairs[i].value, err);
	}
	return code;
}

static int read_sysctl(struct cni_call *call, const char *path, char **ret, struct error *err)
{
	struct error back;
	int code = netns_enter(call->netns_fd, err);

	if (code < 0)
		return code;
	code = fs_read_at(AT_FDCWD, path, SYSCTL_VALUE_MAX, ret, NULL, err);
	if (netns_enter(call->own_fd, &back) < 0)
		return error_set(err, back.code, "cannot return to the own network namespace: %s", back.msg);
	return code;
}

static int check_sysctls(struct cni_call *call, const struct json_map *map, struct error *err)
{
	for (size_t i = 0; i < map->n; i++) {
		char key[IFACE_SYSCTL_SIZE], path[IFACE_SYSCTL_SIZE];
		auto_free char *value = NULL;
		int code = sysctl_key(call, map->pairs[i].key, key, err);

		if (code == 0)
			code = iface_sysctl_path(key, path, err);
		if (code == 0)
			code = read_sysctl(call, path, &value, err);
		if (code < 0)
			return code;
		value[strcspn(value, "\n")] = '\0';
		if (!str_eq(value, map->pairs[i].value))
			return error_set(err, CNI_PLUGIN, "sysctl %s is '%s', not '%s'", key, value, map->pairs[i].value);
	}
	return 0;
}

/* --- the interface as it was --------------------------------------------------------------------------------- */

struct was {
	const char *container_id, *ifname, *mac;
	uint32_t mtu, txqlen;
	bool promisc, allmulti;
};
static const struct json_field was_fields[] = {
	F_STRING(struct was, "containerID", container_id, 0),
	F_STRING(struct was, "ifname", ifname, 0),
	F_STRING(struct was, "mac", mac, 0),
	F_U32(struct was, "mtu", mtu, 0),
	F_U32(struct was, "txQLen", txqlen, 0),
	F_BOOL(struct was, "promisc", promisc, 0),
	F_BOOL(struct was, "allmulti", allmulti, 0),
	F_END,
};
static JSON_TYPE(was_type, struct was, was_fields);

/* dataDir/<network>/<id>_<ifname>.json; the network is in it because one container may be in several. */
static char *state_path(const struct cni_call *call, const struct cni_conf *conf, const struct wanted *w, char **ret_dir)
{
	char *dir = w->base.data_dir ? str_printf("%s/%s", w->base.data_dir, conf->name)
				     : str_printf("%s/tuning/%s", call_root(), conf->name);

	*ret_dir = dir;
	return dir ? str_printf("%s/%s_%s.json", dir, call->container_id, call->ifname) : NULL;
}

static int save(struct cni_call *call, struct cni_conf *conf, const struct wanted *w, const struct link_info *l,
		struct error *err)
{
	auto_free char *dir = NULL, *path = state_path(call, conf, w, &dir);
	auto_close int fd = -1;
	auto_buf struct buf text = {0};
	char mac[MAC_TEXT_SIZE];
	struct was was = {
		.container_id = call->container_id,
		.ifname = call->ifname,
		.mac = mac_text(l->mac, mac),
		.mtu = l->mtu,
		.txqlen = l->txqlen,
		.promisc = l->flags & IFF_PROMISC,
		.allmulti = l->flags & IFF_ALLMULTI,
	};
	int code;

	json_encode(&text, &was_type, &was, 0);
	if (!path || text.failed)
		return error_oom(err);
	code = fs_mkdirs(dir, 0700, err);
	if (code < 0)
		return code;
	/* Not atomic: nothing is changed before it is whole, so one that is not has nothing to restore. */
	fd = fs_open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, err);
	if (fd < 0)
		return fd;
	code = fs_write_all(fd, text.data, text.len);
	return code < 0 ? error_set(err, -code, "cannot write %s: %s", path, strerror(-code)) : 0;
}

static int change_link(struct cni_call *call, struct cni_conf *conf, const struct wanted *w, struct link_info *l,
		       struct error *err)
{
	struct link_req change = w->link;
	struct rtnl *n;
	int code = call_container(call, &n, err);

	if (code == 0)
		code = rtnl_link_get(n, call->ifname, l, err);
	if (code == 0)
		code = save(call, conf, w, l, err);
	change.index = l->index;
	return code < 0 ? code : rtnl_link_set(n, &change, err);
}

static struct json_doc *read_was(int dir, const char *path, struct was *ret)
{
	auto_free char *text = NULL;
	auto_json struct json_doc *doc = NULL;
	size_t len;

	if (fs_read_at(dir, path, STATE_MAX, &text, &len, NULL) < 0)
		return NULL;
	doc = json_parse(path, text, len, NULL);
	if (!doc || json_decode(doc, json_root(doc), &was_type, ret, path, NULL) < 0)
		return NULL;
	return take_ptr(doc);
}

static void restore_link(struct cni_call *call, const char *path)
{
	struct was was;
	auto_json struct json_doc *doc = read_was(AT_FDCWD, path, &was);
	struct link_req back = {.name = call->ifname};
	struct rtnl *n;
	uint8_t mac[6];

	if (!doc || call_container(call, &n, NULL) < 0)
		return;
	if (!str_empty(was.mac) && mac_parse(was.mac, mac) == 0)
		back.mac = mac;
	back.mtu = was.mtu;
	back.txqlen = was.txqlen;
	*(was.promisc ? &back.flags_on : &back.flags_off) |= IFF_PROMISC;
	*(was.allmulti ? &back.flags_on : &back.flags_off) |= IFF_ALLMULTI;
	rtnl_link_set(n, &back, NULL);
}

/* --- the plugin ---------------------------------------------------------------------------------------------- */

/* A copy: conf->prev_result must stay what it was. */
static int update_result(struct cni_call *call, struct cni_conf *conf, const struct wanted *w, struct cni_result *r,
			 struct error *err)
{
	size_t n = r->n_interfaces;
	const struct cni_interface *old = r->interfaces;

	r->interfaces = NULL;
	r->n_interfaces = 0;
	for (size_t i = 0; i < n; i++) {
		struct cni_interface f = old[i];

		if (!str_empty(f.sandbox) && str_eq(f.name, call->ifname)) {
			f.mac = w->link.mac ? iface_mac_text(conf->doc, w->mac) : f.mac;
			f.mtu = w->link.mtu ? w->link.mtu : f.mtu;
		}
		if (result_add_interface(conf->doc, r, &f) < 0)
			return error_oom(err);
	}
	return 0;
}

static int tuning_del(struct cni_call *call, struct cni_conf *conf, struct error *err);

static int tuning_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct link_info l = {0};
	struct wanted w;
	int code = load(call, conf, &w, err);

	if (code < 0)
		return code;
	code = set_sysctls(call, &w.base.sysctl, err);
	if (code == 0)
		code = set_sysctls(call, &w.args.sysctl, err);
	if (code == 0 && w.changes_link)
		code = change_link(call, conf, &w, &l, err);
	if (code == 0)
		code = update_result(call, conf, &w, result, err);
	if (code < 0)
		tuning_del(call, conf, NULL);
	return code;
}

static int tuning_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_free char *path = NULL, *dir = NULL;
	struct wanted w = {.changes_link = false};

	/* Only dataDir is of interest, and a configuration that has gone bad is no reason to keep the file. */
	json_decode(conf->doc, conf->raw, &tuning_type, &w.base, "tuning", NULL);
	path = state_path(call, conf, &w, &dir);
	if (!path)
		return error_oom(err);
	if (call->netns_fd >= 0)
		restore_link(call, path);
	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return error_sys(err, "cannot remove %s", path);
	/* The network's directory, if it was the last; and ours, if that was the last network's. */
	if ((rmdir(dir) == 0 || errno == ENOENT) && !w.base.data_dir) {
		*strrchr(dir, '/') = '\0';
		rmdir(dir);
	}
	return 0;
}

static int check_link(const struct wanted *w, const struct link_info *l, struct error *err)
{
	if (w->link.mac && memcmp(w->mac, l->mac, 6) != 0)
		return error_set(err, CNI_PLUGIN, "%s has another MAC than tuning gave it", l->name);
	if (w->link.mtu && w->link.mtu != l->mtu)
		return error_set(err, CNI_PLUGIN, "%s has MTU %u, not %u", l->name, l->mtu, w->link.mtu);
	if (w->link.txqlen && w->link.txqlen != l->txqlen)
		return error_set(err, CNI_PLUGIN, "%s has queue length %u, not %u", l->name, l->txqlen, w->link.txqlen);
	if ((l->flags & w->link.flags_on) != w->link.flags_on || (l->flags & w->link.flags_off))
		return error_set(err, CNI_PLUGIN, "%s is not promiscuous or multicast as tuning set it", l->name);
	return 0;
}

static int tuning_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct link_info l;
	struct wanted w;
	struct rtnl *n;
	int code = load(call, conf, &w, err);

	if (code == 0)
		code = check_sysctls(call, &w.base.sysctl, err);
	if (code == 0)
		code = check_sysctls(call, &w.args.sysctl, err);
	if (code < 0 || !w.changes_link)
		return code;
	code = call_container(call, &n, err);
	if (code == 0)
		code = rtnl_link_get(n, call->ifname, &l, err);
	return code < 0 ? code : check_link(&w, &l, err);
}

/* One network's files. Whose they are stands in them: ids and names of interfaces may both hold a '_'. */
static void gc_directory(const struct cni_conf *conf, const char *dir)
{
	auto_closedir DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_json struct json_doc *doc = NULL;
		struct was was;

		if (!fs_is_name(e->d_name))
			continue;
		doc = read_was(dirfd(d), e->d_name, &was);
		if (!doc || !conf_attachment_valid(conf, was.container_id, was.ifname))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	rmdir(dir);
}

static int gc_all(const struct cni_conf *conf, struct error *err)
{
	auto_free char *all = str_printf("%s/tuning", call_root());
	auto_closedir DIR *d = all ? opendir(all) : NULL;
	const struct dirent *e;

	if (!all)
		return error_oom(err);
	while (d && (e = readdir(d))) {
		auto_free char *dir = fs_is_name(e->d_name) ? str_printf("%s/%s", all, e->d_name) : NULL;

		if (dir)
			gc_directory(conf, dir);
	}
	rmdir(all);
	return 0;
}

static int tuning_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_free char *dir = NULL;
	struct tuning t = {.data_dir = NULL};

	(void)call;
	if (!conf->name)
		return gc_all(conf, err);
	json_decode(conf->doc, conf->raw, &tuning_type, &t, "tuning", NULL);
	dir = t.data_dir ? str_printf("%s/%s", t.data_dir, conf->name) : str_printf("%s/tuning/%s", call_root(), conf->name);
	if (!dir)
		return error_oom(err);
	gc_directory(conf, dir);
	return 0;
}

const struct plugin plugin_tuning = {
	.type = "tuning",
	.add = tuning_add,
	.del = tuning_del,
	.check = tuning_check,
	.gc = tuning_gc,
};
