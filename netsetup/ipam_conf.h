/* What the IPAM plugins' configurations have in common. */
#ifndef IPAM_CONF_H
#define IPAM_CONF_H

#include "netsetup.h"

struct ipam_addrs {
	struct ipaddr *v;
	size_t n;
	bool given; /* somebody asked, be it for nothing */
};

/* The `routes` key's element; ipam_routes_check() says what is wrong with them. */
extern const struct json_type ipam_route_type;
int ipam_routes_check(const struct cni_route *routes, size_t n, const char *where, struct error *err);

/* The addresses in runtimeConfig.ips, and in args.cni.ips. */
int ipam_runtime_ips(const struct cni_conf *conf, struct ipam_addrs *ret, struct error *err);
int ipam_args_ips(const struct cni_conf *conf, struct ipam_addrs *ret, struct error *err);
/* A key of CNI_ARGS: one address, or several with commas between. */
int ipam_env_ips(const struct cni_call *call, const struct cni_conf *conf, const char *key, struct ipam_addrs *ret,
		 struct error *err);
/* Appends, in the document's memory. */
int ipam_addrs_add(struct json_doc *doc, struct ipam_addrs *to, const struct ipaddr *a);

/* Adds an address (with its prefix) and a gateway (family 0: none) to a result. */
int ipam_result_ip(struct json_doc *doc, struct cni_result *r, const struct ipaddr *a, const struct ipaddr *gateway);
/* nameserver, domain, search and options of a file in resolv.conf(5)'s format. */
int ipam_resolv_conf(struct json_doc *doc, const char *path, struct cni_dns *ret, struct error *err);

#endif
