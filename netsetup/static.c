/* static: the addresses that the configuration says. Keeps nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "ipam_conf.h"
#include "str.h"

struct address {
	const char *address, *gateway;
};
static const struct json_field address_fields[] = {
	F_STRING(struct address, "address", address, JSON_FOLD | JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct address, "gateway", gateway, JSON_FOLD),
	F_END,
};
static JSON_TYPE(address_type, struct address, address_fields);

struct conf {
	struct address *addresses;
	size_t n_addresses;
	struct cni_route *routes;
	size_t n_routes;
	struct cni_dns dns;
};
static const struct json_field fields[] = {
	F_LIST(struct conf, "addresses", addresses, n_addresses, &address_type, JSON_FOLD),
	F_LIST(struct conf, "routes", routes, n_routes, &ipam_route_type, JSON_FOLD),
	F_STRUCT(struct conf, "dns", dns, &conf_dns_type, JSON_FOLD),
	F_END,
};
static JSON_TYPE(conf_type, struct conf, fields);

/* An address and its gateway (family 0: none). */
struct pair {
	struct ipaddr address, gateway;
};
struct pairs {
	struct pair *v;
	size_t n;
};

static int add_pair(struct json_doc *doc, struct pairs *p, const struct pair *one)
{
	struct pair *more = json_alloc(doc, (p->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	if (p->n)
		memcpy(more, p->v, p->n * sizeof(*more));
	more[p->n++] = *one;
	p->v = more;
	return 0;
}

static int add_configured(struct json_doc *doc, struct pairs *p, const struct address *a, size_t i, struct error *err)
{
	struct pair one = {0};

	if (!strchr(a->address, '/') || ipaddr_parse(a->address, &one.address) < 0)
		return error_set(err, CNI_INVALID_CONFIG,
				 "ipam: addresses[%zu].address: '%s' is not an address with a prefix (10.1.0.2/24)",
				 i, a->address);
	if (!str_empty(a->gateway) && (strchr(a->gateway, '/') || ipaddr_parse(a->gateway, &one.gateway) < 0))
		return error_set(err, CNI_INVALID_CONFIG, "ipam: addresses[%zu].gateway: '%s' is not an address", i,
				 a->gateway);
	if (one.gateway.family && one.gateway.family != one.address.family)
		return error_set(err, CNI_INVALID_CONFIG,
				 "ipam: addresses[%zu]: gateway %s is not of the family of %s", i, a->gateway,
				 a->address);
	return add_pair(doc, p, &one) < 0 ? error_oom(err) : 0;
}

/* Addresses that the runtime asks for; it may give them without a prefix only if they are single hosts. */
static int add_asked(struct json_doc *doc, struct pairs *p, const struct ipam_addrs *asked, struct error *err)
{
	for (size_t i = 0; i < asked->n; i++)
		if (add_pair(doc, p, &(struct pair){.address = asked->v[i]}) < 0)
			return error_oom(err);
	return 0;
}

/* GATEWAY of CNI_ARGS: each is that of the addresses in whose network it lies. */
static void set_gateways(struct pairs *p, const struct ipam_addrs *gateways)
{
	for (size_t g = 0; g < gateways->n; g++)
		for (size_t i = 0; i < p->n; i++)
			if (ipaddr_contains(&p->v[i].address, &gateways->v[g]))
				p->v[i].gateway = gateways->v[g];
}

/* In the reference's order: the configuration and CNI_ARGS together; args.cni.ips instead of both;
 * runtimeConfig.ips instead of everything. */
static int collect(const struct cni_call *call, const struct cni_conf *conf, const struct conf *c, struct pairs *ret,
		   struct error *err)
{
	struct ipam_addrs env = {0}, gateways = {0}, args = {0}, runtime = {0};
	int code = ipam_env_ips(call, conf, "IP", &env, err);

	if (code == 0)
		code = ipam_env_ips(call, conf, "GATEWAY", &gateways, err);
	if (code == 0)
		code = ipam_args_ips(conf, &args, err);
	if (code == 0)
		code = ipam_runtime_ips(conf, &runtime, err);
	if (code < 0)
		return code;
	if (runtime.given)
		return add_asked(conf->doc, ret, &runtime, err);
	if (args.given)
		return add_asked(conf->doc, ret, &args, err);
	for (size_t i = 0; code == 0 && i < c->n_addresses; i++)
		code = add_configured(conf->doc, ret, &c->addresses[i], i, err);
	if (code == 0)
		code = add_asked(conf->doc, ret, &env, err);
	set_gateways(ret, &gateways);
	return code;
}

static int load(const struct cni_call *call, const struct cni_conf *conf, struct conf *ret, struct pairs *ret_pairs,
		struct error *err)
{
	int code;

	if (!conf->ipam)
		return error_set(err, CNI_INVALID_CONFIG, "the configuration has no ipam section");
	code = json_decode(conf->doc, conf->ipam, &conf_type, ret, "ipam", err);
	if (code < 0)
		return conf_decode_error(code, err);
	code = ipam_routes_check(ret->routes, ret->n_routes, "ipam", err);
	return code < 0 ? code : collect(call, conf, ret, ret_pairs, err);
}

static int static_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct pairs pairs = {0};
	struct cni_result mine = {0};
	struct conf c;
	int code = load(call, conf, &c, &pairs, err);

	if (code < 0)
		return code;
	for (size_t i = 0; i < pairs.n; i++)
		if (ipam_result_ip(conf->doc, &mine, &pairs.v[i].address, &pairs.v[i].gateway) < 0)
			return error_oom(err);
	mine.routes = c.routes;
	mine.n_routes = c.n_routes;
	mine.dns = c.dns;
	*result = mine;
	return 0;
}

/* Every address that add would give must still be in the result. */
static int static_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct pairs pairs = {0};
	struct conf c;
	int code = load(call, conf, &c, &pairs, err);

	for (size_t i = 0; code == 0 && conf->has_prev_result && i < pairs.n; i++) {
		char text[IPADDR_TEXT_SIZE];
		bool found = false;

		for (size_t k = 0; k < conf->prev_result.n_ips; k++) {
			struct ipaddr a;

			found |= ipaddr_parse(conf->prev_result.ips[k].address, &a) == 0 &&
				 ipaddr_equal(&a, &pairs.v[i].address);
		}
		if (!found)
			code = error_set(err, CNI_PLUGIN, "prevResult lacks the address %s of the configuration",
					 ipaddr_text(&pairs.v[i].address, true, text));
	}
	return code;
}

static int static_status(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct pairs pairs = {0};
	struct conf c;

	return load(call, conf, &c, &pairs, err);
}

const struct plugin plugin_static = {
	.type = "static",
	.add = static_add,
	.check = static_check,
	.status = static_status,
	.is_ipam = true,
};
