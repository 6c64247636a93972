#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fs.h"
#include "netns.h"
#include "str.h"

enum { RECORD_MAX = 2 * JSON_MAX_SIZE, TRIES = 16 };

static const struct json_field record_fields[] = {
	F_STRING(struct record, "containerID", container_id, JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct record, "ifname", ifname, JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct record, "network", network, JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct record, "netns", netns, 0),
	F_STRING(struct record, "netnsID", netns_id, 0),
	F_STRING(struct record, "type", type, 0),
	F_STRING(struct record, "path", path, 0),
	F_STRING(struct record, "args", args, 0),
	F_STRING(struct record, "created", created, 0),
	F_RAW(struct record, "capabilities", capabilities, 0),
	F_RAW(struct record, "config", config, JSON_REQUIRED),
	F_RAW(struct record, "result", result, 0),
	F_END,
};
JSON_TYPE(record_type, struct record, record_fields);

/* --- names --------------------------------------------------------------------------------------------------- */

static char *directory(const char *container_id)
{
	if (!container_id)
		return str_printf("%s/attachments", call_root());
	return str_printf("%s/attachments/%s", call_root(), container_id);
}

char *record_path(const struct record *r)
{
	auto_free char *dir = directory(r->container_id);

	if (!dir)
		return NULL;
	if (r->type)
		return str_printf("%s/%s.%s.%s.json", dir, r->ifname, r->network, r->type);
	return str_printf("%s/%s.json", dir, r->ifname);
}

