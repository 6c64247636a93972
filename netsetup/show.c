#include "show.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fs.h"
#include "netns.h"
#include "str.h"
#include "wg_genl.h"
#include "wg_uapi.h"

/* The reader of one namespace. */
struct reader {
	struct json_doc *doc;
	struct show_netns *ns;
	size_t cap;
	struct json_value *routes;
	bool failed;
};

/* In the order of IF_OPER_*. */
static const char *const states[] = {"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"};

/* From /etc/iproute2/rt_protos; those that a gateway's programs use. */
static const struct word protocols[] = {
	{"redirect", RTPROT_REDIRECT}, {"kernel", RTPROT_KERNEL}, {"boot", RTPROT_BOOT}, {"static", RTPROT_STATIC},
	{"ra", RTPROT_RA},	       {"zebra", RTPROT_ZEBRA},	  {"bird", RTPROT_BIRD}, {"dhcp", RTPROT_DHCP},
	{"babel", RTPROT_BABEL},       {0},
};

static const struct word types[] = {
	{"unreachable", RTN_UNREACHABLE}, {"blackhole", RTN_BLACKHOLE}, {"prohibit", RTN_PROHIBIT},
	{"throw", RTN_THROW},		  {0},
};

static void put_text(struct json_doc *doc, struct json_value *v, const char *key, const char *text)
{
	if (!str_empty(text))
		json_set(doc, v, key, json_make_text(doc, text));
}

static void put_number(struct json_doc *doc, struct json_value *v, const char *key, uint64_t n)
{
	json_set(doc, v, key, json_make_u64(doc, n));
}

/* --- links ---------------------------------------------------------------------------------------------------- */

static struct show_link *find_link(const struct show_netns *ns, int index)
{
	size_t i;

	for (i = 0; i < ns->n_links; i++)
		if (ns->links[i].info.index == index)
			return &ns->links[i];
	return NULL;
}

static struct json_value *counters(struct json_doc *doc, const struct link_info *l)
{
	struct json_value *v = json_make(doc, JSON_OBJECT);

	put_number(doc, v, "rxBytes", l->rx_bytes);
	put_number(doc, v, "rxPackets", l->rx_packets);
	put_number(doc, v, "txBytes", l->tx_bytes);
	put_number(doc, v, "txPackets", l->tx_packets);
	put_number(doc, v, "dropped", l->rx_dropped + l->tx_dropped);
	put_number(doc, v, "errors", l->rx_errors + l->tx_errors);
	return v;
}

static int take_link(const struct link_info *l, void *arg)
{
	struct reader *r = arg;
	struct show_netns *ns = r->ns;
	struct json_value *v = json_make(r->doc, JSON_OBJECT);
	char mac[MAC_TEXT_SIZE];

	if (ns->n_links == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct show_link *p = realloc(ns->links, cap * sizeof(*p));
		if (!p) {
			r->failed = true;
			return -ENOMEM;
		}
		ns->links = p;
		r->cap = cap;
	}
	put_number(r->doc, v, "index", (uint64_t)l->index);
	put_text(r->doc, v, "name", l->name);
	put_text(r->doc, v, "kind", l->kind);
	if (l->has_mac)
		put_text(r->doc, v, "mac", mac_text(l->mac, mac));
	put_number(r->doc, v, "mtu", l->mtu);
	json_set(r->doc, v, "up", json_make_bool(r->doc, l->flags & IFF_UP));
	put_text(r->doc, v, "state", l->operstate < ARRAY_SIZE(states) ? states[l->operstate] : "unknown");
	put_text(r->doc, v, "alias", l->alias);
	json_set(r->doc, v, "addresses", json_make(r->doc, JSON_ARRAY));
	json_set(r->doc, v, "counters", counters(r->doc, l));
	ns->links[ns->n_links++] = (struct show_link){.info = *l, .value = v};
	return 0;
}

