/* host-local: addresses from ranges, kept on this host. The ranges: host_local_conf.c; who has what: ipam_store.c. */
#include "host_local.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "fs.h"
#include "ipam_store.h"
#include "str.h"

/* More are not tried in one set: an IPv6 range has no end in practice. */
enum { TRIES_MAX = 1 << 22 };

/* Where all networks are that do not say where they want to be. */
static char *default_dir(void)
{
	return str_printf("%s/ipam", call_root());
}

/* The network's directory; *ret_own: nobody else writes there. */
static int network_dir(const struct cni_conf *conf, const char *data_dir, char **ret, bool *ret_own,
		       struct error *err)
{
	auto_free char *deflt = default_dir();

	*ret_own = str_empty(data_dir);
	*ret = deflt ? str_printf("%s/%s", *ret_own ? deflt : data_dir, conf->name) : NULL;
	return *ret ? 0 : error_oom(err);
}

/* Only the place: taking back does not depend on whether the ranges are understood. */
struct place {
	const char *data_dir;
};
static const struct json_field place_fields[] = {F_STRING(struct place, "dataDir", data_dir, JSON_FOLD), F_END};
static JSON_TYPE(place_type, struct place, place_fields);

/* The store if there is one: -ENOENT without text when not. */
static int open_existing(const struct cni_conf *conf, struct ipam_store **ret, struct error *err)
{
	auto_free char *dir = NULL;
	struct place p = {0};
	bool own;
	int code = conf->ipam ? json_decode(conf->doc, conf->ipam, &place_type, &p, "ipam", err) : 0;

	if (code < 0)
		return conf_decode_error(code, err);
	code = network_dir(conf, p.data_dir, &dir, &own, err);
	return code < 0 ? code : ipam_store_open_existing(dir, own, ret, err);
}

/* --- add ------------------------------------------------------------------------------------------------------ */

struct add {
	const struct cni_call *call;
	struct cni_conf *conf;
	const struct host_local_conf *c;
	struct ipam_store *store;
	struct cni_result *result;
};

static bool is_gateway(const struct host_local_range *r, const struct ipaddr *a)
{
	return ipaddr_equal(&r->gateway, a);
}

static int give(struct add *w, unsigned set, const struct ipaddr *a, struct error *err)
{
	const struct host_local_range *r = host_local_find(&w->c->sets[set], a);
	struct ipaddr with_prefix = *a;
	int code = ipam_store_reserve(w->store, a, w->call->container_id, w->call->ifname, err);

	if (code < 0)
		return code;
	with_prefix.prefix = r->subnet.prefix;
	if (ipam_result_ip(w->conf->doc, w->result, &with_prefix, &r->gateway) < 0)
		return error_oom(err);
	return ipam_store_set_last(w->store, set, a, err);
}

static int give_requested(struct add *w, unsigned set, const struct ipaddr *a, struct error *err)
{
	char text[IPADDR_TEXT_SIZE], owner[IPAM_STORE_OWNER_SIZE];
	int code;

	ipaddr_text(a, false, text);
	if (is_gateway(host_local_find(&w->c->sets[set], a), a))
		return error_set(err, CNI_INVALID_CONFIG, "the requested address %s is the gateway of network %s",
				 text, w->conf->name);
	code = give(w, set, a, err);
	if (code != -EEXIST)
		return code;
	ipam_store_owner(w->store, a, owner);
	return error_set(err, CNI_TRY_AGAIN, "the requested address %s of network %s is taken by container %s", text,
			 w->conf->name, owner[0] ? owner : "(unknown)");
}

static int full(const struct add *w, const struct host_local_set *s, unsigned in_use, struct error *err)
{
	char text[HOST_LOCAL_TEXT_SIZE];

	return error_set(
		err, CNI_TRY_AGAIN,
		"no free address in %s of network %s: %u in use; widen the range, or free what dead containers hold (netsetup gc)",
		host_local_set_text(s, text), w->conf->name, in_use);
}

/* The next free one after the last that was given, so that an address rests as long as possible before it is given
 * again. */
static int give_free(struct add *w, unsigned set, struct error *err)
{
	const struct host_local_set *s = &w->c->sets[set];
	struct ipaddr last, first, a;
	unsigned in_use = 0;

	ipam_store_last(w->store, set, &last);
	a = first = last.family && host_local_find(s, &last) ? host_local_next(s, &last) : s->v[0].start;
	for (int i = 0; i < TRIES_MAX; i++) {
		if (!is_gateway(host_local_find(s, &a), &a)) {
			int code = give(w, set, &a, err);

			if (code != -EEXIST)
				return code;
			in_use++;
		}
		a = host_local_next(s, &a);
		if (ipaddr_equal(&a, &first))
			break;
	}
	return full(w, s, in_use, err);
}

