/* Which addresses of a network are given, and to whom: a directory, in the format of the reference's host-local
 * plugin, with an index by owner. Contract: specs/ipam.md.
 *
 * A store is open under the directory's lock: one process at a time. Killed at any instruction, it has never given
 * an address that its owner's del (or gc) does not find, and never one address twice. */
#ifndef IPAM_STORE_H
#define IPAM_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "rtnl.h"

struct error;
struct ipam_store;

/* Opens (makes) the directory and waits for its lock. `own`: the directory is ours alone and goes with its last
 * address. */
int ipam_store_open(const char *dir, bool own, struct ipam_store **ret, struct error *err);
/* The same if the directory is there; -ENOENT without text when not. */
int ipam_store_open_existing(const char *dir, bool own, struct ipam_store **ret, struct error *err);
void ipam_store_close(struct ipam_store *s);
static inline void ipam_store_cleanup(struct ipam_store **s)
{
	ipam_store_close(*s);
	*s = (struct ipam_store *)0;
}
#define auto_ipam_store __attribute__((cleanup(ipam_store_cleanup)))

bool ipam_store_taken(struct ipam_store *s, const struct ipaddr *a);
/* Gives the address; -EEXIST (without text) when it is taken. */
int ipam_store_reserve(struct ipam_store *s, const struct ipaddr *a, const char *id, const char *ifname,
		       struct error *err);
/* Takes the address back if it is this owner's; else nothing, success. */
int ipam_store_release_address(struct ipam_store *s, const struct ipaddr *a, const char *id, const char *ifname,
			       struct error *err);
/* Takes back all that the owner has; nothing is success. */
int ipam_store_release(struct ipam_store *s, const char *id, const char *ifname, struct error *err);

/* Calls back for each address the owner has. Returns how many, or a negative code (the callback's too). */
typedef int ipam_store_cb(const struct ipaddr *a, void *arg);
int ipam_store_each(struct ipam_store *s, const char *id, const char *ifname, ipam_store_cb *cb, void *arg,
		    struct error *err);

/* The address that was given last from the n-th range set; family 0: none yet. */
void ipam_store_last(struct ipam_store *s, unsigned set, struct ipaddr *ret);
int ipam_store_set_last(struct ipam_store *s, unsigned set, const struct ipaddr *a, struct error *err);

/* Who has an address, for messages: "ID IFNAME", or "" . */
enum { IPAM_STORE_OWNER_SIZE = 320 };
void ipam_store_owner(struct ipam_store *s, const struct ipaddr *a, char out[IPAM_STORE_OWNER_SIZE]);

/* Takes back everything whose owner is not alive, and what killed processes left. */
typedef bool ipam_store_live(const char *id, const char *ifname, void *arg);
int ipam_store_gc(struct ipam_store *s, ipam_store_live *live, void *arg, struct error *err);

#endif
