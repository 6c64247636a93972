/* What is really there in network namespaces, read from the kernel, as JSON: specs/cni.md, `netsetup show`. */
#ifndef SHOW_H
#define SHOW_H

#include <sys/types.h>

#include "netsetup.h"

struct show_link {
	struct link_info info;
	struct json_value *value;
};

struct show_netns {
	const char *path; /* as given; borrowed */
	int fd;
	ino_t inode; /* what tells namespaces apart */
	struct rtnl *rtnl;
	struct show_link *links;
	size_t n_links;
	struct json_value *value;
};

/* Opens the namespace and reads links, addresses, routes and WireGuard's peers into ret->value. */
int show_netns(struct json_doc *doc, const char *path, struct show_netns *ret, struct error *err);
void show_netns_close(struct show_netns *n);

/* Adds "peer" to each link whose other end is in one of these namespaces (veth pairs). */
int show_peers(struct json_doc *doc, struct show_netns *list, size_t n, struct error *err);

/* rtnl_nsid.c: the id by which the socket's namespace knows another one, -1 when it knows none. */
int rtnl_nsid(struct rtnl *r, int netns_fd, int *ret, struct error *err);

#endif
