/* Our one nftables table, `inet netsetup`, by libnftnl over one nfnetlink socket: one transaction an operation, elements in
 * sets and maps, never a rule for a container, never a listing of the ruleset. Table, chains, sets and base rules are created idempotently
 * by every transaction that adds, so a flushed ruleset heals. Elements carry their owner, so that they can be taken back without
 * knowing the addresses. Works in the namespace of call->host_fd. */
#ifndef NFT_H
#define NFT_H

#include "netsetup.h"

/* Masquerades traffic of these addresses that leaves their own network (result's ips). */
int nft_masq_add(struct cni_call *call, struct cni_conf *conf, const struct cni_result *r, struct error *err);
/* Port maps to the container's addresses. */
int nft_portmap_add(struct cni_call *call, struct cni_conf *conf, const struct cni_port_mapping *m, size_t n,
		    const struct cni_result *r, bool snat, struct error *err);
/* Accepts forwarding from and to the addresses, by ingressPolicy. */
int nft_firewall_add(struct cni_call *call, struct cni_conf *conf, const struct cni_result *r, const char *policy,
		     struct error *err);
enum nft_what { NFT_MASQ = 1, NFT_PORTMAP = 2, NFT_FIREWALL = 4 };
/* Takes back what the owner (this attachment) has of these kinds; nothing there is success. */
int nft_del(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err);
/* -ENOENT (as a CNI error) when what add made is not there. */
int nft_check(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err);
/* Takes back everything whose attachment is not in the valid list. */
int nft_gc(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err);

#endif
