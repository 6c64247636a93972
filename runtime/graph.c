#include "graph.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "net.h"
#include "spawn.h"
#include "state.h"
#include "str.h"

/* --- what `netsetup show` writes ------------------------------------------------------------------------------ */

static const struct json_field wg_peer_fields[] = {
	F_STRING(struct graph_wg_peer, "publicKey", public_key, JSON_REQUIRED),
	F_STRING(struct graph_wg_peer, "endpoint", endpoint, 0),
	F_STRINGS(struct graph_wg_peer, "allowedIPs", allowed_ips, 0),
	F_U64(struct graph_wg_peer, "latestHandshake", latest_handshake, 0),
	F_U64(struct graph_wg_peer, "rxBytes", rx_bytes, 0),
	F_U64(struct graph_wg_peer, "txBytes", tx_bytes, 0),
	F_END,
};
static JSON_TYPE(wg_peer_type, struct graph_wg_peer, wg_peer_fields);

static const struct json_field wireguard_fields[] = {
	F_STRING(struct graph_wireguard, "publicKey", public_key, JSON_REQUIRED),
	F_U32(struct graph_wireguard, "listenPort", listen_port, 0),
	F_LIST(struct graph_wireguard, "peers", peers, n_peers, &wg_peer_type, 0),
	F_END,
};
static JSON_TYPE(wireguard_type, struct graph_wireguard, wireguard_fields);

static const struct json_field peer_fields[] = {
	F_U32(struct graph_peer, "index", index, 0),
	F_U64(struct graph_peer, "inode", inode, 0),
	F_STRING(struct graph_peer, "name", name, 0),
	F_END,
};
static JSON_TYPE(peer_type, struct graph_peer, peer_fields);

static const struct json_field link_fields[] = {
	F_U32(struct graph_link, "index", index, JSON_REQUIRED),
	F_STRING(struct graph_link, "name", name, JSON_REQUIRED),
	F_STRING(struct graph_link, "kind", kind, 0),
	F_STRING(struct graph_link, "mac", mac, 0),
	F_STRING(struct graph_link, "state", state, 0),
	F_STRING(struct graph_link, "alias", alias, 0),
	F_STRING(struct graph_link, "master", master, 0),
	F_STRING(struct graph_link, "parent", parent, 0),
	F_U32(struct graph_link, "mtu", mtu, 0),
	F_BOOL(struct graph_link, "up", up, 0),
	F_STRINGS(struct graph_link, "addresses", addresses, 0),
	F_POINTER(struct graph_link, "peer", peer, &peer_type, 0),
	F_POINTER(struct graph_link, "wireguard", wireguard, &wireguard_type, 0),
	F_END,
};
static JSON_TYPE(link_type, struct graph_link, link_fields);

static const struct json_field route_fields[] = {
	F_U32(struct graph_route, "family", family, JSON_REQUIRED),
	F_STRING(struct graph_route, "dst", dst, JSON_REQUIRED),
	F_STRING(struct graph_route, "via", via, 0),
	F_STRING(struct graph_route, "dev", dev, 0),
	F_STRING(struct graph_route, "src", src, 0),
	F_STRING(struct graph_route, "type", type, 0),
	F_STRING(struct graph_route, "protocol", protocol, 0),
	F_U32(struct graph_route, "metric", metric, 0),
	F_U32(struct graph_route, "table", table, 0),
	F_END,
};
static JSON_TYPE(route_type, struct graph_route, route_fields);

static const struct json_field netns_fields[] = {
	F_STRING(struct graph_netns, "netns", path, 0),
	F_U64(struct graph_netns, "inode", inode, JSON_REQUIRED),
	F_LIST(struct graph_netns, "links", links, n_links, &link_type, 0),
	F_LIST(struct graph_netns, "routes", routes, n_routes, &route_type, 0),
	F_END,
};
static JSON_TYPE(netns_type, struct graph_netns, netns_fields);

static const struct json_field graph_fields[] = {
	F_LIST(struct graph, "namespaces", list, n, &netns_type, JSON_REQUIRED),
	F_END,
};
static JSON_TYPE(graph_type, struct graph, graph_fields);

/* --- which namespaces ----------------------------------------------------------------------------------------- */

/* Containers with their namespaces; several may share one. Parallel vectors, the host's first. */
struct places {
	char **titles, **statuses, **paths;
	ino_t inodes[4096];
	size_t n;
	bool all; /* those that are not running are left out silently */
};

