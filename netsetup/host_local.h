/* host-local's configuration, understood. Pure: reads no file, asks nobody. */
#ifndef HOST_LOCAL_H
#define HOST_LOCAL_H

#include "ipam_conf.h"

/* Addresses start to end of a subnet; the gateway (family 0: none) is not given to containers. */
struct host_local_range {
	struct ipaddr subnet, start, end, gateway;
};

/* A container gets one address from each set; all ranges of a set are of one family. */
struct host_local_set {
	struct host_local_range *v;
	size_t n;
};

struct host_local_conf {
	struct host_local_set *sets;
	size_t n;
	const char *data_dir, *resolv_conf;
	struct cni_route *routes;
	size_t n_routes;
	struct ipam_addrs requested;
};

/* Decodes and checks it: subnets, ranges within them, nothing twice. CNI codes 6 and 7 for what is wrong. */
int host_local_load(const struct cni_call *call, const struct cni_conf *conf, struct host_local_conf *ret,
		    struct error *err);

/* The range that has the address, or NULL. */
const struct host_local_range *host_local_find(const struct host_local_set *set, const struct ipaddr *a);
/* The address after a in its set, from the end on to the beginning; passes over gateways no more than over others. */
struct ipaddr host_local_next(const struct host_local_set *set, const struct ipaddr *a);
/* "10.1.0.0/24, fd00::/64", for messages. */
enum { HOST_LOCAL_TEXT_SIZE = 256 };
const char *host_local_set_text(const struct host_local_set *set, char out[HOST_LOCAL_TEXT_SIZE]);

#endif
