/* Forgetting connections (ctnetlink). A UDP flow that is going on keeps what was decided for its first packet: when
 * port maps come or go, it would lead past a new container, or to one that is no more, for as long as it goes on. */
#ifndef CONNTRACK_H
#define CONNTRACK_H

#include "nft.h"

enum conntrack_when {
	CONNTRACK_NEW, /* a map has come: flows to the host's own addresses at that port that lead elsewhere */
	CONNTRACK_OLD, /* a map has gone: flows that lead to its container */
};

/* Deletes the UDP flows of these port maps in the namespace, by one pass over the table. Maps of other protocols
 * are passed over. A kernel without conntrack has none: success. */
int conntrack_flush(int netns_fd, const struct nft_port *ports, size_t n, enum conntrack_when when,
		    struct error *err);

#endif
