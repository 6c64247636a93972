/* Ranges: from the forms in which they may be written to what may be given. */
#include "host_local.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "str.h"

/* --- tables --------------------------------------------------------------------------------------------------- */

struct range_text {
	const char *subnet, *start, *end, *gateway;
};
#define RANGE_FIELDS                                                                                                 \
	F_STRING(struct range_text, "subnet", subnet, JSON_FOLD),                                                    \
		F_STRING(struct range_text, "rangeStart", start, JSON_FOLD),                                         \
		F_STRING(struct range_text, "rangeEnd", end, JSON_FOLD),                                             \
		F_STRING(struct range_text, "gateway", gateway, JSON_FOLD)
static const struct json_field range_fields[] = {RANGE_FIELDS, F_END};
static JSON_TYPE(range_type, struct range_text, range_fields);

struct ipam_text {
	const struct json_value *ranges;
	const char *data_dir, *resolv_conf;
	struct cni_route *routes;
	size_t n_routes;
};
static const struct json_field ipam_fields[] = {
	F_RAW(struct ipam_text, "ranges", ranges, JSON_FOLD),
	F_STRING(struct ipam_text, "dataDir", data_dir, JSON_FOLD),
	F_STRING(struct ipam_text, "resolvConf", resolv_conf, JSON_FOLD),
	F_LIST(struct ipam_text, "routes", routes, n_routes, &ipam_route_type, JSON_FOLD),
	F_END,
};
static JSON_TYPE(ipam_type, struct ipam_text, ipam_fields);

struct runtime {
	const struct json_value *ranges;
};
static const struct json_field runtime_fields[] = {F_RAW(struct runtime, "ipRanges", ranges, JSON_FOLD), F_END};
static JSON_TYPE(runtime_type, struct runtime, runtime_fields);

/* --- arithmetic ----------------------------------------------------------------------------------------------- */

static int compare(const struct ipaddr *a, const struct ipaddr *b)
{
	return memcmp(a->bytes, b->bytes, (size_t)ipaddr_size(a));
}

static struct ipaddr add(const struct ipaddr *a, int delta)
{
	struct ipaddr r = *a;

	for (int i = ipaddr_size(a) - 1; i >= 0; i--) {
		int sum = r.bytes[i] + delta;

		r.bytes[i] = (uint8_t)sum;
		if (sum >= 0 && sum <= 255)
			break;
		delta = sum < 0 ? -1 : 1;
	}
	return r;
}

/* The subnet's last address that may be given: IPv4 has a broadcast address behind it. */
static struct ipaddr last_address(const struct ipaddr *subnet)
{
	struct ipaddr r = *subnet;

	for (int bit = subnet->prefix; bit < ipaddr_size(subnet) * 8; bit++)
		r.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return r.family == AF_INET ? add(&r, -1) : r;
}

/* --- one range ------------------------------------------------------------------------------------------------ */

static int parse_subnet(const char *text, struct ipaddr *ret, const char *where, struct error *err)
{
	struct ipaddr a, net;
	char shown[IPADDR_TEXT_SIZE];

	if (str_empty(text))
		return error_set(err, CNI_INVALID_CONFIG, "%s: a range needs a subnet", where);
	if (!strchr(text, '/') || ipaddr_parse(text, &a) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "%s: subnet '%s' is not a network (10.1.0.0/24)", where,
				 text);
	net = ipaddr_network(&a);
	if (!ipaddr_equal(&a, &net))
		return error_set(err, CNI_INVALID_CONFIG,
				 "%s: subnet %s has bits set behind its prefix: %s is the network", where, text,
				 ipaddr_text(&net, true, shown));
	if (a.prefix > ipaddr_size(&a) * 8 - 2)
		return error_set(err, CNI_INVALID_CONFIG,
				 "%s: subnet %s is too small: it needs room for a gateway and a container", where,
				 text);
	*ret = a;
	return 0;
}

/* An address of the subnet, or the default when there is no text. */
static int parse_in(const char *text, const char *key, const struct host_local_range *r, struct ipaddr deflt,
		    struct ipaddr *ret, const char *where, struct error *err)
{
	char shown[IPADDR_TEXT_SIZE];
	struct ipaddr a;

	*ret = deflt;
	if (str_empty(text))
		return 0;
	if (strchr(text, '/') || ipaddr_parse(text, &a) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "%s: %s '%s' is not an address", where, key, text);
	if (!ipaddr_contains(&r->subnet, &a))
		return error_set(err, CNI_INVALID_CONFIG, "%s: %s %s is not in subnet %s", where, key, text,
				 ipaddr_text(&r->subnet, true, shown));
	*ret = a;
	return 0;
}