/* Names of other links of the same namespace, once all are known. */
static void name_relatives(struct reader *r)
{
	const struct show_link *other;
	size_t i;

	for (i = 0; i < r->ns->n_links; i++) {
		struct show_link *l = &r->ns->links[i];
		other = l->info.master ? find_link(r->ns, l->info.master) : NULL;
		if (other)
			put_text(r->doc, l->value, "master", other->info.name);
		other = l->info.parent && l->info.peer_netnsid < 0 && !str_eq(l->info.kind, "veth")
				? find_link(r->ns, l->info.parent)
				: NULL;
		if (other)
			put_text(r->doc, l->value, "parent", other->info.name);
	}
}

static int take_addr(const struct addr_info *a, void *arg)
{
	struct reader *r = arg;
	struct show_link *l = find_link(r->ns, a->index);
	char text[IPADDR_TEXT_SIZE];

	if (!l)
		return 0; /* born since the links were read */
	return json_append(r->doc, (struct json_value *)json_get(l->value, "addresses"),
			   json_make_text(r->doc, ipaddr_text(&a->addr, true, text)));
}

/* --- routes --------------------------------------------------------------------------------------------------- */

/* What the kernel makes by itself for every address tells nothing. */
static bool is_noise(const struct route_req *q)
{
	static const uint8_t multicast = 0xff;

	return q->table == RT_TABLE_LOCAL || q->type == RTN_LOCAL || q->type == RTN_BROADCAST || q->type == RTN_ANYCAST ||
	       q->type == RTN_MULTICAST || (q->dst.family == AF_INET6 && q->dst.bytes[0] == multicast);
}

static int take_route(const struct route_req *q, void *arg)
{
	struct reader *r = arg;
	const struct show_link *l = q->index ? find_link(r->ns, q->index) : NULL;
	struct json_value *v;
	char text[IPADDR_TEXT_SIZE];

	if (is_noise(q))
		return 0;
	v = json_make(r->doc, JSON_OBJECT);
	put_number(r->doc, v, "family", q->dst.family == AF_INET6 ? 6 : 4);
	put_text(r->doc, v, "dst", q->dst.prefix ? ipaddr_text(&q->dst, true, text) : "default");
	if (q->via.family)
		put_text(r->doc, v, "via", ipaddr_text(&q->via, false, text));
	if (l)
		put_text(r->doc, v, "dev", l->info.name);
	if (q->src.family)
		put_text(r->doc, v, "src", ipaddr_text(&q->src, false, text));
	put_text(r->doc, v, "type", word_name(types, q->type));
	put_text(r->doc, v, "protocol", word_name(protocols, q->protocol));
	if (q->priority)
		put_number(r->doc, v, "metric", q->priority);
	if (q->table && q->table != RT_TABLE_MAIN)
		put_number(r->doc, v, "table", q->table);
	return json_append(r->doc, r->routes, v);
}

/* --- WireGuard ------------------------------------------------------------------------------------------------ */

struct daemon_search {
	struct json_doc *doc;
	const struct show_link *link;
};

static int take_daemon(const char *name, const struct wg_owner *o, void *arg, struct error *err)
{
	struct daemon_search *s = arg;
	struct wg_device d;

	(void)err;
	if (o->pidfd < 0 || !str_eq(o->mark, s->link->info.alias))
		return 0;
	if (wg_uapi_get(name, s->doc, &d, NULL) == 0)
		json_set(s->doc, s->link->value, "wireguard", wg_conf_json(s->doc, &d));
	return 1;
}

static void read_wireguard(struct reader *r)
{
	struct wg_device d;
	size_t i;

	for (i = 0; i < r->ns->n_links; i++) {
		struct show_link *l = &r->ns->links[i];
		struct daemon_search s = {.doc = r->doc, .link = l};
		if (str_eq(l->info.kind, "tun") && l->info.alias[0])
			wg_uapi_each(take_daemon, &s, NULL);
		else if (str_eq(l->info.kind, "wireguard") &&
			 wg_genl_get(r->ns->fd, l->info.name, r->doc, &d, NULL) == 0)
			json_set(r->doc, l->value, "wireguard", wg_conf_json(r->doc, &d));
	}
}

