/* The option words of a mount (runtime-spec config.md#linux-mount-options, and those runc knows besides), sorted out
 * into what each goes to: attributes of the mount, flags of the file system, propagation, what nsrun does itself, and
 * data for the file system. Pure: no system call, so that tests and the fuzzer can hammer it. */
#ifndef MOUNT_OPTS_H
#define MOUNT_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct spec_mount;

enum { MOUNT_OPTS_PROPAGATIONS = 8 };

enum mount_idmap { MOUNT_IDMAP_NONE, MOUNT_IDMAP_TOP, MOUNT_IDMAP_RECURSIVE };

struct mount_opts {
	bool bind, recursive; /* "bind", "rbind" (or type "bind") */
	bool remount;
	bool tmpcopyup;
	enum mount_idmap idmap;
	/* MOUNT_ATTR_*: asked to be set, and asked to be cleared ("rw", "exec", ...). An access time mode is set by
	 * clearing MOUNT_ATTR__ATIME and setting the mode, as mount_setattr(2) wants it. */
	uint64_t set, clear;
	uint64_t rec_set, rec_clear; /* the same for the whole tree: "rro", "rnosuid", ... */
	unsigned long fs_flags; /* MS_SYNCHRONOUS, MS_DIRSYNC, ...: of the file system, not of the mount */
	/* In the order given. */
	struct {
		uint64_t type; /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE */
		bool recursive;
	} propagation[MOUNT_OPTS_PROPAGATIONS];
	size_t n_propagation;
	const char **data; /* options for the file system, borrowed from the mount; NULL-terminated */
	size_t n_data;
};

/* Sorts m's options into *ret, which the caller releases with mount_opts_free() (nothing to release on failure).
 * -EINVAL: data for a bind mount, which would hit the file system of the host. */
int mount_opts_parse(const struct spec_mount *m, struct mount_opts *ret, struct error *err);
void mount_opts_free(struct mount_opts *o);
#define auto_mount_opts __attribute__((cleanup(mount_opts_free)))

/* True when the mount is a bind mount. */
bool mount_opts_is_bind(const struct spec_mount *m);

/* The table, for `features`. Ends with a NULL word. */
struct mount_word {
	const char *word;
	int what;	/* enum in mount_opts.c */
	bool clear;
	uint64_t value;
};
extern const struct mount_word mount_words[];

#endif
