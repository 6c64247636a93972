/* The store.
 *
 *   lock                 flock(2), as the reference's
 *   10.1.0.2             "ID\r\nIFNAME": the address is given
 *   last_reserved_ip.0   where the search in range set 0 goes on
 *   .owners/HASH         ours: "ID\r\nIFNAME\r\n", then a line for each address that this owner may have
 *
 * An owner's addresses are found by the index and believed only if the address's own file says the same; so the
 * index may say too much, and it is written first. Order of giving: the index names the address; then its file
 * appears, complete, by link(2). Order of taking back: the files, then the index. Files are written without a name
 * and then linked: there is never an empty or half-written one.
 *
 * A directory without an index (made by the reference's plugin) gets one when it is opened: built beside, renamed
 * into place. */
#include "ipam_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "hash.h"
#include "str.h"

#define OWNERS ".owners"
#define OWNERS_NEW ".owners.new"
/* Names of the moment, on file systems that cannot write a file without one. */
#define TEMPORARY ".new-"
/* What fs_replace_at() leaves when it is killed. */
#define TEMPORARY_LAST ".last_reserved_ip."

enum { OWNER_FILE_MAX = 1 << 20, ADDRESS_FILE_MAX = 4096, NAME_SIZE = 32 };

struct ipam_store {
	char *path;
	bool own;
	int dir, lock, owners;
};

/* --- open and close ------------------------------------------------------------------------------------------- */

void ipam_store_close(struct ipam_store *s)
{
	if (!s)
		return;
	close_fd(&s->owners);
	close_fd(&s->lock);
	close_fd(&s->dir);
	free(s->path);
	free(s);
}

/* 0, or -ESTALE when somebody removed the directory while we waited for its lock. */
static int lock_dir(struct ipam_store *s, struct error *err)
{
	struct stat st;

	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return errno == ENOENT ? -ESTALE : error_sys(err, "cannot open %s", s->path);
	s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return errno == ENOENT ? -ESTALE : error_sys(err, "cannot open %s/lock", s->path);
	while (flock(s->lock, LOCK_EX) < 0)
		if (errno != EINTR)
			return error_sys(err, "cannot lock %s/lock", s->path);
	if (fstat(s->lock, &st) < 0 || st.st_nlink == 0)
		return -ESTALE;
	return 0;
}

static int open_index(struct ipam_store *s, struct error *err);

/* The directory of all networks, when this was the last one (rmdir(2) refuses otherwise). */
static void remove_parent(const char *path)
{
	auto_free char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (slash && slash > parent) {
		*slash = '\0';
		rmdir(parent);
	}
}

static int open_store(const char *dir, bool own, bool make, struct ipam_store **ret, struct error *err)
{
	auto_ipam_store struct ipam_store *s = calloc(1, sizeof(*s));
	int code = -ESTALE;

	if (s)
		s->dir = s->lock = s->owners = -1;
	if (!s || !(s->path = strdup(dir)))
		return error_oom(err);
	s->own = own;
	while (code == -ESTALE) {
		close_fd(&s->lock);
		close_fd(&s->dir);
		code = make ? fs_mkdirs(dir, 0755, err) : access(dir, F_OK) < 0 ? -errno : 0;
		if (code == 0)
			code = lock_dir(s, err);
	}
	if (code == 0)
		code = open_index(s, err);
	/* Who made the parent may have been killed before it made this one. */
	if (code == -ENOENT && own && !make)
		remove_parent(dir);
	if (code < 0)
		return code;
	*ret = take_ptr(s);
	return 0;
}

int ipam_store_open(const char *dir, bool own, struct ipam_store **ret, struct error *err)
{
	return open_store(dir, own, true, ret, err);
}

int ipam_store_open_existing(const char *dir, bool own, struct ipam_store **ret, struct error *err)
{
	return open_store(dir, own, false, ret, err);
}

/* --- files ---------------------------------------------------------------------------------------------------- */

