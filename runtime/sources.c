/* What bind mounts show, and the root. Sources are named by the configuration and lie on the host, so they are trusted
 * and looked up as anyone would. Usually init copies them in its own mount namespace. In a user namespace init may not
 * be allowed to reach a source, and mapping ids needs a process that init, being undumpable, could not look into: then
 * the parent copies all of them beforehand. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "error.h"
#include "idmap.h"
#include "init.h"
#include "mount_opts.h"
#include "mountfd.h"
#include "rootfs.h"
#include "rootfs_parts.h"
#include "str.h"

static int id_map(const struct init_ctx *ctx, const struct spec_mount *m, bool recursive, int tree, struct error *err)
{
	const struct spec_linux *l = &ctx->spec->linux_;
	bool own = m->n_uid_mappings || m->n_gid_mappings;
	auto_close int userns = -1;

	if (!own && ctx->plan->join[NS_USER] >= 0)
		return mountfd_idmap(tree, recursive, ctx->plan->join[NS_USER], m->source, err);
	if (own)
		userns = idmap_userns(m->uid_mappings, m->n_uid_mappings, m->gid_mappings, m->n_gid_mappings, err);
	else
		userns = idmap_userns(l->uid_mappings, l->n_uid_mappings, l->gid_mappings, l->n_gid_mappings, err);
	return userns < 0 ? userns : mountfd_idmap(tree, recursive, userns, m->source, err);
}

int rootfs_clone_source(const struct init_ctx *ctx, const struct spec_mount *m, const struct mount_opts *o,
			struct error *err)
{
	auto_free char *path = NULL;
	auto_close int tree = -1;
	int r;

	if (str_empty(m->source))
		return error_set(err, EINVAL, "a bind mount needs a source");
	path = rootfs_host_path(ctx, m->source);
	if (!path)
		return error_oom(err);
	tree = mountfd_clone(AT_FDCWD, path, o->recursive, err);
	if (tree < 0)
		return tree;
	if (o->idmap) {
		r = id_map(ctx, m, o->idmap == MOUNT_IDMAP_RECURSIVE, tree, err);
		if (r < 0)
			return r;
	}
	return take_fd(&tree);
}

static int open_source(const struct init_ctx *ctx, const struct spec_mount *m, struct error *err)
{
	auto_mount_opts struct mount_opts o = {0};
	auto_close int tree = -1;
	int r;

	r = mount_opts_parse(m, &o, err);
	if (r < 0)
		return r;
	if (!o.bind || o.remount)
		return -1;
	tree = rootfs_clone_source(ctx, m, &o, err);
	if (tree < 0)
		return tree;
	/* The copy was made in the host's mount namespace: as a peer of the host's mounts, it would carry the
	 * container's mounts out. Init's own copies inherit the propagation of its tree instead. */
	if (!str_eq(ctx->spec->linux_.rootfs_propagation, "shared") &&
	    !str_eq(ctx->spec->linux_.rootfs_propagation, "rshared")) {
		r = mountfd_propagation(tree, true, MS_SLAVE, m->source, err);
		if (r < 0)
			return r;
	}
	return take_fd(&tree);
}

int rootfs_clone_sources(struct init_ctx *ctx, struct error *err)
{
	const struct spec *s = ctx->spec;

	ctx->mount_fds = malloc((s->n_mounts + 1) * sizeof(*ctx->mount_fds));
	if (!ctx->mount_fds)
		return error_oom(err);
	for (size_t i = 0; i < s->n_mounts; i++)
		ctx->mount_fds[i] = -1;
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct error e = {0};
		int fd = open_source(ctx, &s->mounts[i], &e);

		if (fd < 0 && e.code) {
			if (err)
				*err = e;
			return error_wrap(err, "cannot make mounts[%zu] (bind on %s)", i, s->mounts[i].destination);
		}
		ctx->mount_fds[i] = fd;
	}
	return 0;
}

static bool maps_ids(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];

		if (m->n_uid_mappings || m->n_gid_mappings || strv_has(m->options, "idmap") || strv_has(m->options, "ridmap"))
			return true;
	}
	return false;
}

int rootfs_open_sources(struct init_ctx *ctx, struct error *err)
{
	bool user = ctx->plan->new_user || ctx->plan->join[NS_USER] >= 0;

	if (!rootfs_own_namespace(ctx) || (!user && !maps_ids(ctx->spec)))
		return 0;
	if (user && !rootfs_is_host(ctx->spec)) {
		ctx->root_fd = rootfs_clone_root(ctx, err);
		if (ctx->root_fd < 0)
			return ctx->root_fd;
	}
	return rootfs_clone_sources(ctx, err);
}

void rootfs_close_sources(struct init_ctx *ctx)
{
	cleanup_close(&ctx->root_fd);
	for (size_t i = 0; ctx->mount_fds && i < ctx->spec->n_mounts; i++)
		cleanup_close(&ctx->mount_fds[i]);
	cleanup_free(&ctx->mount_fds);
}
