/* The picture for Graphviz: a cluster for each namespace, a node for each link, lines for what is plugged into what. */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "graph.h"
#include "str.h"

struct dot {
	const struct graph *g;
	struct buf *out;
};

/* Inside a quoted string of DOT only the quote is special; a backslash starts \n and \l, which names cannot hold. */
static void put_escaped(struct buf *out, const char *s)
{
	for (; s && *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *s);
	}
}

/* Namespaces are told apart by inode, links in them by index. */
static void put_node(struct buf *out, const struct graph_netns *n, const struct graph_link *l)
{
	buf_printf(out, "n%llu_%u", (unsigned long long)n->inode, l->index);
}

static const char *shape_of(const struct graph_link *l)
{
	static const struct {
		const char *kind, *style;
	} styles[] = {
		{"bridge", "shape=box3d fillcolor=\"#fff3cd\""},
		{"wireguard", "shape=component fillcolor=\"#d6ead9\""},
		{"tun", "shape=component fillcolor=\"#d6ead9\""},
		{"veth", "shape=box fillcolor=\"#dbe7f5\""},
	};
	size_t i;

	for (i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
		if (str_eq(styles[i].kind, l->kind))
			return styles[i].style;
	return "shape=box fillcolor=\"#eeeeee\"";
}

static void put_link(const struct dot *d, const struct graph_netns *n, const struct graph_link *l)
{
	size_t i;

	buf_puts(d->out, "\t\t");
	put_node(d->out, n, l);
	buf_printf(d->out, " [%s style=\"filled%s\" label=\"", shape_of(l), l->up ? "" : ",dashed");
	put_escaped(d->out, l->name);
	for (i = 0; l->addresses && l->addresses[i]; i++) {
		buf_puts(d->out, "\\n");
		put_escaped(d->out, l->addresses[i]);
	}
	buf_puts(d->out, "\"];\n");
}

static void put_routes(const struct dot *d, const struct graph_netns *n)
{
	bool any = false;
	size_t i;

	for (i = 0; i < n->n_routes; i++) {
		const struct graph_route *r = &n->routes[i];
		if (!graph_is_drawn(r))
			continue;
		if (!any)
			buf_printf(d->out, "\t\tr%llu [shape=note fontsize=9 label=\"", (unsigned long long)n->inode);
		any = true;
		if (r->type)
			buf_printf(d->out, "%s ", r->type);
		put_escaped(d->out, r->dst);
		if (r->via) {
			buf_puts(d->out, " via ");
			put_escaped(d->out, r->via);
		}
		if (r->dev) {
			buf_puts(d->out, " dev ");
			put_escaped(d->out, r->dev);
		}
		buf_puts(d->out, "\\l");
	}
	if (any)
		buf_puts(d->out, "\"];\n");
}

static void put_netns(const struct dot *d, const struct graph_netns *n)
{
	size_t i;

	buf_printf(d->out, "\tsubgraph cluster_%llu {\n\t\tstyle=rounded;\n\t\tlabel=\"", (unsigned long long)n->inode);
	put_escaped(d->out, n->title ? n->title : n->path);
	buf_puts(d->out, "\";\n");
	for (i = 0; i < n->n_links; i++)
		put_link(d, n, &n->links[i]);
	put_routes(d, n);
	buf_puts(d->out, "\t}\n");
}

static void put_edge(const struct dot *d, const struct graph_netns *n, const struct graph_link *l,
		     const struct graph_netns *other_n, const struct graph_link *other, const char *style)
{
	buf_putc(d->out, '\t');
	put_node(d->out, n, l);
	buf_puts(d->out, " -- ");
	put_node(d->out, other_n, other);
	buf_printf(d->out, "%s;\n", style);
}

/* A pair is found from both its ends and drawn from the lesser one. */
static bool is_first(const struct graph_netns *n, const struct graph_link *l, const struct graph_netns *other_n,
		     const struct graph_link *other)
{
	return n->inode != other_n->inode ? n->inode < other_n->inode : l->index <= other->index;
}

static void put_edges(const struct dot *d, const struct graph_netns *n, const struct graph_link *l)
{
	const struct graph_netns *other_n = NULL;
	const struct graph_link *other;
	size_t i;

	for (i = 0; i < n->n_links; i++)
		if (l->master && str_eq(n->links[i].name, l->master))
			put_edge(d, n, l, n, &n->links[i], "");
		else if (l->parent && str_eq(n->links[i].name, l->parent))
			put_edge(d, n, l, n, &n->links[i], " [style=dotted]");
	other = graph_other_end(d->g, l, &other_n);
	if (other && is_first(n, l, other_n, other))
		put_edge(d, n, l, other_n, other, " [penwidth=2]");
	for (i = 0; l->wireguard && i < l->wireguard->n_peers; i++) {
		other = graph_by_key(d->g, l->wireguard->peers[i].public_key, &other_n);
		if (other && is_first(n, l, other_n, other))
			put_edge(d, n, l, other_n, other, " [style=dashed color=\"#2e7d32\" label=\"WireGuard\"]");
	}
}

void graph_dot(const struct graph *g, int64_t now, struct buf *out)
{
	const struct dot d = {.g = g, .out = out};
	size_t i, k;

	(void)now;
	buf_puts(out, "graph network {\n\trankdir=LR;\n\tnode [fontname=\"sans-serif\" fontsize=10];\n");
	for (i = 0; i < g->n; i++)
		put_netns(&d, &g->list[i]);
	for (i = 0; i < g->n; i++)
		for (k = 0; k < g->list[i].n_links; k++)
			put_edges(&d, &g->list[i], &g->list[i].links[k]);
	buf_puts(out, "}\n");
}
