/* The picture as a tree of text:
 *
 *    gw-a (running)
 *    ├─ br-client   bridge     10.50.64.1/24
 *    │  └─ vethab12cd34 ── eth0 of client-a
 *    ├─ wg-peer     wireguard  fe80::a/64
 *    │  └─ 192.168.178.21:51820 ── wg-peer of gw-b, handshake 3 s ago, 1.2 KiB in, 3.4 KiB out
 *    └─ routes
 *       └─ default via fe80::b dev wg-peer (babel) */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "graph.h"
#include "str.h"

struct tree {
	const struct graph *g;
	const struct graph_netns *n;
	int64_t now;
	struct buf *out;
};

static void branch(struct buf *out, const char *indent, bool last)
{
	buf_printf(out, "%s%s ", indent, last ? "└─" : "├─");
}

static void put_amount(struct buf *out, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double n = (double)bytes;
	size_t i = 0;

	for (; n >= 1024 && i < 4; i++)
		n /= 1024;
	buf_printf(out, i ? "%.1f %s" : "%.0f %s", n, units[i]);
}

static void put_age(struct buf *out, int64_t seconds)
{
	if (seconds < 0)
		seconds = 0;
	if (seconds < 120)
		buf_printf(out, "%lld s", (long long)seconds);
	else if (seconds < 7200)
		buf_printf(out, "%lld min", (long long)seconds / 60);
	else
		buf_printf(out, "%lld h", (long long)seconds / 3600);
}

/* What every lo has, and the link-local addresses that the kernel makes up, say nothing; a tunnel's are configured. */
static bool is_noise(const struct graph_link *l, const char *address)
{
	return str_eq(address, "127.0.0.1/8") || str_eq(address, "::1/128") ||
	       (!l->wireguard && str_starts(address, "fe80:"));
}

static void put_addresses(struct buf *out, const struct graph_link *l)
{
	size_t i;

	for (i = 0; l->addresses && l->addresses[i]; i++)
		if (!is_noise(l, l->addresses[i]))
			buf_printf(out, " %s", l->addresses[i]);
}

static const char *kind_of(const struct graph_link *l)
{
	return l->wireguard ? "wireguard" : l->kind ? l->kind : "";
}

/* " ── eth0 of client-a" */
static void put_other_end(const struct tree *t, const struct graph_link *l)
{
	const struct graph_netns *n;
	const struct graph_link *other = graph_other_end(t->g, l, &n);

	if (other)
		buf_printf(t->out, " ── %s of %s", other->name, n == t->n ? "its own" : n->title);
}

static void put_wg_peer(const struct tree *t, const struct graph_wg_peer *p)
{
	const struct graph_netns *n;
	const struct graph_link *other = graph_by_key(t->g, p->public_key, &n);

	buf_printf(t->out, "%s ── ", p->endpoint ? p->endpoint : "(no endpoint)");
	if (other)
		buf_printf(t->out, "%s of %s", other->name, n->title);
	else
		buf_printf(t->out, "peer %.8s…", p->public_key);
	if (!p->latest_handshake) {
		buf_puts(t->out, ", no handshake yet");
		return;
	}
	buf_puts(t->out, ", handshake ");
	put_age(t->out, t->now - (int64_t)p->latest_handshake);
	buf_puts(t->out, " ago, ");
	put_amount(t->out, p->rx_bytes);
	buf_puts(t->out, " in, ");
	put_amount(t->out, p->tx_bytes);
	buf_puts(t->out, " out");
}

static void put_ports(const struct tree *t, const struct graph_link *bridge, const char *indent)
{
	size_t i, left = 0;

	for (i = 0; i < t->n->n_links; i++)
		left += str_eq(t->n->links[i].master, bridge->name);
	for (i = 0; i < t->n->n_links; i++) {
		const struct graph_link *l = &t->n->links[i];
		if (!str_eq(l->master, bridge->name))
			continue;
		branch(t->out, indent, --left == 0);
		buf_puts(t->out, l->name);
		put_other_end(t, l);
		put_addresses(t->out, l);
		buf_puts(t->out, l->up ? "\n" : " (down)\n");
	}
}

static void put_link(const struct tree *t, const struct graph_link *l, int width, bool last)
{
	const char *indent = last ? "   " : "│  ";
	size_t i;

	branch(t->out, "", last);
	buf_printf(t->out, "%-*s %-9s", width, l->name, kind_of(l));
	put_addresses(t->out, l);
	if (l->mtu != 1500 && l->mtu < 65536)
		buf_printf(t->out, " mtu %u", l->mtu);
	put_other_end(t, l);
	if (l->parent)
		buf_printf(t->out, " on %s", l->parent);
	buf_puts(t->out, l->up ? "\n" : " (down)\n");
	put_ports(t, l, indent);
	for (i = 0; l->wireguard && i < l->wireguard->n_peers; i++) {
		branch(t->out, indent, i + 1 == l->wireguard->n_peers);
		put_wg_peer(t, &l->wireguard->peers[i]);
		buf_putc(t->out, '\n');
	}
}

static void put_route(struct buf *out, const struct graph_route *r)
{
	if (r->type)
		buf_printf(out, "%s ", r->type);
	buf_puts(out, r->family == 6 && str_eq(r->dst, "default") ? "default (v6)" : r->dst);
	if (r->via)
		buf_printf(out, " via %s", r->via);
	if (r->dev)
		buf_printf(out, " dev %s", r->dev);
	if (r->table)
		buf_printf(out, " table %u", r->table);
	if (r->protocol && !str_eq(r->protocol, "boot"))
		buf_printf(out, " (%s)", r->protocol);
	buf_putc(out, '\n');
}

static void put_routes(const struct tree *t, size_t n)
{
	size_t i;

	branch(t->out, "", true);
	buf_puts(t->out, "routes\n");
	for (i = 0; i < t->n->n_routes; i++)
		if (graph_is_drawn(&t->n->routes[i])) {
			branch(t->out, "   ", --n == 0);
			put_route(t->out, &t->n->routes[i]);
		}
}

/* lo is worth a line only when it carries more than what every namespace has. */
static bool is_drawn(const struct graph_netns *n, const struct graph_link *l)
{
	size_t i;

	if (!str_eq(l->name, "lo"))
		return !graph_is_port(n, l);
	for (i = 0; l->addresses && l->addresses[i]; i++)
		if (!is_noise(l, l->addresses[i]))
			return true;
	return false;
}

static void put_netns(const struct tree *t)
{
	const struct graph_netns *n = t->n;
	size_t i, links = 0, routes = 0;
	int width = 0;

	buf_puts(t->out, n->title ? n->title : n->path);
	if (!str_empty(n->status))
		buf_printf(t->out, " (%s)", n->status);
	buf_putc(t->out, '\n');
	for (i = 0; i < n->n_routes; i++)
		routes += graph_is_drawn(&n->routes[i]);
	for (i = 0; i < n->n_links; i++)
		if (is_drawn(n, &n->links[i])) {
			int len = (int)strlen(n->links[i].name);
			width = len > width ? len : width;
			links++;
		}
	for (i = 0; i < n->n_links; i++)
		if (is_drawn(n, &n->links[i]))
			put_link(t, &n->links[i], width, --links == 0 && routes == 0);
	if (routes)
		put_routes(t, routes);
}

void graph_tree(const struct graph *g, int64_t now, struct buf *out)
{
	struct tree t = {.g = g, .now = now, .out = out};
	size_t i;

	for (i = 0; i < g->n; i++) {
		if (i)
			buf_putc(out, '\n');
		t.n = &g->list[i];
		put_netns(&t);
	}
}
