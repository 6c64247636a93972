/* bridge: what gc needs besides the plugin. */
#ifndef BRIDGE_H
#define BRIDGE_H

#include "netsetup.h"

/* The alias of bridges that the plugin has made, so that gc may take those without ports. */
#define BRIDGE_MARK "nsrun:bridge"

/* Deletes bridges that the plugin has made and that have no ports. */
int bridge_gc_empty(struct cni_call *call, struct cni_conf *conf, struct error *err);

#endif
