/* portmap: ports of the host that lead to the container (capability portMappings). The rules: nft_portmap.c. */
#include "portmap.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "conntrack.h"
#include "iface.h"
#include "nft.h"
#include "str.h"

/* --- configuration -------------------------------------------------------------------------------------------- */

enum backend { BACKEND_NFTABLES, BACKEND_IPTABLES };
/* Whatever the word, it is done in our own table. */
static const struct word backends[] = {
	{"", BACKEND_NFTABLES}, {"nftables", BACKEND_NFTABLES}, {"iptables", BACKEND_IPTABLES}, {NULL, 0}};

struct conf {
	bool snat, has_snat, masq_all, has_mark_bit;
	int backend;
	int32_t mark_bit;
};

static const char conditions_why[] =
	"extra match conditions are not supported; restrict the mapping by its hostIP, or filter in an own nftables table";

static const struct json_field fields[] = {
	F_BOOL_HAS(struct conf, "snat", snat, has_snat, JSON_FOLD),
	F_BOOL(struct conf, "masqAll", masq_all, JSON_FOLD),
	F_I32_HAS(struct conf, "markMasqBit", mark_bit, has_mark_bit, JSON_FOLD),
	F_WORD(struct conf, "backend", backend, backends, JSON_FOLD),
	F_REFUSED("conditionsV4", conditions_why),
	F_REFUSED("conditionsV6", conditions_why),
	F_REFUSED("externalSetMarkChain",
		  "masquerading is done in the own nftables table, without marks and other programs' chains; "
		  "leave the key out"),
	F_END,
};
static JSON_TYPE(conf_type, struct conf, fields);

static const struct json_field mapping_fields[] = {
	F_U32(struct cni_port_mapping, "hostPort", host_port, JSON_FOLD),
	F_U32(struct cni_port_mapping, "containerPort", container_port, JSON_FOLD),
	F_STRING(struct cni_port_mapping, "protocol", protocol, JSON_FOLD),
	F_STRING(struct cni_port_mapping, "hostIP", host_ip, JSON_FOLD),
	F_END,
};
static JSON_TYPE(mapping_type, struct cni_port_mapping, mapping_fields);

struct runtime {
	struct cni_port_mapping *v;
	size_t n;
};
static const struct json_field runtime_fields[] = {
	F_LIST(struct runtime, "portMappings", v, n, &mapping_type, JSON_FOLD),
	F_END,
};
static JSON_TYPE(runtime_type, struct runtime, runtime_fields);

/* --- what a mapping means ------------------------------------------------------------------------------------- */

static const struct word protocols[] = {
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{"sctp", IPPROTO_SCTP},
	{NULL, 0},
};

int portmap_protocol(const char *name)
{
	for (const struct word *w = protocols; w->word; w++)
		if (strcasecmp(w->word, name) == 0)
			return w->value;
	return -1;
}

const char *portmap_protocol_name(int protocol)
{
	return word_name(protocols, protocol);
}

int portmap_host_ip(const struct cni_port_mapping *m, struct ipaddr *ret, struct error *err)
{
	struct ipaddr a = {0};

	if (!str_empty(m->host_ip) && (strchr(m->host_ip, '/') || ipaddr_parse(m->host_ip, &a) < 0))
		return error_set(err, CNI_INVALID_CONFIG, "portMappings: hostIP '%s' is not an IP address",
				 m->host_ip);
	*ret = a;
	return 0;
}

int portmap_container(const struct cni_result *r, struct ipaddr ret[2], struct error *err)
{
	memset(ret, 0, 2 * sizeof(*ret));
	for (size_t i = 0; i < r->n_ips; i++) {
		const struct cni_ip *ip = &r->ips[i];
		struct ipaddr a;

		if (ip->has_interface && ip->interface >= 0 && (size_t)ip->interface < r->n_interfaces &&
		    str_empty(r->interfaces[ip->interface].sandbox))
			continue; /* an address of the host's side */
		if (ipaddr_parse(ip->address, &a) < 0)
			return error_set(err, CNI_DECODE, "prevResult: '%s' is not an IP address", ip->address);
		if (ret[a.family == AF_INET6].family == 0)
			ret[a.family == AF_INET6] = a;
	}
	return 0;
}

static int check_mapping(struct cni_port_mapping *m, size_t i, struct error *err)
{
	struct ipaddr host;

	if (str_empty(m->protocol))
		m->protocol = "tcp";
	if (portmap_protocol(m->protocol) < 0)
		return error_set(err, CNI_INVALID_CONFIG,
				 "portMappings[%zu].protocol: '%s' is none of tcp, udp, sctp", i, m->protocol);
	if (m->host_port < 1 || m->host_port > 65535)
		return error_set(err, CNI_INVALID_CONFIG, "portMappings[%zu].hostPort: %u is not a port (1 to 65535)",
				 i, m->host_port);
	if (m->container_port < 1 || m->container_port > 65535)
		return error_set(err, CNI_INVALID_CONFIG,
				 "portMappings[%zu].containerPort: %u is not a port (1 to 65535)", i,
				 m->container_port);
	return portmap_host_ip(m, &host, err);
}

