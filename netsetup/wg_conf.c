#include "wg_conf.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "spawn.h"
#include "str.h"

struct wg_peer_conf {
	const char *public_key, *preshared_key_file, *endpoint;
	char **allowed_ips;
	uint32_t keepalive;
};

static const struct word userspace_words[] = {{"auto", WG_AUTO}, {"never", WG_NEVER}, {"always", WG_ALWAYS}, {0}};

static const struct json_field peer_fields[] = {
	F_STRING(struct wg_peer_conf, "publicKey", public_key, JSON_REQUIRED),
	F_STRING(struct wg_peer_conf, "presharedKeyFile", preshared_key_file, JSON_ABSOLUTE),
	F_STRING(struct wg_peer_conf, "endpoint", endpoint, JSON_NONEMPTY),
	F_STRINGS(struct wg_peer_conf, "allowedIPs", allowed_ips, 0),
	F_U32(struct wg_peer_conf, "persistentKeepalive", keepalive, 0),
	F_END,
};
static JSON_TYPE(peer_type, struct wg_peer_conf, peer_fields);

static const struct json_field conf_fields[] = {
	F_STRING(struct wg_conf, "privateKeyFile", private_key_file, JSON_REQUIRED | JSON_ABSOLUTE),
	F_BOOL(struct wg_conf, "createKey", create_key, 0),
	F_U32(struct wg_conf, "listenPort", listen_port, 0),
	F_U32(struct wg_conf, "fwMark", fwmark, 0),
	F_U32(struct wg_conf, "mtu", mtu, 0),
	F_STRING(struct wg_conf, "birthplace", birthplace, JSON_NONEMPTY),
	F_WORD(struct wg_conf, "userspace", userspace, userspace_words, 0),
	F_STRINGS(struct wg_conf, "addresses", addresses, 0),
	F_LIST(struct wg_conf, "peers", peers, n_peers, &peer_type, 0),
	F_END,
};
static JSON_TYPE(conf_type, struct wg_conf, conf_fields);

/* 1500 of Ethernet less IPv6 (40), UDP (8) and WireGuard (32). */
enum { WG_DEFAULT_MTU = 1420 };

int wg_conf_decode(const struct cni_conf *conf, struct wg_conf *ret, struct error *err)
{
	struct wg_conf c;
	struct ipaddr a;
	size_t i;
	int r = json_decode(conf->doc, conf->raw, &conf_type, &c, conf->name, err);

	if (r < 0)
		return conf_decode_error(r, err);
	if (c.listen_port > UINT16_MAX)
		return error_set(err, CNI_INVALID_CONFIG, "%s: listenPort: %u is no UDP port", conf->name, c.listen_port);
	for (i = 0; c.addresses && c.addresses[i]; i++)
		if (ipaddr_parse(c.addresses[i], &a) < 0)
			return error_set(err, CNI_INVALID_CONFIG, "%s: addresses[%zu]: '%s' is no address",
					 conf->name, i, c.addresses[i]);
	if (!c.mtu)
		c.mtu = WG_DEFAULT_MTU;
	*ret = c;
	return 0;
}

/* Splits "host:port" and "[v6]:port"; the host goes to `host`. */
static const char *split_endpoint(const char *s, char host[256])
{
	const char *colon = strrchr(s, ':');
	const char *start = s, *end = colon;

	if (!colon || !colon[1])
		return NULL;
	if (s[0] == '[') {
		start++;
		if (colon == s || *--end != ']')
			return NULL;
	} else if (strchr(s, ':') != colon) {
		return NULL; /* an IPv6 address without brackets: which colon starts the port cannot be told */
	}
	if (end <= start || end - start >= 256)
		return NULL;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	return colon + 1;
}

/* The first address that the system's own resolver knows. A program asks it: netsetup is static, and the C library's name
 * services are shared libraries. */
