/* One invocation: what the environment says, the namespaces, the sockets in them, and the names that follow. */
#include "netsetup.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cleanup.h"
#include "netns.h"
#include "str.h"

/* --- environment --------------------------------------------------------------------------------------------- */

static const struct word command_words[] = {
	{"ADD", CNI_ADD}, {"DEL", CNI_DEL},	    {"CHECK", CNI_CHECK}, {"GC", CNI_GC},
	{"STATUS", CNI_STATUS}, {"VERSION", CNI_VERSION}, {NULL, 0},
};

const char *call_command_name(enum cni_command command)
{
	return word_name(command_words, (int)command);
}

/* Which variables a command needs. CNI_PATH is the runtime's duty for everything but VERSION, as with the reference's
 * plugins, so that a runtime which forgets it hears of it before a delegation fails. */
enum { NEED_ID = 1, NEED_NETNS = 2, NEED_IFNAME = 4, NEED_PATH = 8 };
static const unsigned needs[] = {
	[CNI_ADD] = NEED_ID | NEED_NETNS | NEED_IFNAME | NEED_PATH,
	[CNI_CHECK] = NEED_ID | NEED_NETNS | NEED_IFNAME | NEED_PATH,
	[CNI_DEL] = NEED_ID | NEED_IFNAME | NEED_PATH,
	[CNI_GC] = NEED_PATH,
	[CNI_STATUS] = NEED_PATH,
	[CNI_VERSION] = 0,
};

