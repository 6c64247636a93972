/* The configuration of one plugin: the part that is the same for all. */
#include "netsetup.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "fs.h"
#include "str.h"

/* Oldest first: newer ones have more commands. */
static const char *const versions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

const char *const *conf_versions(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(versions);
	return versions;
}

int conf_version_rank(const char *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
		if (str_eq(versions[i], v))
			return (int)i;
	return -1;
}

bool conf_version_supported(const char *v)
{
	return conf_version_rank(v) >= 0;
}

bool conf_version_before(const struct cni_conf *conf, const char *v)
{
	return conf_version_rank(conf->cni_version) < conf_version_rank(v);
}

/* --- table --------------------------------------------------------------------------------------------------- */

struct args {
	const struct json_value *cni;
};
static const struct json_field args_fields[] = {F_RAW(struct args, "cni", cni, 0), F_END};
static JSON_TYPE(args_type, struct args, args_fields);

static const struct json_field dns_fields[] = {
	F_STRINGS(struct cni_dns, "nameservers", nameservers, JSON_FOLD),
	F_STRING(struct cni_dns, "domain", domain, JSON_FOLD),
	F_STRINGS(struct cni_dns, "search", search, JSON_FOLD),
	F_STRINGS(struct cni_dns, "options", options, JSON_FOLD),
	F_END,
};
JSON_TYPE(conf_dns_type, struct cni_dns, dns_fields);

struct common {
	const char *cni_version, *name, *type, *host_netns;
	const struct json_value *prev_result, *ipam, *runtime_config, *valid_attachments;
	struct args args;
	struct cni_dns dns;
};
static const struct json_field common_fields[] = {
	F_STRING(struct common, "cniVersion", cni_version, JSON_FOLD),
	F_STRING(struct common, "name", name, JSON_FOLD),
	F_STRING(struct common, "type", type, JSON_FOLD),
	F_STRING(struct common, "hostNetns", host_netns, JSON_FOLD),
	F_RAW(struct common, "prevResult", prev_result, JSON_FOLD),
	F_RAW(struct common, "ipam", ipam, JSON_FOLD),
	F_RAW(struct common, "runtimeConfig", runtime_config, JSON_FOLD),
	F_RAW(struct common, "cni.dev/valid-attachments", valid_attachments, JSON_FOLD),
	F_STRUCT(struct common, "args", args, &args_type, JSON_FOLD),
	F_STRUCT(struct common, "dns", dns, &conf_dns_type, JSON_FOLD),
	F_END,
};
static JSON_TYPE(common_type, struct common, common_fields);

/* --- loading ------------------------------------------------------------------------------------------------- */

int conf_decode_error(int code, struct error *err)
{
	if (!err || code != -EINVAL)
		return code;
	err->code = CNI_DECODE;
	return -CNI_DECODE;
}

static int check_name(const char *name, struct error *err)
{
	if (str_empty(name))
		return error_set(err, CNI_INVALID_CONFIG, "the configuration has no network name (key 'name')");
	if (!call_id_valid(name))
		return error_set(err, CNI_INVALID_CONFIG,
				 "name: '%s' is no network name: a letter or digit, then letters, digits, '_', '.', '-'", name);
	return 0;
}

static int check_type(const char *type, struct error *err)
{
	if (str_empty(type))
		return error_set(err, CNI_INVALID_CONFIG, "the configuration has no plugin type (key 'type')");
	if (!fs_is_name(type))
		return error_set(err, CNI_INVALID_CONFIG, "type: '%s' is no plugin's name", type);
	return 0;
}

static int check_version(const char *v, struct error *err)
{
	if (!conf_version_supported(v))
		return error_set(err, CNI_INCOMPATIBLE_VERSION,
				 "incompatible CNI versions: the configuration is \"%s\", this plugin supports 0.1.0 to %s", v,
				 versions[ARRAY_SIZE(versions) - 1]);
	return 0;
}

static int load_prev_result(struct json_doc *doc, const struct json_value *prev, struct cni_conf *c, struct error *err)
{
	int code;

	if (!prev || prev->what == JSON_NULL)
		return 0;
	code = result_decode(doc, prev, c->cni_version, &c->prev_result, err);
	if (code < 0)
		return error_wrap(err, "prevResult");
	c->has_prev_result = true;
	return 0;
}

static bool dns_empty(const struct cni_dns *d)
{
	return !d->nameservers && !d->search && !d->options && !d->domain;
}

int conf_load(struct json_doc *doc, struct json_value *raw, struct cni_conf *ret, struct error *err)
{
	struct common k;
	struct cni_conf c = {.raw = raw, .doc = doc};
	int code = json_decode(doc, raw, &common_type, &k, "network configuration", err);

	if (code < 0)
		return conf_decode_error(code, err);
	c.cni_version = str_empty(k.cni_version) ? versions[0] : k.cni_version;
	c.name = k.name;
	c.type = k.type;
	c.host_netns = str_empty(k.host_netns) ? NULL : k.host_netns;
	c.ipam = k.ipam;
	c.runtime_config = k.runtime_config;
	c.args_cni = k.args.cni;
	c.valid_attachments = k.valid_attachments;
	c.dns = k.dns;
	c.has_dns = !dns_empty(&k.dns);
	/* The name comes before the version: that is the order in which the specification's codes are tested for. */
	code = check_name(c.name, err);
	if (code == 0)
		code = check_version(c.cni_version, err);
	if (code == 0)
		code = check_type(c.type, err);
	if (code == 0)
		code = load_prev_result(doc, k.prev_result, &c, err);
	if (code < 0)
		return code;
	*ret = c;
	return 0;
}

bool conf_attachment_valid(const struct cni_conf *conf, const char *container_id, const char *ifname)
{
	const struct json_value *list = conf->valid_attachments;

	for (size_t i = 0; list && list->what == JSON_ARRAY && i < list->n; i++)
		if (str_eq(json_get_text(list->items[i], "containerID"), container_id) &&
		    str_eq(json_get_text(list->items[i], "ifname"), ifname))
			return true;
	return false;
}
