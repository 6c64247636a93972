/* CNI results. Inside there is one shape, that of version 1.1.0; this file turns the others into it and back:
 *
 *   0.1.0, 0.2.0         ip4/ip6 {ip, gateway, routes}: one address a family, no interfaces
 *   0.3.0, 0.3.1, 0.4.0  interfaces, ips (each with "version": "4" or "6"), routes; dns always there
 *   1.0.0                the same without "version"; dns left out when empty
 *   1.1.0                interfaces have mtu, socketPath, pciID; routes have mtu, advmss, priority, table, scope */
#include "netsetup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "str.h"

/* --- decode -------------------------------------------------------------------------------------------------- */

static const struct json_field interface_fields[] = {
	F_STRING(struct cni_interface, "name", name, JSON_FOLD),
	F_STRING(struct cni_interface, "mac", mac, JSON_FOLD),
	F_U32(struct cni_interface, "mtu", mtu, JSON_FOLD),
	F_STRING(struct cni_interface, "sandbox", sandbox, JSON_FOLD),
	F_STRING(struct cni_interface, "socketPath", socket_path, JSON_FOLD),
	F_STRING(struct cni_interface, "pciID", pci_id, JSON_FOLD),
	F_END,
};
static JSON_TYPE(interface_type, struct cni_interface, interface_fields);

static const struct json_field ip_fields[] = {
	F_I32_HAS(struct cni_ip, "interface", interface, has_interface, JSON_FOLD),
	F_STRING(struct cni_ip, "address", address, JSON_FOLD | JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct cni_ip, "gateway", gateway, JSON_FOLD),
	F_END,
};
static JSON_TYPE(ip_type, struct cni_ip, ip_fields);

static const struct json_field route_fields[] = {
	F_STRING(struct cni_route, "dst", dst, JSON_FOLD | JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct cni_route, "gw", gw, JSON_FOLD),
	F_U32(struct cni_route, "mtu", mtu, JSON_FOLD),
	F_U32(struct cni_route, "advmss", advmss, JSON_FOLD),
	F_U32_HAS(struct cni_route, "priority", priority, has_priority, JSON_FOLD),
	F_U32_HAS(struct cni_route, "table", table, has_table, JSON_FOLD),
	F_I32_HAS(struct cni_route, "scope", scope, has_scope, JSON_FOLD),
	F_END,
};
static JSON_TYPE(result_route_type, struct cni_route, route_fields);

struct result_file {
	const char *version;
	struct cni_result r;
};
static const struct json_field result_fields[] = {
	F_STRING(struct result_file, "cniVersion", version, JSON_FOLD),
	F_LIST(struct result_file, "interfaces", r.interfaces, r.n_interfaces, &interface_type, JSON_FOLD),
	F_LIST(struct result_file, "ips", r.ips, r.n_ips, &ip_type, JSON_FOLD),
	F_LIST(struct result_file, "routes", r.routes, r.n_routes, &result_route_type, JSON_FOLD),
	F_STRUCT(struct result_file, "dns", r.dns, &conf_dns_type, JSON_FOLD),
	F_END,
};
static JSON_TYPE(result_type, struct result_file, result_fields);

/* One family of the oldest shape. */
struct old_ip {
	const char *ip, *gateway;
	struct cni_route *routes;
	size_t n_routes;
};
static const struct json_field old_ip_fields[] = {
	F_STRING(struct old_ip, "ip", ip, JSON_FOLD | JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct old_ip, "gateway", gateway, JSON_FOLD),
	F_LIST(struct old_ip, "routes", routes, n_routes, &result_route_type, JSON_FOLD),
	F_END,
};
static JSON_TYPE(old_ip_type, struct old_ip, old_ip_fields);

struct old_result {
	const char *version;
	struct old_ip *ip4, *ip6;
	struct cni_dns dns;
};
static const struct json_field old_fields[] = {
	F_STRING(struct old_result, "cniVersion", version, JSON_FOLD),
	F_POINTER(struct old_result, "ip4", ip4, &old_ip_type, JSON_FOLD),
	F_POINTER(struct old_result, "ip6", ip6, &old_ip_type, JSON_FOLD),
	F_STRUCT(struct old_result, "dns", dns, &conf_dns_type, JSON_FOLD),
	F_END,
};
static JSON_TYPE(old_type, struct old_result, old_fields);