static void places_free(struct places *p)
{
	strv_free(p->titles);
	strv_free(p->statuses);
	strv_free(p->paths);
}
#define auto_places __attribute__((cleanup(places_free)))

static int add_place(struct places *p, const char *title, const char *status, const char *path, struct error *err)
{
	struct stat st;
	size_t i;

	if (stat(path, &st) < 0)
		return error_sys(err, "cannot find the network namespace of %s", title);
	for (i = 0; i < p->n; i++)
		if (p->inodes[i] == st.st_ino) {
			char *both = i == 0 ? strdup(p->titles[0]) : str_printf("%s, %s", p->titles[i], title);
			if (!both)
				return error_oom(err);
			free(p->titles[i]);
			p->titles[i] = both;
			return 0;
		}
	if (p->n == ARRAY_SIZE(p->inodes))
		return error_set(err, E2BIG, "more than %zu network namespaces are too many for a picture", p->n);
	if (strv_add(&p->titles, title) < 0 || strv_add(&p->statuses, status) < 0 || strv_add(&p->paths, path) < 0)
		return error_oom(err);
	p->inodes[p->n++] = st.st_ino;
	return 0;
}

static int add_container(struct places *p, const char *id, struct error *err)
{
	auto_container struct container c = CONTAINER_INIT;
	char path[64];
	int r = container_open(&c, id, false, err);

	if (r < 0)
		return p->all ? 0 : r;
	if (c.state.status == STATUS_STOPPED || c.state.status == STATUS_CREATING || c.state.pid <= 0)
		return p->all ? 0 : error_set(err, ESRCH, "container %s is %s: it has no network", id,
					      word_name(status_words, c.state.status));
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c.state.pid);
	r = add_place(p, id, word_name(status_words, c.state.status), path, err);
	return r < 0 && p->all ? 0 : r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int all_ids(char ***ret, struct error *err)
{
	int root_fd = state_open_root(false, err);
	auto_closedir DIR *dir = NULL;
	struct dirent *d;

	if (root_fd == -ENOENT)
		return 0;
	if (root_fd < 0)
		return root_fd;
	dir = fdopendir(root_fd);
	if (!dir) {
		close(root_fd);
		return error_sys(err, "cannot list %s", globals.root);
	}
	while ((d = readdir(dir)))
		if (state_check_id(d->d_name, NULL) == 0 && strv_add(ret, d->d_name) < 0)
			return error_oom(err);
	if (*ret)
		qsort(*ret, strv_len(*ret), sizeof(char *), by_name);
	return 0;
}

static int find_places(char *const *ids, struct places *p, struct error *err)
{
	auto_strv char **all = NULL;
	int r = add_place(p, "host", "", "/proc/self/ns/net", err);

	p->all = !ids || !*ids;
	if (r == 0 && p->all)
		r = all_ids(&all, err);
	if (p->all)
		ids = all;
	for (; r == 0 && ids && *ids; ids++)
		r = add_container(p, *ids, err);
	return r;
}

/* --- reading -------------------------------------------------------------------------------------------------- */

static int run_netsetup(const struct places *p, struct buf *out, struct error *err)
{
	auto_free char *program = net_helper(err);
	auto_strv char **argv = NULL;
	auto_buf struct buf errors = {0};
	char ended[SPAWN_STATUS_SIZE];
	int status, r;
	size_t i;

	if (!program)
		return err->code ? -err->code : -ENOENT;
	r = strv_add(&argv, "netsetup");
	if (r == 0)
		r = strv_add(&argv, "show");
	for (i = 0; r == 0 && i < p->n; i++)
		r = strv_addf(&argv, "--netns=%s", p->paths[i]);
	if (r < 0)
		return error_oom(err);
	r = spawn_run(&(struct spawn){.path = program, .argv = argv, .output = out, .errors = &errors}, &status, err);
	if (r < 0)
		return r;
	if (status != 0)
		return error_set(err, EIO, "cannot read the namespaces: %s %s: %s", program, spawn_status(status, ended),
				 errors.data ? errors.data : "");
	return 0;
}

static void name_netns(struct graph *g, const struct places *p)
{
	size_t i, k;

	for (i = 0; i < g->n; i++)
		for (k = 0; k < p->n; k++)
			if (g->list[i].inode == p->inodes[k]) {
				g->list[i].title = json_strdup(g->doc, p->titles[k]);
				g->list[i].status = json_strdup(g->doc, p->statuses[k]);
				g->list[i].host = k == 0;
			}
}

