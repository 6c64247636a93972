/* The cross-platform configuration protocol of WireGuard (wireguard.com/xplatform): lines of key=value, keys in hex. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"
#include "wg_uapi.h"

static void put_key(struct buf *b, const char *word, const uint8_t key[WG_KEY_SIZE])
{
	size_t i;

	buf_printf(b, "%s=", word);
	for (i = 0; i < WG_KEY_SIZE; i++)
		buf_printf(b, "%02x", key[i]);
	buf_putc(b, '\n');
}

static void put_peer(struct buf *b, const struct wg_peer *p)
{
	char text[IPADDR_TEXT_SIZE], endpoint[WG_ENDPOINT_TEXT_SIZE];
	size_t i;

	put_key(b, "public_key", p->public_key);
	if (p->remove) {
		buf_puts(b, "remove=true\n");
		return;
	}
	put_key(b, "preshared_key", p->preshared_key);
	if (p->endpoint.sa.sa_family != AF_UNSPEC)
		buf_printf(b, "endpoint=%s\n", wg_endpoint_text(&p->endpoint, endpoint));
	buf_puts(b, "replace_allowed_ips=true\n");
	for (i = 0; i < p->n_allowed; i++)
		buf_printf(b, "allowed_ip=%s\n", ipaddr_text(&p->allowed[i], true, text));
	/* Last: turning it on sends the first packet, which needs the endpoint. */
	buf_printf(b, "persistent_keepalive_interval=%u\n", p->keepalive);
}

void wg_uapi_write(struct buf *b, const struct wg_device *d)
{
	size_t i;

	buf_puts(b, "set=1\n");
	put_key(b, "private_key", d->private_key);
	/* wireguard-go binds anew for every listen_port line; zero means a port of the kernel's choice. */
	buf_printf(b, "listen_port=%u\nfwmark=%u\n", d->listen_port, d->fwmark);
	if (d->replace_peers)
		buf_puts(b, "replace_peers=true\n");
	for (i = 0; i < d->n_peers; i++)
		put_peer(b, &d->peers[i]);
	buf_putc(b, '\n');
}

/* --- answers -------------------------------------------------------------------------------------------------- */

static int hex_key(const char *s, uint8_t key[WG_KEY_SIZE])
{
	size_t i;
	unsigned v;

	if (strlen(s) != 2 * WG_KEY_SIZE || strspn(s, "0123456789abcdefABCDEF") != 2 * WG_KEY_SIZE)
		return -EINVAL;
	for (i = 0; i < WG_KEY_SIZE; i++) {
		sscanf(s + 2 * i, "%2x", &v);
		key[i] = (uint8_t)v;
	}
	return 0;
}

static int parse_endpoint(const char *s, union wg_endpoint *e)
{
	char host[INET6_ADDRSTRLEN + 16];
	const char *colon = strrchr(s, ':');
	uint32_t port;

	if (!colon || str_u32(colon + 1, 0, UINT16_MAX, &port) < 0 || (size_t)(colon - s) >= sizeof(host))
		return -EINVAL;
	memset(e, 0, sizeof(*e));
	if (*s == '[') {
		snprintf(host, sizeof(host), "%.*s", (int)(colon - s) - 2, s + 1);
		host[strcspn(host, "%")] = '\0'; /* a zone, of link-local endpoints */
		e->in6.sin6_family = AF_INET6;
		e->in6.sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host, &e->in6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - s), s);
	e->in.sin_family = AF_INET;
	e->in.sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &e->in.sin_addr) == 1 ? 0 : -EINVAL;
}

enum what {
	PRIVATE_KEY,
	LISTEN_PORT,
	FWMARK,
	PUBLIC_KEY,
	PRESHARED_KEY,
	ENDPOINT,
	KEEPALIVE,
	ALLOWED_IP,
	HANDSHAKE,
	RX_BYTES,
	TX_BYTES,
};

static const struct word words[] = {
	{"private_key", PRIVATE_KEY},
	{"listen_port", LISTEN_PORT},
	{"fwmark", FWMARK},
	{"public_key", PUBLIC_KEY},
	{"preshared_key", PRESHARED_KEY},
	{"endpoint", ENDPOINT},
	{"persistent_keepalive_interval", KEEPALIVE},
	{"allowed_ip", ALLOWED_IP},
	{"last_handshake_time_sec", HANDSHAKE},
	{"rx_bytes", RX_BYTES},
	{"tx_bytes", TX_BYTES},
	{0},
};

static int parse_device_line(enum what what, const char *value, uint64_t n, struct wg_device *d)
{
	switch (what) {
	case PRIVATE_KEY:
		if (hex_key(value, d->private_key) < 0)
			return -EINVAL;
		wg_key_public(d->private_key, d->public_key);
		return 0;
	case LISTEN_PORT:
		d->listen_port = (uint16_t)n;
		return 0;
	case FWMARK:
		d->fwmark = (uint32_t)n;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse_peer_line(struct json_doc *doc, enum what what, const char *value, uint64_t n, struct wg_peer *p)
{
	struct ipaddr *a;

	switch (what) {
	case PRESHARED_KEY:
		return hex_key(value, p->preshared_key);
	case ENDPOINT:
		return parse_endpoint(value, &p->endpoint);
	case KEEPALIVE:
		p->keepalive = (uint16_t)n;
		return 0;
	case ALLOWED_IP:
		a = wg_add_allowed(doc, p);
		return a ? ipaddr_parse(value, a) : -ENOMEM;
	case HANDSHAKE:
		p->last_handshake = (int64_t)n;
		return 0;
	case RX_BYTES:
		p->rx_bytes = n;
		return 0;
	case TX_BYTES:
		p->tx_bytes = n;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse_line(struct json_doc *doc, const char *key, const char *value, struct wg_device *d)
{
	int what = word_value(words, key);
	uint64_t n = strtoull(value, NULL, 10);

	if (what < 0)
		return 0; /* the protocol may grow */
	if (what == PUBLIC_KEY) {
		struct wg_peer *p = wg_add_peer(doc, d);
		return p ? hex_key(value, p->public_key) : -ENOMEM;
	}
	if (!d->n_peers)
		return parse_device_line(what, value, n, d);
	return parse_peer_line(doc, what, value, n, &d->peers[d->n_peers - 1]);
}

int wg_uapi_parse(struct json_doc *doc, const char *text, struct wg_device *ret, struct error *err)
{
	struct wg_device d = {0};
	char *copy = json_strdup(doc, text), *line, *save = NULL;

	if (!copy)
		return error_oom(err);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, '=');
		int r;
		if (!value)
			return error_set(err, EPROTO, "wireguard-go answers '%s', which is no key=value", line);
		*value++ = '\0';
		r = parse_line(doc, line, value, &d);
		if (r == -ENOMEM)
			return error_oom(err);
		if (r < 0)
			return error_set(err, EPROTO, "wireguard-go answers an unexpected %s", line);
	}
	*ret = d;
	return 0;
}