static int take_old_ip(struct json_doc *doc, const struct old_ip *o, struct cni_result *r)
{
	int code;

	if (!o)
		return 0;
	code = result_add_ip(doc, r, &(struct cni_ip){.address = o->ip, .gateway = o->gateway});
	for (size_t i = 0; code == 0 && i < o->n_routes; i++)
		code = result_add_route(doc, r, &o->routes[i]);
	return code;
}

static int decode_old(struct json_doc *doc, const struct json_value *v, struct cni_result *ret, struct error *err)
{
	struct cni_result r = {0};
	struct old_result o;
	int code = json_decode(doc, v, &old_type, &o, "result", err);

	if (code < 0)
		return conf_decode_error(code, err);
	r.dns = o.dns;
	if (take_old_ip(doc, o.ip4, &r) < 0 || take_old_ip(doc, o.ip6, &r) < 0)
		return error_oom(err);
	*ret = r;
	return 0;
}

static int check_addresses(const struct cni_result *r, struct error *err)
{
	struct ipaddr a;

	for (size_t i = 0; i < r->n_ips; i++) {
		if (ipaddr_parse(r->ips[i].address, &a) < 0)
			return error_set(err, CNI_DECODE, "result: ips[%zu].address: '%s' is no address with prefix length", i,
					 r->ips[i].address);
		if (!str_empty(r->ips[i].gateway) && ipaddr_parse(r->ips[i].gateway, &a) < 0)
			return error_set(err, CNI_DECODE, "result: ips[%zu].gateway: '%s' is no address", i, r->ips[i].gateway);
	}
	for (size_t i = 0; i < r->n_routes; i++) {
		if (ipaddr_parse(r->routes[i].dst, &a) < 0)
			return error_set(err, CNI_DECODE, "result: routes[%zu].dst: '%s' is no destination", i, r->routes[i].dst);
		if (!str_empty(r->routes[i].gw) && ipaddr_parse(r->routes[i].gw, &a) < 0)
			return error_set(err, CNI_DECODE, "result: routes[%zu].gw: '%s' is no address", i, r->routes[i].gw);
	}
	return 0;
}

struct version_only {
	const char *version;
};
static const struct json_field version_fields[] = {
	F_STRING(struct version_only, "cniVersion", version, JSON_FOLD),
	F_END,
};
static JSON_TYPE(version_type, struct version_only, version_fields);

int result_decode(struct json_doc *doc, const struct json_value *v, const char *version, struct cni_result *ret,
		  struct error *err)
{
	struct version_only own;
	struct result_file f;
	int code = json_decode(doc, v, &version_type, &own, "result", err);

	if (code < 0)
		return conf_decode_error(code, err);
	if (!version)
		version = own.version;
	if (str_empty(version))
		version = "0.1.0";
	if (!conf_version_supported(version))
		return error_set(err, CNI_INCOMPATIBLE_VERSION, "a result of version \"%s\" is not understood", version);
	if (conf_version_rank(version) < conf_version_rank("0.3.0")) {
		code = decode_old(doc, v, &f.r, err);
	} else {
		code = json_decode(doc, v, &result_type, &f, "result", err);
		code = conf_decode_error(code, err);
	}
	if (code == 0)
		code = check_addresses(&f.r, err);
	if (code < 0)
		return code;
	*ret = f.r;
	return 0;
}

/* --- encode -------------------------------------------------------------------------------------------------- */

/* Setting members never fails for good here: out of memory shows at the end, in the value that is NULL. */
struct encoder {
	struct json_doc *doc;
	int rank; /* of the version to write */
	bool failed;
};

static void put(struct encoder *e, struct json_value *o, const char *key, struct json_value *v)
{
	if (!v || json_set(e->doc, o, key, v) < 0)
		e->failed = true;
}

static void put_text(struct encoder *e, struct json_value *o, const char *key, const char *s)
{
	if (!str_empty(s))
		put(e, o, key, json_make_text(e->doc, s));
}

