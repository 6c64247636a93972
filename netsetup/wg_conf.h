/* WireGuard: what a device is configured with and what it reports, independent of who runs it (the kernel: wg_genl.h,
 * wireguard-go: wg_uapi.h). Keys of a network configuration: specs/wireguard.md. */
#ifndef WG_CONF_H
#define WG_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netsetup.h"

enum { WG_KEY_SIZE = 32, WG_KEY_TEXT_SIZE = 45 };

union wg_endpoint {
	struct sockaddr sa; /* sa_family AF_UNSPEC: none */
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct wg_peer {
	uint8_t public_key[WG_KEY_SIZE], preshared_key[WG_KEY_SIZE]; /* a zero preshared key is none */
	union wg_endpoint endpoint;
	struct ipaddr *allowed;
	size_t n_allowed;
	uint16_t keepalive; /* seconds; 0: off */
	bool remove;	    /* set: this peer goes */
	/* Reported only. */
	int64_t last_handshake; /* seconds since 1970; 0: never */
	uint64_t rx_bytes, tx_bytes;
};

/* Memory lives as long as the document that the device was made in. */
struct wg_device {
	uint8_t private_key[WG_KEY_SIZE], public_key[WG_KEY_SIZE];
	uint16_t listen_port;
	uint32_t fwmark;
	struct wg_peer *peers;
	size_t n_peers;
	bool replace_peers; /* set: peers that are not listed go */
};

enum wg_userspace { WG_AUTO, WG_NEVER, WG_ALWAYS };

/* The keys of a network configuration of type "wireguard". */
struct wg_conf {
	const char *private_key_file, *birthplace;
	bool create_key;
	uint32_t listen_port, fwmark, mtu;
	int userspace; /* enum wg_userspace */
	char **addresses;
	struct wg_peer_conf *peers;
	size_t n_peers;
};

/* Decodes and checks the keys; reads no file. */
int wg_conf_decode(const struct cni_conf *conf, struct wg_conf *ret, struct error *err);
/* Reads the key files (with create_key: makes a missing private key, and FILE.pub beside it) and resolves the endpoints. */
int wg_conf_device(struct json_doc *doc, const struct wg_conf *c, struct wg_device *ret, struct error *err);

/* A private key from a file, base64 as wg(8) writes it. create: a missing file is made, mode 0600, with the public key
 * in FILE.pub. */
int wg_key_read(const char *path, bool create, uint8_t ret[WG_KEY_SIZE], struct error *err);
/* Base64 of a key. */
const char *wg_key_text(const uint8_t key[WG_KEY_SIZE], char out[WG_KEY_TEXT_SIZE]);
/* Exactly 44 characters of base64: 0, or -EINVAL. */
int wg_key_parse(const char *s, uint8_t ret[WG_KEY_SIZE]);
bool wg_key_is_zero(const uint8_t key[WG_KEY_SIZE]);

/* X25519 (RFC 7748) with the base point: the public key (wg_key.c). */
void wg_key_public(const uint8_t private_key[WG_KEY_SIZE], uint8_t ret[WG_KEY_SIZE]);

/* "192.0.2.1:51820", "[2001:db8::1]:51820". The buffer holds the longest. */
enum { WG_ENDPOINT_TEXT_SIZE = 64 };
const char *wg_endpoint_text(const union wg_endpoint *e, char out[WG_ENDPOINT_TEXT_SIZE]);

/* Appends an empty peer, or an address range to a peer; NULL when out of memory. */
struct wg_peer *wg_add_peer(struct json_doc *doc, struct wg_device *d);
struct ipaddr *wg_add_allowed(struct json_doc *doc, struct wg_peer *p);

/* What `set` must be given to turn a running device into `want` without touching the sessions of peers that stay: want, plus
 * a removal for each peer of `have` that want does not list. */
int wg_conf_diff(struct json_doc *doc, const struct wg_device *have, struct wg_device *want, struct error *err);

/* The device as JSON for `show`; never with secrets. */
struct json_value *wg_conf_json(struct json_doc *doc, const struct wg_device *d);

#endif