/* A gateway may lie outside the subnet (on-link routes); so it is only an address. */
static int parse_gateway(const char *text, struct host_local_range *r, const char *where, struct error *err)
{
	r->gateway = add(&r->subnet, 1);
	r->gateway.prefix = (uint8_t)(ipaddr_size(&r->subnet) * 8);
	if (str_empty(text))
		return 0;
	if (strchr(text, '/') || ipaddr_parse(text, &r->gateway) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "%s: gateway '%s' is not an address", where, text);
	if (r->gateway.family != r->subnet.family)
		return error_set(err, CNI_INVALID_CONFIG, "%s: gateway %s is not of the subnet's family", where,
				 text);
	return 0;
}

static int parse_range(const struct range_text *t, struct host_local_range *ret, const char *where, struct error *err)
{
	struct host_local_range r = {0};
	int code = parse_subnet(t->subnet, &r.subnet, where, err);

	if (code == 0)
		code = parse_gateway(t->gateway, &r, where, err);
	if (code == 0)
		code = parse_in(t->start, "rangeStart", &r, add(&r.subnet, 1), &r.start, where, err);
	if (code == 0)
		code = parse_in(t->end, "rangeEnd", &r, last_address(&r.subnet), &r.end, where, err);
	if (code == 0 && compare(&r.start, &r.end) > 0)
		return error_set(err, CNI_INVALID_CONFIG, "%s: rangeStart comes after rangeEnd", where);
	r.start.prefix = r.end.prefix = r.subnet.prefix;
	if (code == 0)
		*ret = r;
	return code;
}

/* --- sets ----------------------------------------------------------------------------------------------------- */

static bool overlap(const struct host_local_range *a, const struct host_local_range *b)
{
	return a->subnet.family == b->subnet.family && compare(&a->start, &b->end) <= 0 &&
	       compare(&b->start, &a->end) <= 0;
}

static int check_overlap(const struct host_local_set *s, const struct host_local_range *r, const char *where,
			 struct error *err)
{
	char a[IPADDR_TEXT_SIZE], b[IPADDR_TEXT_SIZE];

	for (size_t i = 0; i < s->n; i++)
		if (overlap(&s->v[i], r))
			return error_set(err, CNI_INVALID_CONFIG, "%s: a range of %s overlaps one of %s", where,
					 ipaddr_text(&r->subnet, true, a), ipaddr_text(&s->v[i].subnet, true, b));
	return 0;
}

static int add_range(struct host_local_conf *c, struct host_local_set *s, const struct range_text *t,
		     const char *where, struct error *err)
{
	struct host_local_range r;
	int code = parse_range(t, &r, where, err);

	for (size_t i = 0; code == 0 && i < c->n; i++)
		code = check_overlap(&c->sets[i], &r, where, err);
	if (code == 0)
		code = check_overlap(s, &r, where, err);
	if (code == 0 && s->n && s->v[0].subnet.family != r.subnet.family)
		return error_set(err, CNI_INVALID_CONFIG,
				 "%s: a set has either IPv4 or IPv6 ranges; put each in a list of its own", where);
	if (code == 0)
		s->v[s->n++] = r;
	return code;
}

static int add_set(struct json_doc *doc, struct host_local_conf *c, const struct json_value *list, const char *where,
		   struct error *err)
{
	struct host_local_set s = {0};
	int code = 0;

	if (list->what != JSON_ARRAY || list->n == 0)
		return error_set(err, CNI_INVALID_CONFIG, "%s: expected a list of ranges in the list", where);
	s.v = json_alloc(doc, list->n * sizeof(*s.v));
	if (!s.v)
		return error_oom(err);
	for (size_t i = 0; code == 0 && i < list->n; i++) {
		struct range_text t;

		code = json_decode(doc, list->items[i], &range_type, &t, where, err);
		code = code < 0 ? conf_decode_error(code, err) : add_range(c, &s, &t, where, err);
	}
	if (code == 0)
		c->sets[c->n++] = s;
	return code;
}

/* A list of sets: [[{...}, ...], ...]. */
static int add_sets(struct json_doc *doc, struct host_local_conf *c, const struct json_value *sets, const char *where,
		    struct error *err)
{
	int code = 0;

	for (size_t i = 0; code == 0 && sets && i < sets->n; i++)
		code = add_set(doc, c, sets->items[i], where, err);
	return code;
}