/* --- a namespace ---------------------------------------------------------------------------------------------- */

static int open_netns(const char *path, struct show_netns *n, struct error *err)
{
	struct stat st;

	n->path = path;
	n->fd = path ? netns_open(path, err) : netns_open_self(err);
	if (n->fd < 0)
		return n->fd;
	if (fstat(n->fd, &st) < 0)
		return error_sys(err, "cannot look at namespace %s", path ? path : "of this process");
	n->inode = st.st_ino;
	return rtnl_open_in(n->fd, &n->rtnl, err);
}

static int read_all(struct reader *r, struct error *err)
{
	struct show_netns *n = r->ns;
	struct json_value *links = json_make(r->doc, JSON_ARRAY);
	size_t i;
	int code = rtnl_link_list(n->rtnl, take_link, r, err);

	if (code == 0)
		code = rtnl_addr_list(n->rtnl, 0, take_addr, r, err);
	if (code == 0)
		code = rtnl_route_list(n->rtnl, AF_INET, take_route, r, err);
	if (code == 0)
		code = rtnl_route_list(n->rtnl, AF_INET6, take_route, r, err);
	if (code < 0)
		return r->failed ? error_oom(err) : code;
	name_relatives(r);
	read_wireguard(r);
	for (i = 0; i < n->n_links; i++)
		json_append(r->doc, links, n->links[i].value);
	json_set(r->doc, n->value, "links", links);
	json_set(r->doc, n->value, "routes", r->routes);
	return 0;
}

int show_netns(struct json_doc *doc, const char *path, struct show_netns *ret, struct error *err)
{
	struct reader r = {.doc = doc, .ns = ret, .routes = json_make(doc, JSON_ARRAY)};
	int code;

	*ret = (struct show_netns){.fd = -1, .value = json_make(doc, JSON_OBJECT)};
	code = open_netns(path, ret, err);
	if (code == 0) {
		put_text(doc, ret->value, "netns", path);
		put_number(doc, ret->value, "inode", ret->inode);
		code = read_all(&r, err);
	}
	if (code < 0)
		show_netns_close(ret);
	return code;
}

void show_netns_close(struct show_netns *n)
{
	rtnl_close(n->rtnl);
	n->rtnl = NULL;
	close_fd(&n->fd);
	free(n->links);
	n->links = NULL;
	n->n_links = 0;
}

/* The namespace that `from` knows by that id. */
static struct show_netns *find_netns(struct show_netns *from, int nsid, struct show_netns *list, size_t n)
{
	size_t i;
	int id;

	if (nsid < 0)
		return from;
	for (i = 0; i < n; i++)
		if (rtnl_nsid(from->rtnl, list[i].fd, &id, NULL) == 0 && id == nsid)
			return &list[i];
	return NULL;
}

int show_peers(struct json_doc *doc, struct show_netns *list, size_t n, struct error *err)
{
	size_t i, k;

	for (i = 0; i < n; i++)
		for (k = 0; k < list[i].n_links; k++) {
			struct show_link *l = &list[i].links[k];
			const struct show_netns *ns;
			const struct show_link *other;
			struct json_value *peer;

			if (!str_eq(l->info.kind, "veth") || !l->info.parent)
				continue;
			ns = find_netns(&list[i], l->info.peer_netnsid, list, n);
			other = ns ? find_link(ns, l->info.parent) : NULL;
			peer = json_make(doc, JSON_OBJECT);
			put_number(doc, peer, "index", (uint64_t)l->info.parent);
			if (other) {
				put_text(doc, peer, "netns", ns->path);
				put_number(doc, peer, "inode", ns->inode);
				put_text(doc, peer, "name", other->info.name);
			}
			if (json_set(doc, l->value, "peer", peer) < 0)
				return error_oom(err);
		}
	return 0;
}
