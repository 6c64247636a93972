/* rtnetlink over libmnl: links, addresses, routes, neighbours. One function talks (rtnl_talk, static); it always asks
 * for an ACK and carries the kernel's own extended message to the user. A socket belongs to the namespace it was
 * opened in, whatever namespace the thread is in later. Messages: rtnetlink(7). */
#ifndef RTNL_H
#define RTNL_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct rtnl;
struct nlmsghdr;

int rtnl_open(struct rtnl **ret, struct error *err); /* in the calling thread's namespace */
int rtnl_open_in(int netns_fd, struct rtnl **ret, struct error *err);
void rtnl_close(struct rtnl *r);
static inline void rtnl_cleanup(struct rtnl **r)
{
	rtnl_close(*r);
	*r = (struct rtnl *)0;
}
/* What tells its namespace from all others until the next boot (inode numbers are used again at once); 0: the kernel
 * does not say (before 5.14). */
uint64_t rtnl_netns_cookie(const struct rtnl *r);
#define auto_rtnl __attribute__((cleanup(rtnl_cleanup)))

/* Between rtnl_batch() and rtnl_commit() whatever changes something is only queued (and returns 0), then sent in one
 * message to the kernel, which does all of it, whatever fails; the first failure is the error. */
void rtnl_batch(struct rtnl *r);
int rtnl_commit(struct rtnl *r, struct error *err);
/* Makes the device's carrier change take effect now (linkwatch): a bridge port forwards when this returns, instead of
 * some time later. */
void rtnl_link_settle(struct rtnl *r, const char *name);
/* Deletes without waiting for the kernel's grace period, which a detached child waits for; when this returns the device
 * is gone from the namespace. -ENODEV when there is none of that name. */
int rtnl_link_del_name(struct rtnl *r, const char *name, struct error *err);

/* What to create or change; zero means leave alone. */
struct link_req {
	const char *kind;	  /* a name of the table in rtnl_kinds.c: "veth", "bridge", "macvlan", "wireguard" */
	const char *name;
	int index;		  /* to change: this one (else found by name) */
	int netns_fd;		  /* with set_netns: born there, or moved there */
	bool set_netns;
	const char *new_name;	  /* change: rename */
	const uint8_t *mac;	  /* 6 bytes */
	uint32_t mtu, txqlen;
	int master;		  /* ifindex */
	bool no_master;		  /* released from its master */
	int parent;		  /* IFLA_LINK: macvlan, vlan, vxlan */
	unsigned flags_on, flags_off; /* IFF_UP, IFF_PROMISC, IFF_ALLMULTI, IFF_MULTICAST */
	const char *alias;	  /* IFLA_IFALIAS: the owner, for gc and graph */
	bool no_addrgen;	  /* IFLA_INET6_ADDR_GEN_MODE none */
	bool arp_notify;	  /* announces its IPv4 addresses when it comes up */
	bool one_queue;		  /* one rx and tx queue: no wait for a grace period at creation */
	/* veth */
	const char *peer_name;
	const uint8_t *peer_mac;
	int peer_netns_fd;
	bool set_peer_netns;
	/* bridge and bridge port */
	bool hairpin, set_hairpin, isolated, set_isolated;
	bool no_stp_delay;	  /* bridge: forward delay 0 */
	/* macvlan */
	uint32_t macvlan_mode;
};

struct link_info {
	int index, master, parent; /* parent: IFLA_LINK, for veth the peer's index */
	int peer_netnsid;	   /* IFLA_LINK_NETNSID, -1: same namespace */
	char name[IFNAMSIZ];
	char kind[32];
	char slave_kind[32];
	uint8_t mac[6];
	bool has_mac;
	uint32_t mtu, txqlen;
	unsigned flags;
	uint8_t operstate;
	char alias[256];
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, rx_dropped, tx_dropped, rx_errors, tx_errors;
};

/* Creates; *ret (may be NULL) is what the kernel says it made (NLM_F_ECHO), so nothing need be asked for again (zero
 * for a device born in another namespace). Not within a batch of the caller's: it is one itself. */
