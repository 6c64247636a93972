/* Our one nftables table, `inet netsetup`, by libnftnl over one nfnetlink socket: one transaction an operation,
 * elements in sets and maps, never a rule for a container, never a listing of the ruleset. Table, chains, sets and
 * base rules are made by whoever finds them missing, so a flushed ruleset heals. Elements carry their owner, and
 * each owner has an entry that lists its elements, so that they can be taken back without knowing the addresses and
 * without looking at others'. Works in the namespace of call->host_fd. The layout: specs/nftables.md. */
#ifndef NFT_H
#define NFT_H

#include "netsetup.h"

enum nft_what { NFT_MASQ = 1, NFT_PORTMAP = 2, NFT_FIREWALL = 4 };
enum { NFT_ALL = NFT_MASQ | NFT_PORTMAP | NFT_FIREWALL };

/* Masquerades traffic of these addresses that leaves their own network (result's ips). */
int nft_masq_add(struct cni_call *call, struct cni_conf *conf, const struct cni_result *r, struct error *err);

/* Port maps to the container's first IPv4 and first IPv6 address. The mappings must be valid (portmap.c); a host
 * port that another attachment has is an error with its name. */
enum nft_portmap_flag {
	NFT_SNAT = 1,	  /* connections from the host's own 127.0.0.0/8 and from the container's network work too */
	NFT_SNAT_ALL = 2, /* every mapped connection seems to come from the host */
};
int nft_portmap_add(struct cni_call *call, struct cni_conf *conf, const struct cni_port_mapping *m, size_t n,
		    const struct cni_result *r, unsigned flags, struct error *err);
/* Called for each IPv4 or IPv6 port map that the attachment has, before nft_del(): what conntrack has to forget.
 * host is the address asked for (family 0: any). */
struct nft_port {
	uint8_t proto;
	uint16_t host_port, container_port;
	struct ipaddr host, container;
};
typedef int nft_port_cb(const struct nft_port *p, void *arg);
int nft_portmap_list(struct cni_call *call, struct cni_conf *conf, nft_port_cb *cb, void *arg, struct error *err);

/* Accepts forwarding from and to the addresses, by ingressPolicy ("open", "same-bridge", "isolated"). */
int nft_firewall_add(struct cni_call *call, struct cni_conf *conf, const struct cni_result *r, const char *policy,
		     struct error *err);

/* Takes back what the owner (this attachment) has of these kinds; nothing there, or no namespace any more, is
 * success. */
int nft_del(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err);
/* -ENOENT (as a CNI error) when what add made is not there. */
int nft_check(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err);
/* Takes back everything of this network (of all networks, when conf->name is NULL) whose attachment is not in the
 * valid list. */
int nft_gc(struct cni_call *call, struct cni_conf *conf, unsigned what, struct error *err);

/* The owner's mark of an attachment, "nsrun:<network>/<containerID>/<ifname>"; longer names are cut and hashed, so
 * that it fits nft's comments. */
enum { NFT_MARK_SIZE = 122 };
void nft_mark(const char *network, const char *id, const char *ifname, char out[NFT_MARK_SIZE]);

#endif