/* An identifier of the specification: a letter or digit, then letters, digits, '_', '.', '-'. */
bool call_id_valid(const char *s)
{
	if (!isalnum((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
			return false;
	return true;
}

bool call_ifname_valid(const char *s)
{
	return *s && strlen(s) < IFNAMSIZ && !str_eq(s, ".") && !str_eq(s, "..") && !strpbrk(s, "/: \t\r\n\v\f");
}

static int check_values(const struct cni_call *c, struct error *err)
{
	if (c->container_id && !call_id_valid(c->container_id))
		return error_set(err, CNI_INVALID_ENVIRONMENT, "CNI_CONTAINERID: '%s' is no container id", c->container_id);
	if (c->ifname && !call_ifname_valid(c->ifname))
		return error_set(err, CNI_INVALID_ENVIRONMENT,
				 "CNI_IFNAME: '%s' is no interface name: 1 to %d characters, no space, '/' nor ':'",
				 c->ifname, IFNAMSIZ - 1);
	return 0;
}

static int parse_pair(struct json_doc *doc, char *pair, struct json_map *map, struct error *err)
{
	char *eq = strchr(pair, '=');

	if (!eq || eq == pair)
		return error_set(err, CNI_INVALID_ENVIRONMENT, "CNI_ARGS: '%s' is no KEY=VALUE pair", pair);
	*eq = '\0';
	map->pairs[map->n++] = (struct json_pair){.key = pair, .value = json_strdup(doc, eq + 1)};
	return 0;
}

const char *call_arg(const struct cni_call *c, const char *key)
{
	for (size_t i = 0; i < c->args.n; i++)
		if (str_eq(c->args.pairs[i].key, key))
			return c->args.pairs[i].value;
	return NULL;
}

/* What plugins of ours understand. The same variable reaches all plugins of a chain, and IPAM, so a key is fine if any
 * of them knows it. */
static bool known_arg(const char *key)
{
	static const char *const known[] = {"IgnoreUnknown", "MAC", "IP", "GATEWAY"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_eq(known[i], key))
			return true;
	return false;
}

static int check_args(const struct cni_call *c, struct error *err)
{
	const char *ignore = call_arg(c, "IgnoreUnknown");

	if (ignore && (str_eq(ignore, "1") || strcasecmp(ignore, "true") == 0))
		return 0;
	for (size_t i = 0; i < c->args.n; i++)
		if (!known_arg(c->args.pairs[i].key))
			return error_set(err, CNI_INVALID_ENVIRONMENT,
					 "CNI_ARGS: unknown key '%s' (IgnoreUnknown=1 lets unknown keys pass)",
					 c->args.pairs[i].key);
	return 0;
}

int call_parse_args(struct json_doc *doc, struct cni_call *c, const char *text, struct error *err)
{
	size_t n = 1;
	char *copy, *save = NULL;
	int code;

	if (str_empty(text))
		return 0;
	for (const char *s = text; *s; s++)
		n += *s == ';';
	copy = json_strdup(doc, text);
	c->args.pairs = json_alloc(doc, n * sizeof(*c->args.pairs));
	if (!copy || !c->args.pairs)
		return error_oom(err);
	for (char *pair = strtok_r(copy, ";", &save); pair; pair = strtok_r(NULL, ";", &save)) {
		code = parse_pair(doc, pair, &c->args, err);
		if (code < 0)
			return code;
	}
	return check_args(c, err);
}

static int check_missing(const struct cni_call *c, struct error *err)
{
	const struct {
		unsigned need;
		const char *name, *value;
	} vars[] = {
		{NEED_ID, "CNI_CONTAINERID", c->container_id},
		{NEED_NETNS, "CNI_NETNS", c->netns},
		{NEED_IFNAME, "CNI_IFNAME", c->ifname},
		{NEED_PATH, "CNI_PATH", c->path},
	};
	auto_buf struct buf missing = {0};

	for (size_t i = 0; i < ARRAY_SIZE(vars); i++)
		if ((needs[c->command] & vars[i].need) && !vars[i].value)
			buf_printf(&missing, "%s%s", missing.len ? "," : "", vars[i].name);
	if (missing.len)
		return error_set(err, CNI_INVALID_ENVIRONMENT, "required env variables [%s] missing for %s", missing.data,
				 call_command_name(c->command));
	return 0;
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return str_empty(v) ? NULL : v;
}

const char *call_root(void)
{
	const char *root = env("NETSETUP_ROOT");

	return root ? root : "/run/netsetup";
}

int call_from_env(struct json_doc *doc, struct cni_call *c, struct error *err)
{
	const char *command = getenv("CNI_COMMAND"), *override = getenv("CNI_NETNS_OVERRIDE");
	int value = word_value(command_words, command ? command : ""), code;

	if (value < 0)
		return error_set(err, CNI_INVALID_ENVIRONMENT, "unknown CNI_COMMAND: %s", command);
	c->command = (enum cni_command)value;
	c->container_id = env("CNI_CONTAINERID");
	c->netns = env("CNI_NETNS");
	c->ifname = env("CNI_IFNAME");
	c->path = env("CNI_PATH");
	c->netns_override = override && (str_eq(override, "1") || strcasecmp(override, "true") == 0);
	if (c->command == CNI_VERSION)
		return 0;
	code = check_missing(c, err);
	if (code == 0)
		code = check_values(c, err);
	if (code < 0)
		return code;
	code = call_parse_args(doc, c, getenv("CNI_ARGS"), err);
	/* What is to go must go, whatever the runtime says besides. */
	return c->command == CNI_ADD || c->command == CNI_CHECK ? code : 0;
}

/* --- namespaces and sockets ---------------------------------------------------------------------------------- */

static int open_container(struct cni_call *c, struct error *err)
{
	bool must = c->command == CNI_ADD || c->command == CNI_CHECK;
	struct error why;

	if (c->netns_fd < 0 && !str_empty(c->netns)) {
		c->netns_fd = netns_open(c->netns, &why);
		if (c->netns_fd < 0 && must)
			return error_set(err, CNI_INVALID_NETNS, "cannot open the container's network namespace: %s",
					 why.msg);
	}
	if (c->netns_fd >= 0 && !c->netns_override && netns_same(c->netns_fd, c->own_fd))
		return error_set(err, CNI_INVALID_NETNS,
				 "CNI_NETNS %s is the plugin's own network namespace (CNI_NETNS_OVERRIDE=1 allows it)",
				 c->netns);
	return 0;
}

static int open_host(struct cni_call *c, const char *name, struct error *err)
{
	bool must = c->command == CNI_ADD || c->command == CNI_CHECK;
	struct error why;

	if (c->host_netns ? str_eq(c->host_netns, name) : !name && c->host_fd >= 0)
		return 0;
	rtnl_close(take_ptr(c->host));
	if (c->host_fd >= 0 && c->host_fd != c->own_fd)
		close(c->host_fd);
	c->host_fd = -1;
	free(take_ptr(c->host_netns));
	if (name) {
		c->host_netns = strdup(name);
		if (!c->host_netns)
			return error_oom(err);
	}
	c->host_fd = name ? netns_open(name, &why) : c->own_fd;
	if (c->host_fd < 0 && must)
		return error_set(err, CNI_INVALID_CONFIG, "hostNetns: %s", why.msg);
	return 0;
}

int call_open(struct cni_call *c, const struct cni_conf *conf, struct error *err)
{
	int code = 0;

	if (c->own_fd < 0) {
		code = netns_open_self(err);
		if (code < 0)
			return code;
		c->own_fd = code;
	}
	code = open_container(c, err);
	return code < 0 ? code : open_host(c, str_empty(conf->host_netns) ? NULL : conf->host_netns, err);
}

int call_host(struct cni_call *c, struct rtnl **ret, struct error *err)
{
	int code = 0;

	if (c->host_fd < 0)
		return error_set(err, ENOENT, "the network namespace of the host side is gone");
	if (!c->host)
		code = c->host_fd == c->own_fd ? rtnl_open(&c->host, err) : rtnl_open_in(c->host_fd, &c->host, err);
	if (code == 0)
		*ret = c->host;
	return code;
}

int call_container(struct cni_call *c, struct rtnl **ret, struct error *err)
{
	int code = 0;

	if (c->netns_fd < 0)
		return error_set(err, ENOENT, "the container's network namespace is gone");
	if (!c->container)
		code = rtnl_open_in(c->netns_fd, &c->container, err);
	if (code == 0)
		*ret = c->container;
	return code;
}

void call_close(struct cni_call *c)
{
	rtnl_close(take_ptr(c->host));
	rtnl_close(take_ptr(c->container));
	if (c->host_fd >= 0 && c->host_fd != c->own_fd)
		close(c->host_fd);
	c->host_fd = -1;
	free(take_ptr(c->host_netns));
	close_fd(&c->netns_fd);
	close_fd(&c->own_fd);
}

/* --- names --------------------------------------------------------------------------------------------------- */

const char *call_owner(const struct cni_call *c, const struct cni_conf *conf, char out[CALL_OWNER_SIZE])
{
	snprintf(out, CALL_OWNER_SIZE, "nsrun:%s/%s/%s", conf->name, c->container_id, c->ifname);
	return out;
}

bool call_owner_split(const char *mark, struct owner *ret)
{
	static const char format[] = "nsrun:%255[^/]/%255[^/]/%15[^/]%n";
	struct owner o;
	int end = 0;

	if (sscanf(mark, format, o.network, o.container_id, o.ifname, &end) != 3 || mark[end])
		return false;
	*ret = o;
	return true;
}

/* FNV-1a: the name need be even, not secret. */
static uint64_t hash(uint64_t h, const char *s)
{
	do
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	while (*s++);
	return h;
}

void call_link_name(const struct cni_call *c, const struct cni_conf *conf, const char *prefix, char out[IFNAMSIZ])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	uint64_t h = hash(hash(hash(0xcbf29ce484222325ULL, conf->name), c->container_id), c->ifname);
	size_t len = strnlen(prefix, IFNAMSIZ - 1), end = len + 11 < IFNAMSIZ - 1 ? len + 11 : IFNAMSIZ - 1;

	memcpy(out, prefix, len);
	for (; len < end; len++, h >>= 5)
		out[len] = digits[h & 31];
	out[len] = '\0';
}