/* The oldest form: one range, its keys beside `type`. */
static int add_flat(struct json_doc *doc, struct host_local_conf *c, const struct json_value *ipam, struct error *err)
{
	struct host_local_set s = {0};
	struct range_text t;
	int code = json_decode(doc, ipam, &range_type, &t, "ipam", err);

	if (code < 0)
		return conf_decode_error(code, err);
	if (str_empty(t.subnet))
		return 0;
	s.v = json_alloc(doc, sizeof(*s.v));
	if (!s.v)
		return error_oom(err);
	code = add_range(c, &s, &t, "ipam", err);
	if (code == 0)
		c->sets[c->n++] = s;
	return code;
}

static int count(const struct json_value *v, const char *where, size_t *n, struct error *err)
{
	if (!v || v->what == JSON_NULL)
		return 0;
	if (v->what != JSON_ARRAY)
		return error_set(err, CNI_DECODE, "%s: expected a list", where);
	*n += v->n;
	return 0;
}

static int load_requested(const struct cni_call *call, const struct cni_conf *conf, struct ipam_addrs *ret,
			  struct error *err)
{
	int code = ipam_env_ips(call, conf, "IP", ret, err);

	if (code == 0)
		code = ipam_args_ips(conf, ret, err);
	return code < 0 ? code : ipam_runtime_ips(conf, ret, err);
}

int host_local_load(const struct cni_call *call, const struct cni_conf *conf, struct host_local_conf *ret,
		    struct error *err)
{
	struct host_local_conf c = {0};
	struct runtime run = {0};
	struct ipam_text t;
	size_t n = 1;
	int code;

	if (!conf->ipam)
		return error_set(err, CNI_INVALID_CONFIG, "the configuration has no ipam section");
	code = json_decode(conf->doc, conf->ipam, &ipam_type, &t, "ipam", err);
	if (code == 0 && conf->runtime_config)
		code = json_decode(conf->doc, conf->runtime_config, &runtime_type, &run, "runtimeConfig", err);
	if (code < 0)
		return conf_decode_error(code, err);
	if (count(run.ranges, "runtimeConfig.ipRanges", &n, err) < 0 || count(t.ranges, "ipam.ranges", &n, err) < 0)
		return -CNI_DECODE;
	c.sets = json_alloc(conf->doc, n * sizeof(*c.sets));
	if (!c.sets)
		return error_oom(err);
	/* The order in which the reference's plugin numbers the sets: the runtime's, the flat one, the list. */
	code = add_sets(conf->doc, &c, run.ranges, "runtimeConfig.ipRanges", err);
	if (code == 0)
		code = add_flat(conf->doc, &c, conf->ipam, err);
	if (code == 0)
		code = add_sets(conf->doc, &c, t.ranges, "ipam.ranges", err);
	if (code == 0 && c.n == 0)
		return error_set(err, CNI_INVALID_CONFIG,
				 "ipam: there is no range to take addresses from (key 'ranges' or 'subnet')");
	if (code == 0)
		code = ipam_routes_check(t.routes, t.n_routes, "ipam", err);
	if (code == 0)
		code = load_requested(call, conf, &c.requested, err);
	if (code < 0)
		return code;
	c.data_dir = t.data_dir;
	c.resolv_conf = t.resolv_conf;
	c.routes = t.routes;
	c.n_routes = t.n_routes;
	*ret = c;
	return 0;
}

/* --- walking -------------------------------------------------------------------------------------------------- */

const struct host_local_range *host_local_find(const struct host_local_set *set, const struct ipaddr *a)
{
	for (size_t i = 0; i < set->n; i++)
		if (a->family == set->v[i].subnet.family && compare(&set->v[i].start, a) <= 0 &&
		    compare(a, &set->v[i].end) <= 0)
			return &set->v[i];
	return NULL;
}

struct ipaddr host_local_next(const struct host_local_set *set, const struct ipaddr *a)
{
	const struct host_local_range *r = host_local_find(set, a);
	size_t i = r ? (size_t)(r - set->v) : 0;

	if (!r)
		return set->v[0].start;
	if (compare(a, &r->end) == 0)
		return set->v[(i + 1) % set->n].start;
	return add(a, 1);
}

const char *host_local_set_text(const struct host_local_set *set, char out[HOST_LOCAL_TEXT_SIZE])
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < set->n; i++) {
		char a[IPADDR_TEXT_SIZE];

		ipaddr_text(&set->v[i].subnet, true, a);
		if (len + strlen(a) + 3 > HOST_LOCAL_TEXT_SIZE)
			break;
		len += (size_t)snprintf(out + len, HOST_LOCAL_TEXT_SIZE - len, "%s%s", len ? ", " : "", a);
	}
	return out;
}