/* The first requested address that lies in the set, or NULL; it is taken off the list. */
static const struct ipaddr *take_requested(struct ipam_addrs *list, const struct host_local_set *s,
					   struct ipaddr *storage)
{
	for (size_t i = 0; i < list->n; i++)
		if (host_local_find(s, &list->v[i])) {
			*storage = list->v[i];
			list->v[i] = list->v[--list->n];
			return storage;
		}
	return NULL;
}

static int give_all(struct add *w, struct error *err)
{
	struct ipam_addrs left = w->c->requested;
	int code = 0;

	for (unsigned i = 0; code == 0 && i < w->c->n; i++) {
		struct ipaddr storage;
		const struct ipaddr *a = take_requested(&left, &w->c->sets[i], &storage);

		code = a ? give_requested(w, i, a, err) : give_free(w, i, err);
	}
	if (code == 0 && left.n) {
		char text[IPADDR_TEXT_SIZE], ranges[HOST_LOCAL_TEXT_SIZE];

		return error_set(
			err, CNI_INVALID_CONFIG,
			"the requested address %s is in no range of network %s (%s) that is not used already: one address a set",
			ipaddr_text(&left.v[0], false, text), w->conf->name,
			host_local_set_text(&w->c->sets[0], ranges));
	}
	return code;
}

static int already(const struct ipaddr *a, void *arg)
{
	*(struct ipaddr *)arg = *a;
	return 0;
}

static int refuse_second(const struct add *w, struct error *err)
{
	struct ipaddr a = {0};
	char text[IPADDR_TEXT_SIZE];
	int n = ipam_store_each(w->store, w->call->container_id, w->call->ifname, already, &a, err);

	if (n <= 0)
		return n;
	return error_set(err, CNI_PLUGIN,
			 "container %s has %s on %s in network %s already: DEL comes before a second ADD",
			 w->call->container_id, ipaddr_text(&a, false, text), w->call->ifname, w->conf->name);
}