static void put_number(struct encoder *e, struct json_value *o, const char *key, uint32_t n, bool there)
{
	if (there)
		put(e, o, key, json_make_u64(e->doc, n));
}

static void put_texts(struct encoder *e, struct json_value *o, const char *key, char *const *v)
{
	struct json_value *list;

	if (!v || !*v)
		return;
	list = json_make(e->doc, JSON_ARRAY);
	for (; *v; v++)
		if (json_append(e->doc, list, json_make_text(e->doc, *v)) < 0)
			e->failed = true;
	put(e, o, key, list);
}

static struct json_value *encode_dns(struct encoder *e, const struct cni_dns *d)
{
	struct json_value *o = json_make(e->doc, JSON_OBJECT);

	put_texts(e, o, "nameservers", d->nameservers);
	put_text(e, o, "domain", d->domain);
	put_texts(e, o, "search", d->search);
	put_texts(e, o, "options", d->options);
	return o;
}

static struct json_value *encode_interface(struct encoder *e, const struct cni_interface *i)
{
	struct json_value *o = json_make(e->doc, JSON_OBJECT);

	put(e, o, "name", json_make_text(e->doc, i->name ? i->name : ""));
	put_text(e, o, "mac", i->mac);
	if (e->rank >= conf_version_rank("1.1.0"))
		put_number(e, o, "mtu", i->mtu, i->mtu != 0);
	put_text(e, o, "sandbox", i->sandbox);
	if (e->rank >= conf_version_rank("1.1.0")) {
		put_text(e, o, "socketPath", i->socket_path);
		put_text(e, o, "pciID", i->pci_id);
	}
	return o;
}

static struct json_value *encode_ip(struct encoder *e, const struct cni_ip *ip)
{
	struct json_value *o = json_make(e->doc, JSON_OBJECT);

	if (e->rank < conf_version_rank("1.0.0"))
		put_text(e, o, "version", strchr(ip->address, ':') ? "6" : "4");
	put_number(e, o, "interface", (uint32_t)ip->interface, ip->has_interface && ip->interface >= 0);
	put_text(e, o, "address", ip->address);
	put_text(e, o, "gateway", ip->gateway);
	return o;
}

/* The newer keys stand in older versions as well, as the reference writes them: readers ignore what they do not know, and a
 * chain of an older version would lose them otherwise. The oldest has dst and gw only. */
static struct json_value *encode_route(struct encoder *e, const struct cni_route *r)
{
	struct json_value *o = json_make(e->doc, JSON_OBJECT);

	put_text(e, o, "dst", r->dst);
	put_text(e, o, "gw", r->gw);
	if (e->rank < conf_version_rank("0.3.0"))
		return o;
	put_number(e, o, "mtu", r->mtu, r->mtu != 0);
	put_number(e, o, "advmss", r->advmss, r->advmss != 0);
	put_number(e, o, "priority", r->priority, r->has_priority);
	put_number(e, o, "table", r->table, r->has_table);
	put_number(e, o, "scope", (uint32_t)r->scope, r->has_scope && r->scope >= 0);
	return o;
}

static void encode_list(struct encoder *e, struct json_value *o, const char *key, struct json_value *list)
{
	if (list && list->n > 0)
		put(e, o, key, list);
}

static void encode_new(struct encoder *e, struct json_value *o, const struct cni_result *r)
{
	struct json_value *interfaces = json_make(e->doc, JSON_ARRAY), *ips = json_make(e->doc, JSON_ARRAY),
			  *routes = json_make(e->doc, JSON_ARRAY), *dns = encode_dns(e, &r->dns);

	for (size_t i = 0; i < r->n_interfaces; i++)
		e->failed |= json_append(e->doc, interfaces, encode_interface(e, &r->interfaces[i])) < 0;
	for (size_t i = 0; i < r->n_ips; i++)
		e->failed |= json_append(e->doc, ips, encode_ip(e, &r->ips[i])) < 0;
	for (size_t i = 0; i < r->n_routes; i++)
		e->failed |= json_append(e->doc, routes, encode_route(e, &r->routes[i])) < 0;
	encode_list(e, o, "interfaces", interfaces);
	encode_list(e, o, "ips", ips);
	encode_list(e, o, "routes", routes);
	if (e->rank < conf_version_rank("1.0.0") || (dns && dns->n > 0))
		put(e, o, "dns", dns);
}

