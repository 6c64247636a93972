/* bridge: what gc needs besides the plugin. */
#ifndef BRIDGE_H
#define BRIDGE_H

#include "netsetup.h"

/* The alias of bridges that the plugin has made, so that gc may take those without ports. */
#define BRIDGE_MARK "nsrun:bridge"

/* Releases uplinks without attachments, then deletes bridges that the plugin has made and that have no ports. */
int bridge_gc_empty(struct cni_call *call, struct cni_conf *conf, struct error *err);

/* uplink.c: a NIC of the host as a port of the bridge, as long as attachments are (key `uplink`). add is called when the
 * attachment's own port is there; it changes nothing when the NIC is a port of this bridge already, and refuses one with
 * addresses or with another master. */
int uplink_add(struct rtnl *host, const struct link_info *bridge, const char *name, struct error *err);
int uplink_check(struct rtnl *host, const struct link_info *bridge, const char *name, struct error *err);
/* Releases those whose bridge has no attachment's port any more: they are what they were before. */
int uplink_release_unused(struct rtnl *host, struct error *err);

#endif