static int add_routes(struct add *w)
{
	for (size_t i = 0; i < w->c->n_routes; i++)
		if (result_add_route(w->conf->doc, w->result, &w->c->routes[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int host_local_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	auto_ipam_store struct ipam_store *store = NULL;
	auto_free char *dir = NULL;
	struct host_local_conf c;
	struct cni_result mine = {0};
	struct add w = {.call = call, .conf = conf, .c = &c, .result = &mine};
	bool own;
	int code = host_local_load(call, conf, &c, err);

	if (code == 0 && !str_empty(c.resolv_conf))
		code = ipam_resolv_conf(conf->doc, c.resolv_conf, &mine.dns, err);
	if (code == 0)
		code = network_dir(conf, c.data_dir, &dir, &own, err);
	if (code == 0)
		code = ipam_store_open(dir, own, &store, err);
	if (code < 0)
		return code;
	w.store = store;
	code = refuse_second(&w, err);
	if (code < 0)
		return code;
	code = give_all(&w, err);
	if (code == 0 && add_routes(&w) < 0)
		code = error_oom(err);
	if (code < 0)
		ipam_store_release(store, call->container_id, call->ifname, NULL);
	else
		*result = mine;
	return code;
}

/* --- del, check, gc ------------------------------------------------------------------------------------------- */

/* What the index does not know, because the reference's plugin gave it: prevResult may. */
static int release_prev(struct ipam_store *s, const struct cni_call *call, const struct cni_conf *conf,
			struct error *err)
{
	const struct cni_result *r = &conf->prev_result;
	int code = 0;

	for (size_t i = 0; code == 0 && conf->has_prev_result && i < r->n_ips; i++) {
		struct ipaddr a;

		if (ipaddr_parse(r->ips[i].address, &a) == 0)
			code = ipam_store_release_address(s, &a, call->container_id, call->ifname, err);
	}
	return code;
}

static int host_local_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_ipam_store struct ipam_store *store = NULL;
	int code = open_existing(conf, &store, err);

	if (code == -ENOENT)
		return 0;
	if (code == 0)
		code = release_prev(store, call, conf, err);
	return code < 0 ? code : ipam_store_release(store, call->container_id, call->ifname, err);
}

struct owned {
	const struct cni_result *prev;
	bool *found;
};

static int note_owned(const struct ipaddr *a, void *arg)
{
	struct owned *o = arg;
	struct ipaddr b;

	for (size_t i = 0; i < o->prev->n_ips; i++)
		if (ipaddr_parse(o->prev->ips[i].address, &b) == 0 && ipaddr_equal(a, &b))
			o->found[i] = true;
	return 0;
}

static bool in_ranges(const struct host_local_conf *c, const char *address)
{
	struct ipaddr a;

	if (ipaddr_parse(address, &a) < 0)
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (host_local_find(&c->sets[i], &a))
			return true;
	return false;
}

/* Every address of prevResult that can be ours must be this container's. */
static int host_local_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_ipam_store struct ipam_store *store = NULL;
	struct owned o = {.prev = &conf->prev_result};
	struct host_local_conf c;
	int n, code = host_local_load(call, conf, &c, err);

	if (code == 0)
		code = open_existing(conf, &store, err);
	if (code < 0 && code != -ENOENT)
		return code;
	o.found = json_alloc(conf->doc, o.prev->n_ips + 1);
	if (!o.found)
		return error_oom(err);
	n = store ? ipam_store_each(store, call->container_id, call->ifname, note_owned, &o, err) : 0;
	if (n < 0)
		return n;
	if (n == 0)
		return error_set(err, CNI_PLUGIN, "container %s has no address on %s in network %s",
				 call->container_id, call->ifname, conf->name);
	for (size_t i = 0; i < o.prev->n_ips; i++)
		if (!o.found[i] && in_ranges(&c, o.prev->ips[i].address))
			return error_set(err, CNI_PLUGIN, "%s is not container %s's in network %s",
					 o.prev->ips[i].address, call->container_id, conf->name);
	return 0;
}

static int host_local_status(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct host_local_conf c;

	return host_local_load(call, conf, &c, err);
}

struct live {
	const struct json_value *list;
	const char *network; /* NULL: entries are this network's */
};

static bool is_live(const char *id, const char *ifname, void *arg)
{
	const struct live *l = arg;

	for (size_t i = 0; l->list && l->list->what == JSON_ARRAY && i < l->list->n; i++) {
		const struct json_value *a = l->list->items[i];

		if (l->network && !str_eq(json_get_text(a, "network"), l->network))
			continue;
		/* An old file does not know the interface. */
		if (str_eq(json_get_text(a, "containerID"), id) &&
		    (str_empty(ifname) || str_eq(json_get_text(a, "ifname"), ifname)))
			return true;
	}
	return false;
}

static int gc_network(const char *parent, const char *name, struct live *l, struct error *err)
{
	auto_ipam_store struct ipam_store *store = NULL;
	auto_free char *dir = str_printf("%s/%s", parent, name);
	int code;

	if (!dir)
		return error_oom(err);
	l->network = name;
	code = ipam_store_open_existing(dir, true, &store, err);
	if (code == 0)
		code = ipam_store_gc(store, is_live, l, err);
	return code == -ENOENT ? 0 : code;
}

/* Every network in the default place. */
static int gc_all(struct live *l, struct error *err)
{
	auto_free char *parent = default_dir();
	auto_closedir DIR *d = parent ? opendir(parent) : NULL;
	int code = 0;

	if (!parent)
		return error_oom(err);
	if (!d)
		return errno == ENOENT ? 0 : error_sys(err, "cannot open %s", parent);
	for (struct dirent *e; (e = readdir(d));) {
		int one = e->d_name[0] == '.' ? 0 : gc_network(parent, e->d_name, l, code < 0 ? NULL : err);

		code = code < 0 ? code : one;
	}
	rmdir(parent); /* with something in it, it stays */
	return code;
}

static int host_local_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_ipam_store struct ipam_store *store = NULL;
	struct live l = {.list = conf->valid_attachments};
	int code;

	(void)call;
	if (!conf->name)
		return gc_all(&l, err);
	code = open_existing(conf, &store, err);
	if (code == 0)
		code = ipam_store_gc(store, is_live, &l, err);
	return code == -ENOENT ? 0 : code;
}

const struct plugin plugin_host_local = {
	.type = "host-local",
	.add = host_local_add,
	.del = host_local_del,
	.check = host_local_check,
	.status = host_local_status,
	.gc = host_local_gc,
	.is_ipam = true,
};
