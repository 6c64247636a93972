/* What all of netsetup shares: the call (CNI's environment), the configuration of one plugin, the result, and the
 * table of plugins. CNI specification 1.1.0; what we do beyond it: specs/cni.md. */
#ifndef NETSETUP_H
#define NETSETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "json.h"
#include "rtnl.h"

/* CNI error codes (section "Error"), as struct error codes. */
enum cni_code {
	CNI_INCOMPATIBLE_VERSION = ERROR_OWN + 1,
	CNI_UNSUPPORTED_FIELD = ERROR_OWN + 2,
	CNI_UNKNOWN_CONTAINER = ERROR_OWN + 3,
	CNI_INVALID_ENVIRONMENT = ERROR_OWN + 4,
	CNI_IO = ERROR_OWN + 5,
	CNI_DECODE = ERROR_OWN + 6,
	CNI_INVALID_CONFIG = ERROR_OWN + 7,
	CNI_INVALID_NETNS = ERROR_OWN + 8,
	CNI_TRY_AGAIN = ERROR_OWN + 11,
	CNI_NOT_AVAILABLE = ERROR_OWN + 50,
	CNI_NOT_AVAILABLE_LIMITED = ERROR_OWN + 51,
	CNI_INTERNAL = ERROR_OWN + 999,
	CNI_PLUGIN = ERROR_OWN + 100, /* first code of the plugins' own */
};

enum cni_command { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_GC, CNI_STATUS, CNI_VERSION };

/* One invocation of one plugin. */
struct cni_call {
	enum cni_command command;
	const char *container_id, *netns, *ifname, *path;
	struct json_map args; /* CNI_ARGS, K=V;K=V */
	int netns_fd;	      /* the container's; -1: gone, or not given (DEL) */
	int own_fd;	      /* the caller's own */
	int host_fd;	      /* where the host side lives: own_fd, or the configuration's hostNetns; -1: gone (DEL) */
	char *host_netns;     /* the hostNetns that host_fd is of; NULL: own_fd */
	bool netns_override;  /* CNI_NETNS_OVERRIDE: the container's namespace may be the caller's own */
	struct rtnl *host, *container; /* sockets in both, opened on demand by call_host() and call_container() */
};

struct cni_route {
	const char *dst, *gw;
	uint32_t mtu, advmss, priority, table;
	int32_t scope;
	bool has_table, has_scope, has_priority;
};

struct cni_dns {
	char **nameservers, **search, **options;
	const char *domain;
};

/* A result, in the newest version's terms; result.c converts. */
struct cni_interface {
	const char *name, *mac, *sandbox, *socket_path, *pci_id;
	uint32_t mtu;
};
struct cni_ip {
	const char *address, *gateway;
	int32_t interface;
	bool has_interface;
};
struct cni_result {
	struct cni_interface *interfaces;
	size_t n_interfaces;
	struct cni_ip *ips;
	size_t n_ips;
	struct cni_route *routes;
	size_t n_routes;
	struct cni_dns dns;
};

struct cni_port_mapping {
	uint32_t host_port, container_port;
	const char *protocol, *host_ip;
};

/* The parts of a plugin's configuration that are the same for all. Each plugin decodes its own keys from `raw` by its
 * own field table. */
struct cni_conf {
	const char *cni_version, *name, *type;
	const char *host_netns;	      /* ours: name or path of the namespace in which the host side lives */
	bool has_prev_result;
	struct cni_result prev_result; /* in the newest version's terms */
	const struct json_value *ipam;
	const struct json_value *runtime_config, *args_cni;
	const struct json_value *valid_attachments; /* GC: cni.dev/valid-attachments */
	struct cni_dns dns;
	bool has_dns;
	struct json_value *raw;
	struct json_doc *doc;
};

/* GC with conf->name NULL (netsetup gc) is for every network; the valid list's entries then have "network", too. */

/* A plugin. A NULL member is success without work. Every del must succeed, silently, when what it removes is gone,
 * when the namespace is gone, and when there is no prevResult: rollback of a failed add IS del. */
struct plugin {
	const char *type;
	int (*add)(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err);
	int (*del)(struct cni_call *call, struct cni_conf *conf, struct error *err);
	int (*check)(struct cni_call *call, struct cni_conf *conf, struct error *err);
	int (*status)(struct cni_call *call, struct cni_conf *conf, struct error *err);
	int (*gc)(struct cni_call *call, struct cni_conf *conf, struct error *err);
	bool is_ipam;
};
/* plugins.c: the table. */
extern const struct plugin *const plugins[];
const struct plugin *plugin_find(const char *type);

extern const struct plugin plugin_bridge, plugin_ptp, plugin_loopback, plugin_switch, plugin_tuning, plugin_portmap,
	plugin_firewall, plugin_wireguard, plugin_host_local, plugin_static;

/* call.c. A call starts as CALL_INIT. call_open() opens the namespaces that command and configuration need (plugin_run()
 * does it); what is gone is an error for ADD and CHECK, and -1 for the others. The sockets are opened once, on demand:
 * -ENOENT when their namespace is gone. call_close() closes all of it. */
