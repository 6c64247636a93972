/* Routes, requested addresses, resolv.conf: the same for host-local and static. */
#include "ipam_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "fs.h"
#include "str.h"

enum { RESOLV_CONF_MAX = 64 * 1024 };

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
const JSON_TYPE(ipam_route_type, struct cni_route, route_fields);

int ipam_routes_check(const struct cni_route *routes, size_t n, const char *where, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		struct ipaddr dst, gw;

		if (!strchr(routes[i].dst, '/') || ipaddr_parse(routes[i].dst, &dst) < 0)
			return error_set(err, CNI_INVALID_CONFIG,
					 "%s: routes[%zu].dst: '%s' is not a network (10.0.0.0/8)", where, i,
					 routes[i].dst);
		if (str_empty(routes[i].gw))
			continue;
		if (strchr(routes[i].gw, '/') || ipaddr_parse(routes[i].gw, &gw) < 0)
			return error_set(err, CNI_INVALID_CONFIG, "%s: routes[%zu].gw: '%s' is not an address", where,
					 i, routes[i].gw);
		if (gw.family != dst.family)
			return error_set(err, CNI_INVALID_CONFIG,
					 "%s: routes[%zu]: %s cannot be reached through %s: IPv4 and IPv6", where, i,
					 routes[i].dst, routes[i].gw);
	}
	return 0;
}

/* --- requested addresses -------------------------------------------------------------------------------------- */

int ipam_addrs_add(struct json_doc *doc, struct ipam_addrs *to, const struct ipaddr *a)
{
	struct ipaddr *more = json_alloc(doc, (to->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	if (to->n)
		memcpy(more, to->v, to->n * sizeof(*more));
	more[to->n] = *a;
	to->v = more;
	to->n++;
	return 0;
}

static int add_text(struct json_doc *doc, struct ipam_addrs *to, const char *text, const char *where,
		    struct error *err)
{
	struct ipaddr a;

	if (ipaddr_parse(text, &a) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "%s: '%s' is not an address", where, text);
	to->given = true;
	return ipam_addrs_add(doc, to, &a) < 0 ? error_oom(err) : 0;
}

struct ips {
	char **ips;
};
static const struct json_field ips_fields[] = {F_STRINGS(struct ips, "ips", ips, JSON_FOLD), F_END};
static JSON_TYPE(ips_type, struct ips, ips_fields);

static int list_ips(const struct cni_conf *conf, const struct json_value *v, const char *where,
		    struct ipam_addrs *ret, struct error *err)
{
	struct ips k;
	int code;

	if (!v)
		return 0;
	code = json_decode(conf->doc, v, &ips_type, &k, where, err);
	if (code < 0)
		return conf_decode_error(code, err);
	for (char **s = k.ips; code == 0 && s && *s; s++)
		code = add_text(conf->doc, ret, *s, where, err);
	return code;
}

int ipam_runtime_ips(const struct cni_conf *conf, struct ipam_addrs *ret, struct error *err)
{
	return list_ips(conf, conf->runtime_config, "runtimeConfig", ret, err);
}

int ipam_args_ips(const struct cni_conf *conf, struct ipam_addrs *ret, struct error *err)
{
	return list_ips(conf, conf->args_cni, "args.cni", ret, err);
}

int ipam_env_ips(const struct cni_call *call, const struct cni_conf *conf, const char *key, struct ipam_addrs *ret,
		 struct error *err)
{
	const char *value = call_arg(call, key);
	char *copy, *save = NULL;
	int code = 0;

	if (str_empty(value))
		return 0;
	copy = json_strdup(conf->doc, value);
	if (!copy)
		return error_oom(err);
	for (char *s = strtok_r(copy, ",", &save); code == 0 && s; s = strtok_r(NULL, ",", &save))
		code = add_text(conf->doc, ret, s, "CNI_ARGS", err);
	return code;
}

/* --- results -------------------------------------------------------------------------------------------------- */

int ipam_result_ip(struct json_doc *doc, struct cni_result *r, const struct ipaddr *a, const struct ipaddr *gateway)
{
	char address[IPADDR_TEXT_SIZE], via[IPADDR_TEXT_SIZE];
	struct cni_ip ip = {.address = json_strdup(doc, ipaddr_text(a, true, address))};

	if (gateway->family)
		ip.gateway = json_strdup(doc, ipaddr_text(gateway, false, via));
	if (!ip.address || (gateway->family && !ip.gateway))
		return -ENOMEM;
	return result_add_ip(doc, r, &ip);
}

/* Appends to a NULL-terminated vector in the document's memory. */
static int add_word(struct json_doc *doc, char ***to, const char *word)
{
	size_t n = strv_len(*to);
	char **more = json_alloc(doc, (n + 2) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	if (n)
		memcpy(more, *to, n * sizeof(*more));
	more[n] = json_strdup(doc, word);
	*to = more;
	return more[n] ? 0 : -ENOMEM;
}

static int resolv_line(struct json_doc *doc, char *line, struct cni_dns *d)
{
	char *save = NULL, *key = strtok_r(line, " \t", &save), *word;
	char ***list;
	int code = 0;

	if (!key || *key == '#' || *key == ';')
		return 0;
	if (str_eq(key, "domain")) {
		word = strtok_r(NULL, " \t", &save);
		d->domain = word ? json_strdup(doc, word) : NULL;
		return word && !d->domain ? -ENOMEM : 0;
	}
	list = str_eq(key, "nameserver") ? &d->nameservers
	     : str_eq(key, "search")	 ? &d->search
	     : str_eq(key, "options")	 ? &d->options
					 : NULL;
	while (code == 0 && list && (word = strtok_r(NULL, " \t", &save)))
		code = add_word(doc, list, word);
	return code;
}

int ipam_resolv_conf(struct json_doc *doc, const char *path, struct cni_dns *ret, struct error *err)
{
	auto_free char *text = NULL;
	struct cni_dns d = {0};
	char *save = NULL;
	int code = fs_read_at(AT_FDCWD, path, RESOLV_CONF_MAX, &text, NULL, err);

	if (code < 0)
		return error_wrap(err, "resolvConf");
	for (char *line = strtok_r(text, "\r\n", &save); code == 0 && line; line = strtok_r(NULL, "\r\n", &save))
		code = resolv_line(doc, line, &d);
	if (code < 0)
		return error_oom(err);
	*ret = d;
	return 0;
}
