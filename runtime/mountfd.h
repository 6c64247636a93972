/* Mounts as descriptors: made or copied detached, given their attributes, and only then attached to a directory or
 * file that is held open. Nothing here resolves a path in the container's root. A descriptor of a mount stays good for
 * its root after attaching. All are close-on-exec. */
#ifndef MOUNTFD_H
#define MOUNTFD_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct mount_opts;

/* Copies the tree (recursive) or mount at path; "" with dirfd: at that descriptor. Descriptor or negative. */
int mountfd_clone(int dirfd, const char *path, bool recursive, struct error *err);

/* A new file system, detached. opts may be NULL; of it data and fs_flags are used, attrs are the mount's flags. -E2BIG, and err untouched,
 * when an option can only be told to mount(2): then mountfd_legacy() has to do. */
int mountfd_new(const char *type, const char *source, const struct mount_opts *opts, uint64_t attrs, struct error *err);
/* The same by mount(2), directly onto target; gives no descriptor. 0 or negative. */
int mountfd_legacy(const char *type, const char *source, const struct mount_opts *opts, uint64_t attrs, int target,
		   struct error *err);

/* mount_setattr(2) of the mount, or with `recursive` of its tree. `what` names it in messages. */
int mountfd_attr(int mount, bool recursive, uint64_t set, uint64_t clear, const char *what, struct error *err);
/* type: MS_PRIVATE, ... */
int mountfd_propagation(int mount, bool recursive, uint64_t type, const char *what, struct error *err);
/* Shows the files' owners through the mappings of a user namespace. */
int mountfd_idmap(int mount, bool recursive, int userns, const char *what, struct error *err);

/* Attaches to the directory or file that target is. `where` names it in messages. */
int mountfd_attach(int mount, int target, const char *where, struct error *err);

#endif
