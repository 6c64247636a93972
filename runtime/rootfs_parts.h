/* What the files behind rootfs.h share. */
#ifndef ROOTFS_PARTS_H
#define ROOTFS_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct init_ctx;
struct mount_opts;
struct spec;
struct spec_mount;

/* rootfs.c. True when init has a mount namespace of its own making, and may change it as it likes. */
bool rootfs_own_namespace(const struct init_ctx *ctx);
/* root.path is "/": the host's own tree, seen through a private view. */
bool rootfs_is_host(const struct spec *s);
/* The root as a detached mount of its own: pivot_root(2) wants a mount. Descriptor or negative. */
int rootfs_clone_root(const struct init_ctx *ctx, struct error *err);
/* A path of the configuration, taken relative to the bundle; an allocation, or NULL when out of memory. */
char *rootfs_host_path(const struct init_ctx *ctx, const char *path);
/* path without "." and empty components, ".." taken lexically; cut to size. For comparing, not for opening. */
void rootfs_clean_path(const char *path, char *out, size_t size);

/* sources.c. The tree that a bind mount shows: detached, id-mapped. Descriptor or negative. */
int rootfs_clone_source(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o,
			struct error *err);

/* All of them, into ctx->mount_fds. */
int rootfs_clone_sources(struct init_ctx *ctx, struct error *err);

/* mount_target.c. The directory or file in the root that a mount is attached to. */
struct mount_target {
	int fd;	      /* O_PATH; -1: none */
	bool existed; /* false: made for this mount */
	mode_t mode;
};
/* Opens it, made as a directory or an empty file if missing. tree: what will be mounted, -1: a new file system.
 * Refuses what must not be mounted over. */
int mount_target_open(const struct init_ctx *ctx, const struct spec_mount *m, bool directory, int tree,
		      struct mount_target *ret, struct error *err);
/* Remembers that this mount is the container's own, so that missing targets may be made in it. */
int mount_target_own(int mount, struct error *err);

/* mount.c. "ro" of file systems that had to be filled first. */
int mount_late_readonly(const struct init_ctx *ctx, struct error *err);
/* mount_cgroup.c. The container's own cgroups. */
int mount_cgroup(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o, int target,
		 struct error *err);
/* copyup.c. Copies what is in the directory `from` into the directory `to`: owners, modes, times, extended attributes. */
int copyup(int from, int to, struct error *err);

/* dev.c. Whose /dev the container has. */
enum dev_kind {
	DEV_OURS,  /* of the root file system, or a file system mounted on it: nodes and links are made */
	DEV_BOUND, /* a bind mount, taken as it is */
	DEV_HOST,  /* root.path "/" without a mount on /dev: never touched */
};
enum dev_kind dev_kind(const struct spec *s);

#endif