#define CALL_INIT {.netns_fd = -1, .own_fd = -1, .host_fd = -1}
int call_open(struct cni_call *c, const struct cni_conf *conf, struct error *err);
int call_host(struct cni_call *c, struct rtnl **ret, struct error *err);
int call_container(struct cni_call *c, struct rtnl **ret, struct error *err);
void call_close(struct cni_call *c);
/* Fills the call from CNI_* in the environment; strings are borrowed from there. CNI code 4 for what is wrong. */
int call_from_env(struct json_doc *doc, struct cni_call *c, struct error *err);
/* CNI_ARGS; unknown keys are an error unless IgnoreUnknown. */
int call_parse_args(struct json_doc *doc, struct cni_call *c, const char *text, struct error *err);
/* Where state lives: $NETSETUP_ROOT, or /run/netsetup. */
const char *call_root(void);
/* The value of a key of CNI_ARGS, or NULL. */
const char *call_arg(const struct cni_call *c, const char *key);
const char *call_command_name(enum cni_command command);
/* Container ids and network names; interface names. */
bool call_id_valid(const char *s);
bool call_ifname_valid(const char *s);
/* The owner mark of one attachment ("nsrun:<netname>/<containerID>/<ifname>"), for link aliases and nft elements. */
enum { CALL_OWNER_SIZE = 256 };
const char *call_owner(const struct cni_call *c, const struct cni_conf *conf, char out[CALL_OWNER_SIZE]);
/* The parts of an owner's mark; false when it is none. Borrows nothing. */
struct owner {
	char network[CALL_OWNER_SIZE], container_id[CALL_OWNER_SIZE], ifname[IFNAMSIZ];
};
bool call_owner_split(const char *mark, struct owner *ret);
/* A name of 15 characters at most that follows from prefix, network, id and ifname (hash): the host's end of a veth. */
void call_link_name(const struct cni_call *c, const struct cni_conf *conf, const char *prefix, char out[IFNAMSIZ]);

/* conf.c */
int conf_load(struct json_doc *doc, struct json_value *raw, struct cni_conf *ret, struct error *err);
bool conf_version_supported(const char *v);
int conf_version_rank(const char *v); /* its place among the supported ones, oldest 0; -1: not supported */
bool conf_version_before(const struct cni_conf *conf, const char *v);
const char *const *conf_versions(size_t *ret_n); /* oldest first */
/* Makes json_decode()'s -EINVAL CNI's code 6; returns the negative code. */
int conf_decode_error(int code, struct error *err);
extern const struct json_type conf_dns_type;

/* The attachment (container ID, interface name) is in conf's valid list (GC). */
bool conf_attachment_valid(const struct cni_conf *conf, const char *container_id, const char *ifname);

/* result.c. Decode from any version (`version` may be NULL: found in it), write in any version. */
int result_decode(struct json_doc *doc, const struct json_value *v, const char *version, struct cni_result *ret,
		  struct error *err);
struct json_value *result_encode(struct json_doc *doc, const struct cni_result *r, const char *version, struct error *err);
int result_add_interface(struct json_doc *doc, struct cni_result *r, const struct cni_interface *i);
int result_add_ip(struct json_doc *doc, struct cni_result *r, const struct cni_ip *ip);
int result_add_route(struct json_doc *doc, struct cni_result *r, const struct cni_route *route);
/* Appends all of `more`; its interface numbers are shifted. Its dns counts if r has none. */
int result_append(struct json_doc *doc, struct cni_result *r, const struct cni_result *more);

/* ipam.c: calls the plugin named in conf->ipam, one of ours in process or another's by delegation. Fills ips, routes,
 * dns of *result. No ipam: nothing, success. */
int ipam_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err);
int ipam_del(struct cni_call *call, struct cni_conf *conf, struct error *err);
int ipam_check(struct cni_call *call, struct cni_conf *conf, struct error *err);
int ipam_gc(struct cni_call *call, struct cni_conf *conf, struct error *err);
int ipam_status(struct cni_call *call, struct cni_conf *conf, struct error *err);

/* iface.c: what bridge, ptp and their kind do with IPAM's answer inside the container: addresses (no DAD on what is
 * ours), link up, routes (all keys of 1.1.0), and its check. */
int iface_configure(struct cni_call *call, const char *ifname, const struct cni_result *r, struct error *err);
int iface_check(struct cni_call *call, const struct cni_conf *conf, const char *kind, struct error *err);
/* Writes /proc/sys/net/... in the host's or the container's namespace; a dot inside an interface name is written '/'. */
int iface_sysctl(struct cni_call *call, bool in_container, const char *key, const char *value, struct error *err);

/* plugin_run.c: one plugin in this process: what a CNI invocation does after reading: version check, call_open(), the
 * plugin's function. *result is prevResult's content when a plugin's add starts (empty for IPAM), so that a chained plugin
 * passes it on by doing nothing; conf->doc owns what comes out. A failed add has undone itself. */
int plugin_run(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct json_value **ret_result,
	       struct error *err);

#endif
