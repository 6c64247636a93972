/* Network namespaces: open, enter, pin under a name that ip-netns(8) sees. */
#ifndef NETNS_H
#define NETNS_H

#include <stdbool.h>

struct error;

/* Where ip-netns(8) keeps its names. */
#define NETNS_DIR "/run/netns"

/* Opens a namespace by path ("/run/netns/x", "/proc/12/ns/net"), or by name when there is no '/'. -ENOENT when it is
 * not there, -EINVAL when it is no network namespace (a plain file left behind by a vanished one). */
int netns_open(const char *path, struct error *err);
/* The caller's own. */
int netns_open_self(struct error *err);
/* True when both descriptors are the same namespace. */
bool netns_same(int a, int b);

/* Moves the calling thread. */
int netns_enter(int fd, struct error *err);

/* Makes NETNS_DIR/name show the namespace, as `ip netns attach` does (the directory becomes a shared mount). -EEXIST
 * when the name is taken. */
int netns_pin(const char *name, int fd, struct error *err);
/* Undoes netns_pin(); a missing name is success. */
int netns_unpin(const char *name, struct error *err);

/* Sets lo up in the calling thread's namespace. */
int netns_loopback_up(struct error *err);

#endif
