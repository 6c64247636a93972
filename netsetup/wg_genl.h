/* WireGuard in the kernel, by generic netlink (linux/wireguard.h). */
#ifndef WG_GENL_H
#define WG_GENL_H

#include "wg_conf.h"

/* Configures, or reads, the device `ifname` of the namespace netns_fd. */
int wg_genl_set(int netns_fd, const char *ifname, const struct wg_device *d, struct error *err);
int wg_genl_get(int netns_fd, const char *ifname, struct json_doc *doc, struct wg_device *ret, struct error *err);

#endif
