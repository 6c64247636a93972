/* The table of plugins, in the order in which help lists them. */
#include "netsetup.h"

#include "str.h"

const struct plugin *const plugins[] = {
	&plugin_bridge, &plugin_ptp,	  &plugin_switch,   &plugin_wireguard,	&plugin_loopback,
	&plugin_tuning, &plugin_portmap, &plugin_firewall, &plugin_host_local, &plugin_static,
	NULL,
};

const struct plugin *plugin_find(const char *type)
{
	for (const struct plugin *const *p = plugins; *p; p++)
		if (str_eq((*p)->type, type))
			return *p;
	return NULL;
}
