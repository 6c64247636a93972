/* An interface inside the container: what bridge, ptp, switch and loopback have in common beyond netsetup.h. */
#ifndef IFACE_H
#define IFACE_H

#include "netsetup.h"

struct iface_how {
	int index;	   /* 0: looked up by the name */
	bool dad;	   /* leave duplicate address detection of IPv6 addresses on */
	bool gateway_only; /* ptp: the subnet is not on the link but behind the gateway */
	bool quiet;	   /* no gratuitous ARP (lo) */
};
int iface_setup(struct cni_call *call, const char *ifname, const struct iface_how *how, const struct cni_result *r,
		struct error *err);
/* Lets the namespace of the host side forward the families that the result has addresses of. */
int iface_forward(struct cni_call *call, const struct cni_result *r, struct error *err);
/* Gives addresses that IPAM made the number of their interface in the result. */
void iface_number_ips(struct cni_result *r, int32_t interface);
/* A MAC address for the container's end that was asked for: runtimeConfig.mac, args.cni.mac, CNI_ARGS MAC, conf_mac, in
 * this order. 1: *mac is set, 0: none, or a CNI code. */
int iface_wanted_mac(const struct cni_call *call, const struct cni_conf *conf, const char *conf_mac, uint8_t mac[6],
		     struct error *err);
/* The file of a sysctl's name; refuses what would lead out of /proc/sys. */
enum { IFACE_SYSCTL_SIZE = 192 };
int iface_sysctl_path(const char *key, char out[IFACE_SYSCTL_SIZE], struct error *err);
/* Keeps router advertisements from configuring an interface of the host side (CVE-2020-10749). */
int iface_refuse_ra(struct cni_call *call, const char *ifname, struct error *err);
/* With IPv6: the host's device does not look for a second holder of its own link-local address, from which it asks for
 * neighbours; for a second it could not ask. To be called before the device has a carrier. */
int iface_skip_dad(struct cni_call *call, const char *ifname, const struct cni_result *r, struct error *err);
/* Deletes links of the kind whose owner's mark names no valid attachment of the network (of any, if conf names none). */
int iface_gc(struct rtnl *r, const struct cni_conf *conf, const char *kind, struct error *err);
/* The result's text for a MAC, owned by doc. */
const char *iface_mac_text(struct json_doc *doc, const uint8_t mac[6]);

#endif