static int resolve_name(const char *host, struct ipaddr *ret, struct error *err)
{
	enum { TIMEOUT_MS = 30000, NOT_FOUND = 2 };
	auto_free char *getent = spawn_find("getent", NULL);
	auto_buf struct buf out = {0};
	char *argv[] = {"getent", "--", "ahosts", (char *)host, NULL}, text[SPAWN_STATUS_SIZE];
	struct spawn s = {.path = getent, .argv = argv, .output = &out, .timeout_ms = TIMEOUT_MS};
	int status, code;

	if (!getent)
		return error_set(err, CNI_INVALID_CONFIG, "there is no program getent that looks names up; write the address");
	code = spawn_run(&s, &status, err);
	if (code < 0)
		return error_wrap(err, "cannot run getent");
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
		return error_set(err, CNI_TRY_AGAIN, "no address found");
	if (status != 0)
		return error_set(err, CNI_TRY_AGAIN, "getent %s", spawn_status(status, text));
	if (out.failed || !out.len)
		return out.failed ? error_oom(err) : error_set(err, CNI_TRY_AGAIN, "getent says nothing");
	out.data[strcspn(out.data, " \t\n")] = '\0'; /* the first line's first word */
	return ipaddr_parse(out.data, ret) < 0 ? error_set(err, CNI_TRY_AGAIN, "getent says '%s'", out.data) : 0;
}

static int resolve_endpoint(const char *s, union wg_endpoint *ret, struct error *err)
{
	struct ipaddr a;
	char host[256];
	const char *port = split_endpoint(s, host);
	uint32_t number;

	if (!port)
		return error_set(err, CNI_INVALID_CONFIG,
				 "endpoint '%s' is neither HOST:PORT nor [IPV6-ADDRESS]:PORT", s);
	if (str_u32(port, 0, UINT16_MAX, &number) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "endpoint '%s': the port is no number below 65536", s);
	if (strchr(host, '%'))
		return error_set(err, CNI_UNSUPPORTED_FIELD,
				 "endpoint '%s': an address with its link is not supported; use one that is not link-local", s);
	if (strchr(host, '/') || ipaddr_parse(host, &a) < 0) {
		int code = resolve_name(host, &a, err);

		if (code < 0)
			return error_wrap(err, "cannot resolve endpoint '%s'", s);
	}
	if (a.family == AF_INET6)
		ret->in6 = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number)};
	else
		ret->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
	memcpy(a.family == AF_INET6 ? (void *)&ret->in6.sin6_addr : &ret->in.sin_addr, a.bytes, (size_t)ipaddr_size(&a));
	return 0;
}

static int peer_from_conf(struct json_doc *doc, const struct wg_peer_conf *c, struct wg_peer *p, struct error *err)
{
	size_t i;
	int r;

	if (wg_key_parse(c->public_key, p->public_key) < 0)
		return error_set(err, CNI_INVALID_CONFIG, "publicKey '%s' is no key: 44 characters of base64 are expected",
				 c->public_key);
	if (c->keepalive > UINT16_MAX)
		return error_set(err, CNI_INVALID_CONFIG, "persistentKeepalive: %u is more than 65535 seconds",
				 c->keepalive);
	p->keepalive = (uint16_t)c->keepalive;
	for (i = 0; c->allowed_ips && c->allowed_ips[i]; i++) {
		struct ipaddr *a = wg_add_allowed(doc, p);
		if (!a)
			return error_oom(err);
		if (ipaddr_parse(c->allowed_ips[i], a) < 0)
			return error_set(err, CNI_INVALID_CONFIG, "allowedIPs[%zu]: '%s' is no address range", i,
					 c->allowed_ips[i]);
	}
	if (c->preshared_key_file) {
		r = wg_key_read(c->preshared_key_file, false, p->preshared_key, err);
		if (r < 0)
			return r;
	}
	return c->endpoint ? resolve_endpoint(c->endpoint, &p->endpoint, err) : 0;
}

int wg_conf_device(struct json_doc *doc, const struct wg_conf *c, struct wg_device *ret, struct error *err)
{
	struct wg_device d = {.listen_port = (uint16_t)c->listen_port, .fwmark = c->fwmark, .replace_peers = true};
	size_t i;
	int r = wg_key_read(c->private_key_file, c->create_key, d.private_key, err);

	if (r < 0)
		return r;
	wg_key_public(d.private_key, d.public_key);
	for (i = 0; i < c->n_peers; i++) {
		struct wg_peer *p = wg_add_peer(doc, &d);
		if (!p)
			return error_oom(err);
		r = peer_from_conf(doc, &c->peers[i], p, err);
		if (r < 0) {
			error_wrap(err, "peers[%zu]", i);
			return r;
		}
	}
	*ret = d;
	return 0;
}

/* --- vectors in the document's memory ------------------------------------------------------------------------- */

/* The vector with room for one more: capacities are powers of two, so a full one is seen by its length. */
static void *grow(struct json_doc *doc, void *old, size_t n, size_t size)
{
	void *p;

	if (n && (n & (n - 1)))
		return old;
	p = json_alloc(doc, (n ? 2 * n : 1) * size);
	if (p && n)
		memcpy(p, old, n * size);
	return p;
}

