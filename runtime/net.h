/* The container's network, through the helper netsetup: attachments (CNI), netDevices, the pinned name. netsetup is
 * $NSRUN_NETSETUP, or stands beside nsrun, or is found in PATH. */
#ifndef NET_H
#define NET_H

#include "container.h"

struct error;

/* Makes all attachments of the spec, in order, by one netsetup process: `netsetup add --id ID --netns PATH
 * IFNAME=FILE ...`. What failed is undone by netsetup. pid: a process in the namespace. */
int net_attach(const struct container *c, const struct spec *s, pid_t pid, struct error *err);
/* Undoes them: `netsetup del --id ID`. Also after a crash; the namespace may be gone. */
int net_detach(const struct container *c, struct error *err);
/* Moves linux.netDevices in: `netsetup move --netns PATH HOST=NAME ...`. */
int net_move_devices(const struct spec *s, pid_t pid, struct error *err);

/* Links of the host are made and moved with rights on the host. 0, or -EPERM with what in the spec asks for them. */
int net_check_rights(const struct spec *s, struct error *err);
/* Makes the directories of netsetup's state and of names of namespaces. Init makes its mounts while the network is being
 * made, and a bundle that covers /run binds these two back. */
int net_prepare(const struct spec *s, struct error *err);
/* The program netsetup itself, for other questions to it: its path, which the caller owns, or NULL with err set. */
char *net_helper(struct error *err);

#endif
