/* The veth pair between the host side and the container, for bridge and ptp. The host's end has a name that follows from
 * the attachment, and the owner's mark as its alias, so that it is found again without any record. */
#ifndef VETH_H
#define VETH_H

#include "netsetup.h"

struct veth_want {
	uint32_t mtu;
	const uint8_t *mac; /* of the container's end; NULL: random */
	int master;	    /* of the host's end; 0: none */
	bool port;	    /* a bridge's port: no addresses of its own */
	bool hairpin, isolated;
};

struct veth {
	struct link_info host;
	int container_index;
	uint8_t container_mac[6];
};

/* Makes the pair; the host's end is up. An interface of that name in the container is an error, after which nothing is
 * changed. */
int veth_add(struct cni_call *call, struct cni_conf *conf, const struct veth_want *want, struct veth *ret,
	     struct error *err);
/* Deletes it. Nothing there is success. */
int veth_del(struct cni_call *call, struct cni_conf *conf, struct error *err);
/* The host's end is there (in that master, if not 0). */
int veth_check(struct cni_call *call, struct cni_conf *conf, int master, struct error *err);
/* Deletes host ends whose attachment is not in the valid list. */
int veth_gc(struct cni_call *call, struct cni_conf *conf, struct error *err);
/* Both ends' entries of a result. */
int veth_result(struct cni_call *call, struct cni_conf *conf, const struct veth *v, struct cni_result *r,
		struct error *err);

#endif
