/* The root file system of a container: entered by pivot_root, filled with mounts and devices, its paths reached only
 * by descriptors beneath its root (specs/rootfs.md). Every function runs in init, in the step of its name. */
#ifndef ROOTFS_H
#define ROOTFS_H

#include <stdbool.h>

struct init_ctx;
struct spec;
struct error;

/* sources.c. In the parent, before clone3(): with a user namespace or id-mapped mounts, takes private copies of the root
 * (ctx->root_fd) and of the trees to be bind mounted (ctx->mount_fds), id-mapped where asked, since the namespace's
 * root may not reach them. Nothing to do otherwise. An ordinary user may mount in the new namespace only: then init does
 * it, before it becomes root there. ctx->root_fd is -1 before. rootfs_close_sources() releases them in the parent, also
 * half-made ones. */
int rootfs_open_sources(struct init_ctx *ctx, struct error *err);
void rootfs_close_sources(struct init_ctx *ctx);

/* rootfs.c. Propagation of the old tree; the root becomes a mount of its own, ctx->root_fd is opened. Without a mount
 * namespace only the descriptor. */
int rootfs_prepare(struct init_ctx *ctx, struct error *err);
/* mount.c. `mounts` in order, up to the first one of type cgroup or cgroup2: that one shows the container's own
 * cgroup, so init has to sit in it (and in its cgroup namespace) before rootfs_mounts_rest() makes the rest. Both
 * are always called; without such a mount the second has nothing to do. */
int rootfs_mounts(struct init_ctx *ctx, struct error *err);
int rootfs_mounts_rest(struct init_ctx *ctx, struct error *err);
/* dev.c. Default and listed devices, the /dev links. */
int rootfs_devices(struct init_ctx *ctx, struct error *err);
/* pivot_root (or MS_MOVE and chroot with --no-pivot; chroot without a mount namespace); the old root is detached. */
int rootfs_enter(struct init_ctx *ctx, struct error *err);
/* maskedPaths, readonlyPaths, root.readonly, rootfsPropagation; after entering. */
int rootfs_protect(struct init_ctx *ctx, struct error *err);
/* sysctl.c. Through a private procfs mount, so nothing in the root can redirect the writes. It is opened before the
 * container's mounts cover the host's /proc. */
int rootfs_sysctl_open(struct init_ctx *ctx, struct error *err);
int rootfs_sysctl(struct init_ctx *ctx, struct error *err);
/* Opens the pty in the container, gives its master to the parent and makes the slave fd 0, 1, 2 (terminal.c). */
int rootfs_terminal(struct init_ctx *ctx, struct error *err);

/* A detached procfs of the caller's pid namespace, with subset=pid unless `whole`; for writes to
 * /proc/self that nothing may redirect. Descriptor or negative. */
int rootfs_private_proc(bool whole, struct error *err);

#endif