/* The first address of the family, and the family's routes. */
static void encode_family(struct encoder *e, struct json_value *o, const char *key, bool v6, const struct cni_result *r)
{
	struct json_value *family = NULL, *routes = json_make(e->doc, JSON_ARRAY);

	for (size_t i = 0; i < r->n_ips && !family; i++) {
		if ((strchr(r->ips[i].address, ':') != NULL) != v6)
			continue;
		family = json_make(e->doc, JSON_OBJECT);
		put_text(e, family, "ip", r->ips[i].address);
		put_text(e, family, "gateway", r->ips[i].gateway);
	}
	if (!family)
		return;
	for (size_t i = 0; i < r->n_routes; i++)
		if ((strchr(r->routes[i].dst, ':') != NULL) == v6)
			e->failed |= json_append(e->doc, routes, encode_route(e, &r->routes[i])) < 0;
	encode_list(e, family, "routes", routes);
	put(e, o, key, family);
}

struct json_value *result_encode(struct json_doc *doc, const struct cni_result *r, const char *version, struct error *err)
{
	struct encoder e = {.doc = doc, .rank = conf_version_rank(version)};
	struct json_value *o = json_make(doc, JSON_OBJECT);

	if (e.rank < 0) {
		error_set(err, CNI_INCOMPATIBLE_VERSION, "cannot write a result of version \"%s\"", version);
		return NULL;
	}
	put_text(&e, o, "cniVersion", version);
	if (e.rank < conf_version_rank("0.3.0")) {
		encode_family(&e, o, "ip4", false, r);
		encode_family(&e, o, "ip6", true, r);
		put(&e, o, "dns", encode_dns(&e, &r->dns));
	} else {
		encode_new(&e, o, r);
	}
	if (!o || e.failed) {
		error_oom(err);
		return NULL;
	}
	return o;
}

/* --- changing ------------------------------------------------------------------------------------------------ */

/* The lists are in the document's arena, which frees nothing: a new array for each element, of few. */
static void *grown(struct json_doc *doc, const void *old, size_t n, size_t size, const void *more)
{
	char *items = json_alloc(doc, (n + 1) * size);

	if (!items)
		return NULL;
	if (n > 0)
		memcpy(items, old, n * size);
	memcpy(items + n * size, more, size);
	return items;
}

int result_add_interface(struct json_doc *doc, struct cni_result *r, const struct cni_interface *i)
{
	struct cni_interface *items = grown(doc, r->interfaces, r->n_interfaces, sizeof(*i), i);

	if (!items)
		return -ENOMEM;
	r->interfaces = items;
	r->n_interfaces++;
	return 0;
}

int result_add_ip(struct json_doc *doc, struct cni_result *r, const struct cni_ip *ip)
{
	struct cni_ip *items = grown(doc, r->ips, r->n_ips, sizeof(*ip), ip);

	if (!items)
		return -ENOMEM;
	r->ips = items;
	r->n_ips++;
	return 0;
}

int result_add_route(struct json_doc *doc, struct cni_result *r, const struct cni_route *route)
{
	struct cni_route *items = grown(doc, r->routes, r->n_routes, sizeof(*route), route);

	if (!items)
		return -ENOMEM;
	r->routes = items;
	r->n_routes++;
	return 0;
}

int result_append(struct json_doc *doc, struct cni_result *r, const struct cni_result *more)
{
	int32_t base = (int32_t)r->n_interfaces;
	int code = 0;

	for (size_t i = 0; code == 0 && i < more->n_interfaces; i++)
		code = result_add_interface(doc, r, &more->interfaces[i]);
	for (size_t i = 0; code == 0 && i < more->n_ips; i++) {
		struct cni_ip ip = more->ips[i];

		ip.interface += ip.has_interface ? base : 0;
		code = result_add_ip(doc, r, &ip);
	}
	for (size_t i = 0; code == 0 && i < more->n_routes; i++)
		code = result_add_route(doc, r, &more->routes[i]);
	if (!r->dns.nameservers && !r->dns.search && !r->dns.options && !r->dns.domain)
		r->dns = more->dns;
	return code;
}