static int load(const struct cni_conf *conf, struct conf *ret, struct runtime *ret_runtime, struct error *err)
{
	int code = json_decode(conf->doc, conf->raw, &conf_type, ret, "portmap", err);

	memset(ret_runtime, 0, sizeof(*ret_runtime));
	if (code < 0)
		return conf_decode_error(code, err);
	if (ret->has_mark_bit && (ret->mark_bit < 0 || ret->mark_bit > 31))
		return error_set(err, CNI_INVALID_CONFIG, "portmap: markMasqBit: %d is not a bit's number (0 to 31)",
				 ret->mark_bit);
	if (!conf->runtime_config)
		return 0;
	code = json_decode(conf->doc, conf->runtime_config, &runtime_type, ret_runtime, "runtimeConfig", err);
	if (code < 0)
		return conf_decode_error(code, err);
	for (size_t i = 0; code == 0 && i < ret_runtime->n; i++)
		code = check_mapping(&ret_runtime->v[i], i, err);
	return code;
}

/* --- what else there is to do --------------------------------------------------------------------------------- */

/* Lets connections from 127.0.0.1 leave through the interface behind which the container is. What comes in for
 * 127.0.0.0/8 from the wire then, chain portmap-guard drops. */
static int enable_localnet(struct cni_call *call, const struct ipaddr *container, struct error *err)
{
	char key[64 + IFNAMSIZ];
	struct link_info link;
	struct rtnl *host;
	int index = 0, code = call_host(call, &host, err);

	if (code == 0)
		code = rtnl_route_get(host, container, &index, err);
	if (code == 0)
		code = rtnl_link_get_index(host, index, &link, err);
	if (code < 0)
		return error_wrap(err, "cannot let 127.0.0.1 reach the container");
	snprintf(key, sizeof(key), "net/ipv4/conf/%s/route_localnet", link.name);
	return iface_sysctl(call, false, key, "1", err);
}

/* The UDP port maps, as they stand in the table: right also when nothing else is known of the container any more. */
struct udp_maps {
	struct nft_port *v;
	size_t n, cap;
};

static int collect(const struct nft_port *port, void *arg)
{
	struct udp_maps *m = arg;

	if (port->proto != IPPROTO_UDP)
		return 0;
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 8;
		struct nft_port *more = realloc(m->v, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		m->v = more;
		m->cap = cap;
	}
	m->v[m->n++] = *port;
	return 0;
}

static bool has_udp(const struct runtime *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (portmap_protocol(r->v[i].protocol) == IPPROTO_UDP)
			return true;
	return false;
}

static int flush_new(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct udp_maps m = {0};
	int code = nft_portmap_list(call, conf, collect, &m, err);

	if (code == 0)
		code = conntrack_flush(call->host_fd, m.v, m.n, CONNTRACK_NEW, err);
	free(m.v);
	return code;
}

/* --- the plugin ----------------------------------------------------------------------------------------------- */

static int portmap_del(struct cni_call *call, struct cni_conf *conf, struct error *err);

/* The maps first, then the sysctl and the flows: whatever fails, del takes the maps back. */
static int portmap_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct ipaddr container[2] = {0};
	struct runtime r;
	struct conf c;
	bool snat;
	int code = load(conf, &c, &r, err);

	if (code < 0)
		return code;
	if (!conf->has_prev_result)
		return error_set(
			err, CNI_INVALID_CONFIG,
			"portmap needs a prevResult: it stands in a list, after the plugin that makes the interface");
	if (r.n == 0)
		return 0;
	snat = c.has_snat ? c.snat : true;
	code = portmap_container(result, container, err);
	if (code == 0)
		code = nft_portmap_add(call, conf, r.v, r.n, result,
				       (snat ? NFT_SNAT : 0) | (snat && c.masq_all ? NFT_SNAT_ALL : 0), err);
	if (code < 0)
		return code;
	if (snat && container[0].family)
		code = enable_localnet(call, &container[0], err);
	if (code == 0 && has_udp(&r))
		code = flush_new(call, conf, err);
	if (code < 0)
		portmap_del(call, conf, NULL);
	return code;
}

/* The flows after the maps: one more packet between the two would find the old way again. */
static int portmap_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct udp_maps m = {0};
	int code = nft_portmap_list(call, conf, collect, &m, err);

	if (code == 0)
		code = nft_del(call, conf, NFT_PORTMAP, err);
	if (code == 0 && m.n)
		code = conntrack_flush(call->host_fd, m.v, m.n, CONNTRACK_OLD, err);
	free(m.v);
	return code;
}

static int portmap_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct runtime r;
	struct conf c;
	int code = load(conf, &c, &r, err);

	if (code < 0 || r.n == 0)
		return code;
	return nft_check(call, conf, NFT_PORTMAP, err);
}

static int portmap_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return nft_gc(call, conf, NFT_PORTMAP, err);
}

const struct plugin plugin_portmap = {
	.type = "portmap",
	.add = portmap_add,
	.del = portmap_del,
	.check = portmap_check,
	.gc = portmap_gc,
};