int rtnl_link_add(struct rtnl *r, const struct link_req *l, struct link_info *ret, struct error *err);
int rtnl_link_set(struct rtnl *r, const struct link_req *l, struct error *err);
/* -ENODEV when it is not there. */
int rtnl_link_get(struct rtnl *r, const char *name, struct link_info *ret, struct error *err);
int rtnl_link_get_index(struct rtnl *r, int index, struct link_info *ret, struct error *err);
int rtnl_link_del(struct rtnl *r, int index, struct error *err);
typedef int rtnl_link_cb(const struct link_info *l, void *arg);
int rtnl_link_list(struct rtnl *r, rtnl_link_cb *cb, void *arg, struct error *err);

/* An IPv4 or IPv6 address with prefix length. */
struct ipaddr {
	int family; /* AF_INET, AF_INET6; 0: none */
	uint8_t bytes[16];
	uint8_t prefix;
};
enum { IPADDR_TEXT_SIZE = 64 };
/* "10.0.0.1/24"; without a prefix: 32 or 128. 0 or -EINVAL. */
int ipaddr_parse(const char *s, struct ipaddr *ret);
/* "10.0.0.1/24", or without the prefix. */
const char *ipaddr_text(const struct ipaddr *a, bool with_prefix, char out[IPADDR_TEXT_SIZE]);
int ipaddr_size(const struct ipaddr *a); /* 4 or 16 */
bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b); /* without the prefix */
/* A MAC address, "02:00:5e:10:00:01". 0 or -EINVAL. */
enum { MAC_TEXT_SIZE = 18 };
int mac_parse(const char *s, uint8_t ret[6]);
const char *mac_text(const uint8_t mac[6], char out[MAC_TEXT_SIZE]);
void mac_random(uint8_t ret[6]); /* locally administered, unicast */
/* The network's first address: bits after the prefix cleared. */
struct ipaddr ipaddr_network(const struct ipaddr *a);
bool ipaddr_contains(const struct ipaddr *net, const struct ipaddr *a);

struct addr_req {
	int index;
	struct ipaddr addr, peer; /* peer.family 0: none */
	bool nodad;
	bool host_scope;
	bool noprefixroute;
};
/* An address that is there already is success (EEXIST). */
int rtnl_addr_add(struct rtnl *r, const struct addr_req *a, struct error *err);
int rtnl_addr_del(struct rtnl *r, const struct addr_req *a, struct error *err);
struct addr_info {
	int index;
	struct ipaddr addr, peer;
	uint8_t scope;
	uint32_t flags;
};
typedef int rtnl_addr_cb(const struct addr_info *a, void *arg);
int rtnl_addr_list(struct rtnl *r, int index, rtnl_addr_cb *cb, void *arg, struct error *err); /* index 0: all */

struct route_req {
	struct ipaddr dst;  /* family must be set; prefix 0: the default route */
	struct ipaddr via, src;
	int index;	    /* 0: none */
	uint32_t table, priority, mtu, advmss;
	uint8_t scope, protocol, type;
	bool set_scope, set_table;
	bool onlink;
	bool append, replace;
	bool exists_ok; /* such a route there already is success */
};
int rtnl_route_add(struct rtnl *r, const struct route_req *q, struct error *err);
int rtnl_route_del(struct rtnl *r, const struct route_req *q, struct error *err);
/* The interface behind which the kernel sees the address. */
int rtnl_route_get(struct rtnl *r, const struct ipaddr *dst, int *ret_index, struct error *err);
typedef int rtnl_route_cb(const struct route_req *q, void *arg);
int rtnl_route_list(struct rtnl *r, int family, rtnl_route_cb *cb, void *arg, struct error *err);

/* Moves a device into another namespace under new_name (may hold %d; NULL: keep), keeping its global addresses, mtu and MAC and setting it up,
 * as runtime-spec config-linux.md#network-devices asks. ret_name (may be NULL, may be new_name) is what it is called there. */
int rtnl_link_move(struct rtnl *from, struct rtnl *to, int to_fd, const char *name, const char *new_name,
		   char ret_name[IFNAMSIZ], struct error *err);

#endif
