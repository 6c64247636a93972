/* The table of mount options. Words that are not in it belong to the file system. */
#include "mount_opts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "error.h"
#include "spec.h"
#include "str.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

/* What a word's value is. */
enum {
	NOTHING,     /* accepted, says only what is so anyway */
	ATTR,	     /* MOUNT_ATTR_* of this mount */
	ATTR_REC,    /* MOUNT_ATTR_* of the tree */
	FS,	     /* MS_* of the file system */
	PROPAGATION, /* MS_SHARED ..., with MS_REC */
	BIND,	     /* 0, MS_REC */
	REMOUNT,
	TMPCOPYUP,
	IDMAP, /* enum mount_idmap */
};

const struct mount_word mount_words[] = {
	{"defaults", NOTHING, false, 0},

	{"ro", ATTR, false, MOUNT_ATTR_RDONLY},
	{"rw", ATTR, true, MOUNT_ATTR_RDONLY},
	{"nosuid", ATTR, false, MOUNT_ATTR_NOSUID},
	{"suid", ATTR, true, MOUNT_ATTR_NOSUID},
	{"nodev", ATTR, false, MOUNT_ATTR_NODEV},
	{"dev", ATTR, true, MOUNT_ATTR_NODEV},
	{"noexec", ATTR, false, MOUNT_ATTR_NOEXEC},
	{"exec", ATTR, true, MOUNT_ATTR_NOEXEC},
	{"nosymfollow", ATTR, false, MOUNT_ATTR_NOSYMFOLLOW},
	{"symfollow", ATTR, true, MOUNT_ATTR_NOSYMFOLLOW},
	{"nodiratime", ATTR, false, MOUNT_ATTR_NODIRATIME},
	{"diratime", ATTR, true, MOUNT_ATTR_NODIRATIME},
	/* The access time modes exclude each other; relatime is 0 and what the kernel does by default. */
	{"relatime", ATTR, false, MOUNT_ATTR_RELATIME},
	{"norelatime", NOTHING, true, MOUNT_ATTR_RELATIME},
	{"noatime", ATTR, false, MOUNT_ATTR_NOATIME},
	{"atime", ATTR, true, MOUNT_ATTR_NOATIME},
	{"strictatime", ATTR, false, MOUNT_ATTR_STRICTATIME},
	{"nostrictatime", ATTR, true, MOUNT_ATTR_STRICTATIME},

	{"rro", ATTR_REC, false, MOUNT_ATTR_RDONLY},
	{"rrw", ATTR_REC, true, MOUNT_ATTR_RDONLY},
	{"rnosuid", ATTR_REC, false, MOUNT_ATTR_NOSUID},
	{"rsuid", ATTR_REC, true, MOUNT_ATTR_NOSUID},
	{"rnodev", ATTR_REC, false, MOUNT_ATTR_NODEV},
	{"rdev", ATTR_REC, true, MOUNT_ATTR_NODEV},
	{"rnoexec", ATTR_REC, false, MOUNT_ATTR_NOEXEC},
	{"rexec", ATTR_REC, true, MOUNT_ATTR_NOEXEC},
	{"rnosymfollow", ATTR_REC, false, MOUNT_ATTR_NOSYMFOLLOW},
	{"rsymfollow", ATTR_REC, true, MOUNT_ATTR_NOSYMFOLLOW},
	{"rnodiratime", ATTR_REC, false, MOUNT_ATTR_NODIRATIME},
	{"rdiratime", ATTR_REC, true, MOUNT_ATTR_NODIRATIME},
	{"rrelatime", ATTR_REC, false, MOUNT_ATTR_RELATIME},
	{"rnorelatime", NOTHING, true, MOUNT_ATTR_RELATIME},
	{"rnoatime", ATTR_REC, false, MOUNT_ATTR_NOATIME},
	{"ratime", ATTR_REC, true, MOUNT_ATTR_NOATIME},
	{"rstrictatime", ATTR_REC, false, MOUNT_ATTR_STRICTATIME},
	{"rnostrictatime", ATTR_REC, true, MOUNT_ATTR_STRICTATIME},

	{"bind", BIND, false, 0},
	{"rbind", BIND, false, MS_REC},
	{"remount", REMOUNT, false, 0},

	{"private", PROPAGATION, false, MS_PRIVATE},
	{"rprivate", PROPAGATION, false, MS_PRIVATE | MS_REC},
	{"slave", PROPAGATION, false, MS_SLAVE},
	{"rslave", PROPAGATION, false, MS_SLAVE | MS_REC},
	{"shared", PROPAGATION, false, MS_SHARED},
	{"rshared", PROPAGATION, false, MS_SHARED | MS_REC},
	{"unbindable", PROPAGATION, false, MS_UNBINDABLE},
	{"runbindable", PROPAGATION, false, MS_UNBINDABLE | MS_REC},

	{"sync", FS, false, MS_SYNCHRONOUS},
	{"async", FS, true, MS_SYNCHRONOUS},
	{"dirsync", FS, false, MS_DIRSYNC},
	{"mand", FS, false, MS_MANDLOCK},
	{"nomand", FS, true, MS_MANDLOCK},
	{"lazytime", FS, false, MS_LAZYTIME},
	{"nolazytime", FS, true, MS_LAZYTIME},
	{"iversion", FS, false, MS_I_VERSION},
	{"noiversion", FS, true, MS_I_VERSION},
	{"acl", FS, false, MS_POSIXACL},
	{"noacl", FS, true, MS_POSIXACL},
	{"silent", FS, false, MS_SILENT},
	{"loud", FS, true, MS_SILENT},

	{"tmpcopyup", TMPCOPYUP, false, 0},
	{"idmap", IDMAP, false, MOUNT_IDMAP_TOP},
	{"ridmap", IDMAP, false, MOUNT_IDMAP_RECURSIVE},
	{NULL, 0, false, 0},
};

