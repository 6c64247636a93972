/* What a port map means, shared by the plugin and the table. */
#ifndef PORTMAP_H
#define PORTMAP_H

#include "netsetup.h"

/* IPPROTO_TCP of "tcp" (any case), or -1; and back, or NULL. */
int portmap_protocol(const char *name);
const char *portmap_protocol_name(int protocol);

/* The host address that the mapping asks for; family 0: any. */
int portmap_host_ip(const struct cni_port_mapping *m, struct ipaddr *ret, struct error *err);

/* The container's first IPv4 ([0]) and first IPv6 ([1]) address; family 0: none. */
int portmap_container(const struct cni_result *r, struct ipaddr ret[2], struct error *err);

#endif