struct wg_peer *wg_add_peer(struct json_doc *doc, struct wg_device *d)
{
	struct wg_peer *p = grow(doc, d->peers, d->n_peers, sizeof(*p));

	if (!p)
		return NULL;
	d->peers = p;
	p += d->n_peers++;
	memset(p, 0, sizeof(*p));
	return p;
}

struct ipaddr *wg_add_allowed(struct json_doc *doc, struct wg_peer *p)
{
	struct ipaddr *a = grow(doc, p->allowed, p->n_allowed, sizeof(*a));

	if (!a)
		return NULL;
	p->allowed = a;
	a += p->n_allowed++;
	memset(a, 0, sizeof(*a));
	return a;
}

static bool has_peer(const struct wg_device *d, size_t n, const struct wg_peer *p)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!memcmp(d->peers[i].public_key, p->public_key, WG_KEY_SIZE))
			return true;
	return false;
}

int wg_conf_diff(struct json_doc *doc, const struct wg_device *have, struct wg_device *want, struct error *err)
{
	size_t i, n = want->n_peers;

	want->replace_peers = false;
	for (i = 0; i < have->n_peers; i++) {
		struct wg_peer *p;
		if (has_peer(want, n, &have->peers[i]))
			continue;
		p = wg_add_peer(doc, want);
		if (!p)
			return error_oom(err);
		memcpy(p->public_key, have->peers[i].public_key, WG_KEY_SIZE);
		p->remove = true;
	}
	return 0;
}

/* --- texts ---------------------------------------------------------------------------------------------------- */

const char *wg_endpoint_text(const union wg_endpoint *e, char out[WG_ENDPOINT_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN];
	struct buf b = {0};

	if (e->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &e->in6.sin6_addr, host, sizeof(host));
		buf_printf(&b, "[%s]:%u", host, ntohs(e->in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &e->in.sin_addr, host, sizeof(host));
		buf_printf(&b, "%s:%u", host, ntohs(e->in.sin_port));
	}
	snprintf(out, WG_ENDPOINT_TEXT_SIZE, "%s", b.data ? b.data : "");
	buf_free(&b);
	return out;
}

static struct json_value *peer_json(struct json_doc *doc, const struct wg_peer *p)
{
	struct json_value *v = json_make(doc, JSON_OBJECT), *ips = json_make(doc, JSON_ARRAY);
	char key[WG_KEY_TEXT_SIZE], endpoint[WG_ENDPOINT_TEXT_SIZE], addr[IPADDR_TEXT_SIZE];
	size_t i;

	json_set(doc, v, "publicKey", json_make_text(doc, wg_key_text(p->public_key, key)));
	if (p->endpoint.sa.sa_family != AF_UNSPEC)
		json_set(doc, v, "endpoint", json_make_text(doc, wg_endpoint_text(&p->endpoint, endpoint)));
	for (i = 0; i < p->n_allowed; i++)
		json_append(doc, ips, json_make_text(doc, ipaddr_text(&p->allowed[i], true, addr)));
	json_set(doc, v, "allowedIPs", ips);
	if (p->keepalive)
		json_set(doc, v, "persistentKeepalive", json_make_u64(doc, p->keepalive));
	json_set(doc, v, "latestHandshake", json_make_u64(doc, (uint64_t)p->last_handshake));
	json_set(doc, v, "rxBytes", json_make_u64(doc, p->rx_bytes));
	json_set(doc, v, "txBytes", json_make_u64(doc, p->tx_bytes));
	return v;
}

struct json_value *wg_conf_json(struct json_doc *doc, const struct wg_device *d)
{
	struct json_value *v = json_make(doc, JSON_OBJECT), *peers = json_make(doc, JSON_ARRAY);
	char key[WG_KEY_TEXT_SIZE];
	size_t i;

	json_set(doc, v, "publicKey", json_make_text(doc, wg_key_text(d->public_key, key)));
	json_set(doc, v, "listenPort", json_make_u64(doc, d->listen_port));
	if (d->fwmark)
		json_set(doc, v, "fwMark", json_make_u64(doc, d->fwmark));
	for (i = 0; i < d->n_peers; i++)
		json_append(doc, peers, peer_json(doc, &d->peers[i]));
	json_set(doc, v, "peers", peers);
	return v;
}