static int write_and_link(int fd, int dirfd, const char *temporary, const char *name, const char *text)
{
	char proc[FS_PROC_FD_SIZE];
	int code = fs_write_all(fd, text, strlen(text));

	if (code < 0)
		return code;
	if (temporary)
		return linkat(dirfd, temporary, dirfd, name, 0) < 0 ? -errno : 0;
	if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	/* Without CAP_DAC_READ_SEARCH. */
	return linkat(AT_FDCWD, fs_proc_fd(fd, proc), dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Makes the file with its content, or -EEXIST. */
static int create_whole(int dirfd, const char *name, const char *text)
{
	auto_close int fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	char temporary[NAME_SIZE];
	int code;

	if (fd >= 0)
		return write_and_link(fd, dirfd, NULL, name, text);
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return -errno;
	snprintf(temporary, sizeof(temporary), TEMPORARY "%d", (int)getpid());
	unlinkat(dirfd, temporary, 0);
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	code = write_and_link(fd, dirfd, temporary, name, text);
	unlinkat(dirfd, temporary, 0);
	return code;
}

/* Splits "ID\r\nIFNAME..." in place; an old file has only the ID. */
static void split_owner(char *text, const char **ret_id, const char **ret_ifname, char **ret_rest)
{
	char *end = text + strcspn(text, "\r\n"), *second = end + strspn(end, "\r\n");
	char *second_end = second + strcspn(second, "\r\n");

	*ret_rest = second_end + strspn(second_end, "\r\n");
	*end = '\0';
	*second_end = '\0';
	*ret_id = text;
	*ret_ifname = second;
}

static void owner_file(const char *id, const char *ifname, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%016" PRIx64, hash_text(hash_text(HASH_START, id), ifname));
}

/* True when the address's file names this owner. */
static bool is_owner(struct ipam_store *s, const char *address, const char *id, const char *ifname)
{
	auto_free char *text = NULL;
	const char *has_id, *has_ifname;
	char *rest;

	if (fs_read_at(s->dir, address, ADDRESS_FILE_MAX, &text, NULL, NULL) < 0)
		return false;
	split_owner(text, &has_id, &has_ifname, &rest);
	return str_eq(has_id, id) && (str_eq(has_ifname, ifname) || str_empty(has_ifname));
}

static const char *address_name(const struct ipaddr *a, char out[IPADDR_TEXT_SIZE])
{
	return ipaddr_text(a, false, out);
}

/* True for a file that stands for an address. */
static bool parse_name(const char *name, struct ipaddr *ret)
{
	return !strchr(name, '/') && ipaddr_parse(name, ret) == 0;
}

/* --- the index ------------------------------------------------------------------------------------------------ */

/* Adds an address to an owner's list in the index at dirfd. */
static int index_add(int dirfd, const char *id, const char *ifname, const char *address)
{
	auto_free char *text = str_printf("%s\r\n%s\r\n%s\r\n", id, ifname, address);
	char name[NAME_SIZE];
	auto_close int fd = -1;
	size_t skip;
	int code;

	if (!text)
		return -ENOMEM;
	owner_file(id, ifname, name);
	code = create_whole(dirfd, name, text);
	if (code != -EEXIST)
		return code;
	fd = openat(dirfd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
	skip = strlen(text) - strlen(address) - 2;
	/* One small write: it is there as a whole or not at all. */
	return fd < 0 ? -errno : fs_write_all(fd, text + skip, strlen(text + skip));
}

static int build_one(struct ipam_store *s, int dirfd, const char *address)
{
	auto_free char *text = NULL;
	const char *id, *ifname;
	char *rest;
	int code = fs_read_at(s->dir, address, ADDRESS_FILE_MAX, &text, NULL, NULL);

	if (code < 0)
		return code == -ENOENT ? 0 : code;
	split_owner(text, &id, &ifname, &rest);
	return index_add(dirfd, id, ifname, address);
}

/* Every name in the directory, in no order. */
static int each_name(int dirfd, int (*cb)(struct ipam_store *s, const char *name, void *arg), struct ipam_store *s,
		     void *arg)
{
	auto_closedir DIR *d = NULL;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = 0;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *e; code == 0 && (e = readdir(d));)
		code = cb(s, e->d_name, arg);
	return code;
}

static int build_name(struct ipam_store *s, const char *name, void *arg)
{
	struct ipaddr a;

	return parse_name(name, &a) ? build_one(s, *(int *)arg, name) : 0;
}

static int build_index(struct ipam_store *s, struct error *err)
{
	auto_close int fresh = -1;
	int code = fs_remove_tree(s->dir, OWNERS_NEW, err);

	if (code < 0)
		return code;
	if (mkdirat(s->dir, OWNERS_NEW, 0700) < 0)
		return error_sys(err, "cannot make %s/" OWNERS_NEW, s->path);
	fresh = openat(s->dir, OWNERS_NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	code = fresh < 0 ? -errno : each_name(s->dir, build_name, s, &fresh);
	if (code < 0)
		return error_set(err, -code, "cannot make an index of %s: %s", s->path, strerror(-code));
	if (renameat(s->dir, OWNERS_NEW, s->dir, OWNERS) < 0)
		return error_sys(err, "cannot make %s/" OWNERS, s->path);
	s->owners = take_fd(&fresh);
	return 0;
}

static int open_index(struct ipam_store *s, struct error *err)
{
	s->owners = openat(s->dir, OWNERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->owners >= 0)
		return 0;
	return errno == ENOENT ? build_index(s, err) : error_sys(err, "cannot open %s/" OWNERS, s->path);
}

/* --- giving --------------------------------------------------------------------------------------------------- */

bool ipam_store_taken(struct ipam_store *s, const struct ipaddr *a)
{
	char name[IPADDR_TEXT_SIZE];

	return faccessat(s->dir, address_name(a, name), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int ipam_store_reserve(struct ipam_store *s, const struct ipaddr *a, const char *id, const char *ifname,
		       struct error *err)
{
	auto_free char *owner = str_printf("%s\r\n%s", id, ifname);
	char name[IPADDR_TEXT_SIZE];
	int code;

	if (!owner)
		return error_oom(err);
	if (ipam_store_taken(s, a))
		return -EEXIST;
	code = index_add(s->owners, id, ifname, address_name(a, name));
	if (code == 0)
		code = create_whole(s->dir, name, owner);
	if (code == -EEXIST)
		return code;
	return code < 0 ? error_set(err, -code, "cannot reserve %s in %s: %s", name, s->path, strerror(-code)) : 0;
}

void ipam_store_last(struct ipam_store *s, unsigned set, struct ipaddr *ret)
{
	auto_free char *text = NULL;
	char name[NAME_SIZE];

	*ret = (struct ipaddr){0};
	snprintf(name, sizeof(name), "last_reserved_ip.%u", set);
	if (fs_read_at(s->dir, name, IPADDR_TEXT_SIZE, &text, NULL, NULL) == 0 && ipaddr_parse(text, ret) < 0)
		*ret = (struct ipaddr){0};
}

int ipam_store_set_last(struct ipam_store *s, unsigned set, const struct ipaddr *a, struct error *err)
{
	char name[NAME_SIZE], text[IPADDR_TEXT_SIZE];

	snprintf(name, sizeof(name), "last_reserved_ip.%u", set);
	address_name(a, text);
	return fs_replace_at(s->dir, name, text, strlen(text), 0600, err);
}

void ipam_store_owner(struct ipam_store *s, const struct ipaddr *a, char out[IPAM_STORE_OWNER_SIZE])
{
	auto_free char *text = NULL;
	const char *id, *ifname;
	char name[IPADDR_TEXT_SIZE], *rest;

	out[0] = '\0';
	if (fs_read_at(s->dir, address_name(a, name), ADDRESS_FILE_MAX, &text, NULL, NULL) < 0)
		return;
	split_owner(text, &id, &ifname, &rest);
	snprintf(out, IPAM_STORE_OWNER_SIZE, "%s%s%s", id, *ifname ? " " : "", ifname);
}

/* --- taking back ---------------------------------------------------------------------------------------------- */

int ipam_store_each(struct ipam_store *s, const char *id, const char *ifname, ipam_store_cb *cb, void *arg,
		    struct error *err)
{
	auto_free char *text = NULL;
	const char *has_id, *has_ifname;
	char name[NAME_SIZE], *rest, *save = NULL;
	int n = 0, code;

	owner_file(id, ifname, name);
	code = fs_read_at(s->owners, name, OWNER_FILE_MAX, &text, NULL, NULL);
	if (code == -ENOENT)
		return 0;
	if (code < 0)
		return error_set(err, -code, "cannot read %s/" OWNERS "/%s: %s", s->path, name, strerror(-code));
	split_owner(text, &has_id, &has_ifname, &rest);
	if (!str_eq(has_id, id) || !str_eq(has_ifname, ifname))
		return error_set(err, EEXIST, "%s/" OWNERS "/%s is %s's, not %s's: their names have the same hash",
				 s->path, name, has_id, id);
	for (char *line = strtok_r(rest, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		struct ipaddr a;

		if (!parse_name(line, &a) || !is_owner(s, line, id, ifname))
			continue;
		code = cb(&a, arg);
		if (code < 0)
			return code;
		n++;
	}
	return n;
}

/* The directory goes with the last owner, and its parent with the last network. The lock goes while we hold it: who
 * waits for it sees that and makes a new directory. */
static void remove_if_empty(struct ipam_store *s)
{
	char name[NAME_SIZE];

	if (!s->own || unlinkat(s->dir, OWNERS, AT_REMOVEDIR) < 0)
		return;
	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof(name), "last_reserved_ip.%u", i);
		if (unlinkat(s->dir, name, 0) < 0)
			break;
	}
	unlinkat(s->dir, "lock", 0);
	if (rmdir(s->path) == 0)
		remove_parent(s->path);
}

int ipam_store_release_address(struct ipam_store *s, const struct ipaddr *a, const char *id, const char *ifname,
			       struct error *err)
{
	char name[IPADDR_TEXT_SIZE];

	if (!is_owner(s, address_name(a, name), id, ifname))
		return 0;
	if (unlinkat(s->dir, name, 0) < 0 && errno != ENOENT)
		return error_sys(err, "cannot release %s in %s", name, s->path);
	return 0;
}

static int release_one(const struct ipaddr *a, void *arg)
{
	struct ipam_store *s = arg;
	char name[IPADDR_TEXT_SIZE];

	return unlinkat(s->dir, address_name(a, name), 0) < 0 && errno != ENOENT ? -errno : 0;
}

int ipam_store_release(struct ipam_store *s, const char *id, const char *ifname, struct error *err)
{
	char name[NAME_SIZE];
	int code = ipam_store_each(s, id, ifname, release_one, s, err);

	owner_file(id, ifname, name);
	if (code >= 0 && unlinkat(s->owners, name, 0) < 0 && errno != ENOENT)
		code = -errno;
	if (code < 0)
		return error_set(err, -code, "cannot release %s's addresses in %s: %s", id, s->path, strerror(-code));
	remove_if_empty(s);
	return 0;
}

/* --- gc ------------------------------------------------------------------------------------------------------- */

struct gc {
	ipam_store_live *live;
	void *arg;
	int dirfd;
};

/* A file whose first two lines name an owner: it goes when that one is not alive. */
static int gc_file(struct gc *g, const char *name)
{
	auto_free char *text = NULL;
	const char *id, *ifname;
	char *rest;
	int code = fs_read_at(g->dirfd, name, OWNER_FILE_MAX, &text, NULL, NULL);

	if (code < 0)
		return code == -ENOENT ? 0 : code;
	split_owner(text, &id, &ifname, &rest);
	if (g->live(id, ifname, g->arg))
		return 0;
	return unlinkat(g->dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int gc_address(struct ipam_store *s, const char *name, void *arg)
{
	struct ipaddr a;

	if (str_starts(name, TEMPORARY) || str_starts(name, TEMPORARY_LAST))
		return unlinkat(s->dir, name, 0) < 0 ? -errno : 0;
	return parse_name(name, &a) ? gc_file(arg, name) : 0;
}

static int gc_owner(struct ipam_store *s, const char *name, void *arg)
{
	if (str_starts(name, TEMPORARY))
		return unlinkat(s->owners, name, 0) < 0 ? -errno : 0;
	return name[0] == '.' ? 0 : gc_file(arg, name);
}

int ipam_store_gc(struct ipam_store *s, ipam_store_live *live, void *arg, struct error *err)
{
	struct gc g = {.live = live, .arg = arg, .dirfd = s->dir};
	int code = each_name(s->dir, gc_address, s, &g);

	g.dirfd = s->owners;
	if (code == 0)
		code = each_name(s->owners, gc_owner, s, &g);
	if (code < 0)
		return error_set(err, -code, "cannot clean up %s: %s", s->path, strerror(-code));
	remove_if_empty(s);
	return 0;
}