static int netns_text(struct rtnl *in_it, int fd, char *out, size_t size, struct error *err)
{
	uint64_t cookie = rtnl_netns_cookie(in_it);
	struct stat st;

	if (cookie) {
		snprintf(out, size, "%llu", (unsigned long long)cookie);
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot tell which network namespace this is");
	snprintf(out, size, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 0;
}

int record_netns(const struct record *r)
{
	auto_rtnl struct rtnl *n = NULL;
	auto_close int fd = -1;
	char id[64];

	if (str_empty(r->netns))
		return -1;
	fd = netns_open(r->netns, NULL);
	if (fd < 0 || rtnl_open_in(fd, &n, NULL) < 0 || netns_text(n, fd, id, sizeof(id), NULL) < 0)
		return -1;
	return str_eq(id, r->netns_id) ? take_fd(&fd) : -1;
}

int record_fill(struct json_doc *doc, struct cni_call *call, const char *network, struct record *r, struct error *err)
{
	auto_buf struct buf args = {0};
	char id[64], now[STR_TIME_SIZE];
	struct rtnl *container;
	int code = call_container(call, &container, err);

	if (code == 0)
		code = netns_text(container, call->netns_fd, id, sizeof(id), err);
	if (code < 0)
		return code;
	str_time(now);
	for (size_t i = 0; i < call->args.n; i++)
		buf_printf(&args, "%s%s=%s", i ? ";" : "", call->args.pairs[i].key, call->args.pairs[i].value);
	*r = (struct record){
		.container_id = call->container_id,
		.ifname = call->ifname,
		.network = network,
		.netns = call->netns,
		.netns_id = json_strdup(doc, id),
		.path = call->path,
		.args = args.len ? json_strdup(doc, args.data) : NULL,
		.created = json_strdup(doc, now),
	};
	return r->netns_id && r->created ? 0 : error_oom(err);
}

/* --- making -------------------------------------------------------------------------------------------------- */

static int open_root_lock(int how, struct error *err)
{
	auto_free char *path = str_printf("%s/.lock", call_root());
	auto_close int fd = -1;
	int code;

	if (!path)
		return error_oom(err);
	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ENOENT) {
		code = fs_mkdirs(call_root(), 0711, err);
		if (code < 0)
			return code;
		fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		return error_sys(err, "cannot open %s", path);
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return error_sys(err, "cannot lock %s", path);
	return take_fd(&fd);
}

/* This process's share of it, while it makes an attachment. */
static int shared_lock = -1;

bool record_alone(void)
{
	return shared_lock >= 0 && flock(shared_lock, LOCK_EX | LOCK_NB) == 0;
}

int record_lock_all(struct error *err)
{
	return open_root_lock(LOCK_EX, err);
}

/* The container's directory; that of all is mostly there. */
static int make_directory(const char *dir, struct error *err)
{
	auto_free char *all = NULL;

	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return 0;
	all = errno == ENOENT ? directory(NULL) : NULL;
	if (all && mkdir(all, 0700) == 0 && (mkdir(dir, 0700) == 0 || errno == EEXIST))
		return 0;
	return fs_mkdirs(dir, 0700, err);
}

/* A file without a name, locked: nobody can see it before it is complete and ours. */
static int open_nameless(const char *dir, struct error *err)
{
	auto_close int fd = -1;

	for (int i = 0; i < TRIES && fd < 0; i++) {
		fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0 && errno != ENOENT)
			return error_sys(err, "cannot create a record in %s", dir);
		/* Again, if somebody else removes the last record of this container at this moment. */
		if (fd < 0 && make_directory(dir, err) < 0)
			return -ENOENT;
	}
	if (fd < 0)
		return error_sys(err, "cannot create a record in %s", dir);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_sys(err, "cannot lock a new record in %s", dir);
	return take_fd(&fd);
}

/* Why there is one already. */
static int occupied(const char *path, struct error *err)
{
	auto_json struct json_doc *doc = NULL;
	struct record old;
	int code;

	if (record_locked(path))
		return error_set(err, EEXIST, "the attachment is being made by another process");
	code = record_load(path, &doc, &old, NULL);
	if (code == 0 && old.result)
		return error_set(err, EEXIST, "the attachment exists already: %s", path);
	return error_set(err, ESTALE, "%s is left of an attachment that was not completed", path);
}

static int give_name(const char *nameless, const char *dir, const char *path, struct error *err)
{
	for (int i = 0; i < TRIES; i++) {
		if (linkat(AT_FDCWD, nameless, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
			return 0;
		if (errno == EEXIST)
			return occupied(path, err);
		/* Somebody else has just removed the last record of this container. */
		if (errno != ENOENT || make_directory(dir, err) < 0)
			break;
	}
	return error_sys(err, "cannot create %s", path);
}

/* The object with a newline before its last brace, where the result will go. */
static void encode_open(const struct record *r, struct buf *text)
{
	json_encode(text, &record_type, r, 0);
	if (text->failed)
		return;
	text->len--;
	buf_puts(text, "\n}");
}

int record_begin(const struct record *r, struct record_file *f, struct error *err)
{
	auto_free char *dir = directory(r->container_id), *path = record_path(r);
	auto_close int fd = -1;
	auto_close int root = -1;
	auto_buf struct buf text = {0};
	char proc[FS_PROC_FD_SIZE];
	int code;

	encode_open(r, &text);
	if (!dir || !path || text.failed)
		return error_oom(err);
	root = open_root_lock(LOCK_SH, err);
	if (root < 0)
		return root;
	fd = open_nameless(dir, err);
	if (fd < 0)
		return fd;
	code = fs_write_all(fd, text.data, text.len);
	if (code < 0)
		return error_set(err, -code, "cannot write %s: %s", path, strerror(-code));
	code = give_name(fs_proc_fd(fd, proc), dir, path, err);
	if (code < 0)
		return code;
	shared_lock = root;
	*f = (struct record_file){
		.owned = true, .lock = take_fd(&fd), .root_lock = take_fd(&root), .path = take_ptr(path), .end = text.len - 1};
	return 0;
}

static void let_go(struct record_file *f)
{
	close_fd(&f->lock);
	if (f->root_lock >= 0)
		shared_lock = -1;
	close_fd(&f->root_lock);
	free(f->path);
	f->path = NULL;
	f->owned = false;
}

int record_finish(const struct record *r, struct record_file *f, struct error *err)
{
	auto_buf struct buf text = {0};
	ssize_t n;

	if (!f->owned)
		return 0;
	buf_puts(&text, ",\"result\":");
	json_write(&text, r->result, 0);
	buf_puts(&text, "}");
	if (text.failed)
		return error_oom(err);
	n = pwrite(f->lock, text.data, text.len, (off_t)f->end);
	if (n < 0)
		return error_sys(err, "cannot write %s", f->path);
	if ((size_t)n != text.len)
		return error_set(err, ENOSPC, "cannot write %s: %s", f->path, strerror(ENOSPC));
	let_go(f);
	return 0;
}

void record_abort(struct record_file *f)
{
	if (f->owned)
		record_remove(f->path);
	let_go(f);
}

/* --- reading and removing ------------------------------------------------------------------------------------ */

/* What stands before the result, when that is not whole. */
static struct json_doc *parse_first_line(const char *path, char *text, struct error *err)
{
	char *end = strchr(text, '\n');

	if (!end)
		return NULL;
	*end = '}';
	return json_parse(path, text, (size_t)(end + 1 - text), err);
}

int record_load(const char *path, struct json_doc **ret_doc, struct record *ret, struct error *err)
{
	auto_json struct json_doc *doc = NULL;
	auto_free char *text = NULL;
	size_t len;
	int code = fs_read_at(AT_FDCWD, path, RECORD_MAX, &text, &len, err);

	if (code < 0)
		return code;
	doc = json_parse(path, text, len, err);
	if (!doc)
		doc = parse_first_line(path, text, err);
	if (!doc)
		return -EINVAL;
	code = json_decode(doc, json_root(doc), &record_type, ret, path, err);
	if (code < 0)
		return code;
	*ret_doc = take_ptr(doc);
	return 0;
}

void record_remove(const char *path)
{
	auto_free char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	unlink(path);
	if (!slash)
		return;
	*slash = '\0';
	record_sweep(strrchr(dir, '/') + 1);
}

static bool lock_once(const char *path, int how)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return true;
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

bool record_locked(const char *path)
{
	return !lock_once(path, LOCK_SH | LOCK_NB);
}

void record_wait(const char *path)
{
	lock_once(path, LOCK_SH);
}

static int add_paths(const char *dir, char ***paths, struct error *err)
{
	auto_closedir DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : error_sys(err, "cannot read %s", dir);
	while ((e = readdir(d)))
		if (str_ends(e->d_name, ".json") && strv_addf(paths, "%s/%s", dir, e->d_name) < 0)
			return error_oom(err);
	return 0;
}

static int add_all_paths(char ***paths, struct error *err)
{
	auto_free char *all = directory(NULL);
	auto_closedir DIR *d = all ? opendir(all) : NULL;
	const struct dirent *e;
	int code = 0;

	if (!all)
		return error_oom(err);
	if (!d)
		return errno == ENOENT ? 0 : error_sys(err, "cannot read %s", all);
	while (code == 0 && (e = readdir(d))) {
		auto_free char *dir = fs_is_name(e->d_name) ? directory(e->d_name) : NULL;

		if (dir)
			code = add_paths(dir, paths, err);
	}
	return code;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int record_paths(const char *container_id, char ***ret, struct error *err)
{
	auto_strv char **paths = NULL;
	auto_free char *dir = container_id ? directory(container_id) : NULL;
	int code = container_id ? add_paths(dir, &paths, err) : add_all_paths(&paths, err);

	if (code < 0)
		return code;
	if (paths)
		qsort(paths, strv_len(paths), sizeof(*paths), compare_paths);
	*ret = take_ptr(paths);
	return 0;
}

static void sweep_all(const char *all)
{
	auto_closedir DIR *d = opendir(all);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (fs_is_name(e->d_name))
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
}

/* A directory with something in it stays: rmdir(2) refuses. */
void record_sweep(const char *container_id)
{
	auto_free char *all = directory(NULL), *one = container_id ? directory(container_id) : NULL;

	if (!all)
		return;
	if (!container_id)
		sweep_all(all);
	if (one && rmdir(one) < 0 && errno != ENOENT)
		return;
	rmdir(all);
}
