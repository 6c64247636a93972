/* The picture of what is really there: the network namespaces of containers with their links, bridges, veth pairs,
 * addresses, routes and WireGuard peers, as `netsetup show` reads them from the kernel. */
#ifndef GRAPH_H
#define GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"

struct buf;
struct error;

struct graph_wg_peer {
	const char *public_key, *endpoint;
	char **allowed_ips;
	uint64_t latest_handshake, rx_bytes, tx_bytes;
};

struct graph_wireguard {
	const char *public_key;
	uint32_t listen_port;
	struct graph_wg_peer *peers;
	size_t n_peers;
};

struct graph_peer {
	uint32_t index;
	uint64_t inode; /* 0: its namespace is not in the picture */
	const char *name;
};

struct graph_link {
	uint32_t index, mtu;
	const char *name, *kind, *mac, *state, *alias, *master, *parent;
	bool up;
	char **addresses;
	struct graph_peer *peer;
	struct graph_wireguard *wireguard;
	bool shown; /* the host's: connected with a container */
};

struct graph_route {
	uint32_t family, metric, table;
	const char *dst, *via, *dev, *src, *type, *protocol;
};

struct graph_netns {
	const char *path;
	uint64_t inode;
	struct graph_link *links;
	size_t n_links;
	struct graph_route *routes;
	size_t n_routes;
	/* Filled by graph_read(). */
	const char *title; /* ids of the containers in it, with commas; "host" */
	const char *status; /* of the first of them */
	bool host;
};

struct graph {
	struct graph_netns *list;
	size_t n;
	struct json_doc *doc;
};

/* Reads the namespaces of these containers (ids NULL: of all) and of the caller, the host's, which comes first when a
 * container is connected with it, and is left out otherwise. graph_free() releases it. */
int graph_read(char *const *ids, struct graph *ret, struct error *err);
void graph_free(struct graph *g);

/* Each writes the whole picture. now: seconds since 1970, for ages. */
void graph_tree(const struct graph *g, int64_t now, struct buf *out);
void graph_dot(const struct graph *g, int64_t now, struct buf *out);
void graph_json(const struct graph *g, int64_t now, struct buf *out);

/* The other end of a veth pair, or NULL; *ret_netns is where it is. */
const struct graph_link *graph_other_end(const struct graph *g, const struct graph_link *l,
					 const struct graph_netns **ret_netns);
/* The device in the picture with that public key, or NULL. */
const struct graph_link *graph_by_key(const struct graph *g, const char *public_key, const struct graph_netns **ret_netns);
/* Ports follow their bridge in the picture. */
bool graph_is_port(const struct graph_netns *n, const struct graph_link *l);
/* A route worth drawing: not one that comes with an address. */
bool graph_is_drawn(const struct graph_route *r);

#endif