static struct graph_netns *find_netns(const struct graph *g, uint64_t inode)
{
	size_t i;

	for (i = 0; inode && i < g->n; i++)
		if (g->list[i].inode == inode)
			return &g->list[i];
	return NULL;
}

static struct graph_link *find_link(const struct graph_netns *n, const char *name)
{
	size_t i;

	for (i = 0; name && i < n->n_links; i++)
		if (str_eq(n->links[i].name, name))
			return &n->links[i];
	return NULL;
}

/* Of the host's links only those count that lead to a container: their other end is in another namespace, and the bridge
 * they are ports of. True when there are any. */
static bool choose_host_links(struct graph_netns *host)
{
	bool any = false;
	size_t i;

	for (i = 0; i < host->n_links; i++) {
		struct graph_link *l = &host->links[i], *master;
		if (!l->peer || !l->peer->inode || l->peer->inode == host->inode)
			continue;
		l->shown = any = true;
		master = find_link(host, l->master);
		if (master)
			master->shown = true;
	}
	for (i = 0; any && i < host->n_links; i++) {
		struct graph_link *master = find_link(host, host->links[i].master);
		if (master && master->shown)
			host->links[i].shown = true;
	}
	return any;
}

static void trim_host(struct graph *g)
{
	struct graph_netns *host = &g->list[0];
	size_t i, n = 0;

	if (!choose_host_links(host)) {
		g->list++;
		g->n--;
		return;
	}
	for (i = 0; i < host->n_links; i++)
		if (host->links[i].shown)
			host->links[n++] = host->links[i];
	host->n_links = n;
	host->n_routes = 0;
}

int graph_read(char *const *ids, struct graph *ret, struct error *err)
{
	auto_places struct places p = {.n = 0};
	auto_buf struct buf text = {0};
	struct graph g = {0};
	struct json_doc *doc;
	int r = find_places(ids, &p, err);

	if (r == 0)
		r = run_netsetup(&p, &text, err);
	if (r < 0)
		return r;
	doc = json_parse("netsetup show", text.data ? text.data : "", text.len, err);
	if (!doc)
		return -EINVAL;
	r = json_decode(doc, json_root(doc), &graph_type, &g, "netsetup show", err);
	if (r < 0) {
		json_free(doc);
		return r;
	}
	g.doc = doc;
	name_netns(&g, &p);
	if (g.n)
		trim_host(&g);
	*ret = g;
	return 0;
}

void graph_free(struct graph *g)
{
	json_free(g->doc);
	*g = (struct graph){0};
}

/* --- questions ------------------------------------------------------------------------------------------------ */

const struct graph_link *graph_other_end(const struct graph *g, const struct graph_link *l,
					 const struct graph_netns **ret_netns)
{
	const struct graph_netns *n = l->peer ? find_netns(g, l->peer->inode) : NULL;
	const struct graph_link *other = n ? find_link(n, l->peer->name) : NULL;

	if (other)
		*ret_netns = n;
	return other;
}

const struct graph_link *graph_by_key(const struct graph *g, const char *public_key, const struct graph_netns **ret_netns)
{
	size_t i, k;

	for (i = 0; i < g->n; i++)
		for (k = 0; k < g->list[i].n_links; k++)
			if (g->list[i].links[k].wireguard &&
			    str_eq(g->list[i].links[k].wireguard->public_key, public_key)) {
				*ret_netns = &g->list[i];
				return &g->list[i].links[k];
			}
	return NULL;
}

bool graph_is_port(const struct graph_netns *n, const struct graph_link *l)
{
	return find_link(n, l->master) != NULL;
}

bool graph_is_drawn(const struct graph_route *r)
{
	return !str_eq(r->protocol, "kernel") && !(r->family == 6 && str_eq(r->dev, "lo"));
}

/* The document as it was read, with what nsrun knows. The host's is left as it is: JSON is for programs. */
void graph_json(const struct graph *g, int64_t now, struct buf *out)
{
	struct json_value *list = json_get(json_root(g->doc), "namespaces");
	size_t i;

	(void)now;
	for (i = 0; list && i < list->n; i++) {
		const struct json_value *inode = json_get(list->items[i], "inode");
		const struct graph_netns *n = inode ? find_netns(g, strtoull(inode->text, NULL, 10)) : NULL;
		if (n && n->title)
			json_set(g->doc, list->items[i], "containers", json_make_text(g->doc, n->title));
	}
	json_write(out, json_root(g->doc), 2);
	buf_putc(out, '\n');
}