static const struct mount_word *find_word(const char *s)
{
	for (const struct mount_word *w = mount_words; w->word; w++)
		if (w->word[0] == s[0] && strcmp(w->word, s) == 0)
			return w;
	return NULL;
}

static bool is_atime_mode(uint64_t value)
{
	/* RELATIME is 0. */
	return (value & ~(uint64_t)MOUNT_ATTR__ATIME) == 0;
}

/* The later word wins. */
static void apply_attr(const struct mount_word *w, uint64_t *set, uint64_t *clear)
{
	if (is_atime_mode(w->value)) {
		/* "atime" after "noatime" goes back to the default; "atime" after "strictatime" changes nothing. */
		if (!w->clear || (*set & MOUNT_ATTR__ATIME) == w->value)
			*set &= ~(uint64_t)MOUNT_ATTR__ATIME;
		if (!w->clear)
			*set |= w->value;
		*clear |= MOUNT_ATTR__ATIME;
	} else if (w->clear) {
		*set &= ~w->value;
		*clear |= w->value;
	} else {
		*set |= w->value;
		*clear &= ~w->value;
	}
}

static int add_propagation(struct mount_opts *o, uint64_t value, const char *dest, struct error *err)
{
	if (o->n_propagation == MOUNT_OPTS_PROPAGATIONS)
		return error_set(err, EINVAL, "mount %s: more than %d propagation options", dest, MOUNT_OPTS_PROPAGATIONS);
	o->propagation[o->n_propagation].type = value & ~(uint64_t)MS_REC;
	o->propagation[o->n_propagation].recursive = value & MS_REC;
	o->n_propagation++;
	return 0;
}

static int apply_word(struct mount_opts *o, const struct mount_word *w, const char *dest, struct error *err)
{
	switch (w->what) {
	case ATTR:
		apply_attr(w, &o->set, &o->clear);
		break;
	case ATTR_REC:
		apply_attr(w, &o->rec_set, &o->rec_clear);
		break;
	case FS:
		o->fs_flags = w->clear ? o->fs_flags & ~w->value : o->fs_flags | w->value;
		break;
	case PROPAGATION:
		return add_propagation(o, w->value, dest, err);
	case BIND:
		o->bind = true;
		o->recursive |= w->value != 0;
		break;
	case REMOUNT:
		o->remount = true;
		break;
	case TMPCOPYUP:
		o->tmpcopyup = true;
		break;
	case IDMAP:
		o->idmap = (enum mount_idmap)w->value;
		break;
	}
	return 0;
}

static int check(const struct mount_opts *o, const struct spec_mount *m, struct error *err)
{
	if (o->bind && o->n_data)
		return error_set(err, EINVAL,
				 "mount %s: \"%s\" is no option of a bind mount: bind mounts cannot have any "
				 "filesystem-specific options applied, as they would change the host's file system",
				 m->destination, o->data[0]);
	if (o->remount && (o->n_data || o->fs_flags))
		return error_set(err, EINVAL,
				 "mount %s: remount changes the flags of a mount only, it cannot take options of the file "
				 "system", m->destination);
	if (o->tmpcopyup && (o->bind || !str_eq(m->type, "tmpfs")))
		return error_set(err, EINVAL, "mount %s: tmpcopyup works on mounts of type tmpfs only", m->destination);
	if (o->idmap && !o->bind)
		return error_set(err, EINVAL, "mount %s: only bind mounts can be id-mapped", m->destination);
	return 0;
}

int mount_opts_parse(const struct spec_mount *m, struct mount_opts *ret, struct error *err)
{
	auto_mount_opts struct mount_opts o = {.bind = str_eq(m->type, "bind") || str_eq(m->type, "rbind"),
					       .recursive = str_eq(m->type, "rbind")};
	int r;

	if (m->options) {
		o.data = calloc(strv_len(m->options) + 1, sizeof(*o.data));
		if (!o.data)
			return error_oom(err);
	}
	for (size_t i = 0; m->options && m->options[i]; i++) {
		const struct mount_word *w = find_word(m->options[i]);

		if (!w) {
			if (m->options[i][0])
				o.data[o.n_data++] = m->options[i];
			continue;
		}
		r = apply_word(&o, w, m->destination, err);
		if (r < 0)
			return r;
	}
	/* Mappings alone are a wish for id mapping, too. */
	if (!o.idmap && (m->n_uid_mappings || m->n_gid_mappings))
		o.idmap = MOUNT_IDMAP_TOP;
	r = check(&o, m, err);
	if (r < 0)
		return r;
	*ret = o;
	o.data = NULL;
	return 0;
}

void mount_opts_free(struct mount_opts *o)
{
	free(o->data);
	o->data = NULL;
	o->n_data = 0;
}

bool mount_opts_is_bind(const struct spec_mount *m)
{
	return str_eq(m->type, "bind") || str_eq(m->type, "rbind") || strv_has(m->options, "bind") ||
	       strv_has(m->options, "rbind");
}
