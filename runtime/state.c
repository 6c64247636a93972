#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "fs.h"
#include "version.h"

#define STATE_FILE "state.json"
#define LOCK_FILE "lock"

enum { ID_MAX = 1024, STATE_MAX = 1 << 20 };

const struct word status_words[] = {
	{"creating", STATUS_CREATING}, {"created", STATUS_CREATED}, {"running", STATUS_RUNNING},
	{"paused", STATUS_PAUSED},     {"stopped", STATUS_STOPPED}, {NULL, 0},
};

static const struct json_field state_fields[] = {
	F_STRING(struct state, "ociVersion", oci_version, 0),
	F_STRING(struct state, "id", id, JSON_REQUIRED),
	F_I32(struct state, "pid", pid, JSON_KEEP),
	F_WORD(struct state, "status", status, status_words, JSON_REQUIRED | JSON_KEEP),
	F_STRING(struct state, "bundle", bundle, JSON_REQUIRED),
	F_STRING(struct state, "rootfs", rootfs, 0),
	F_STRING(struct state, "created", created, 0),
	F_STRING(struct state, "owner", owner, 0),
	F_U64(struct state, "startTime", start_time, 0),
	F_MAP(struct state, "annotations", annotations, 0),
	F_STRINGS(struct state, "cgroups", cgroups, 0),
	F_STRING(struct state, "unit", unit, 0),
	F_STRING(struct state, "netns", netns_name, 0),
	F_U64(struct state, "netnsInode", netns_inode, 0),
	F_STRINGS(struct state, "attachments", attachments, 0),
	F_BOOL(struct state, "services", has_services, 0),
	F_BOOL(struct state, "noPidNamespace", no_pid_namespace, 0),
	F_END,
};
JSON_TYPE(state_type, struct state, state_fields);

int state_check_id(const char *id, struct error *err)
{
	size_t len = strlen(id);

	if (len == 0)
		return error_set(err, EINVAL, "container id cannot be empty");
	if (len > ID_MAX || !fs_is_name(id) ||
	    strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-") != len)
		return error_set(err, EINVAL, "invalid container ID \"%.64s\": letters, digits and _ + . - make one", id);
	return 0;
}

int state_open_root(bool make, struct error *err)
{
	int fd = open(globals.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd >= 0)
		return fd;
	if (errno != ENOENT || !make)
		return error_sys(err, "cannot open the state root %s", globals.root);
	/* Sticky, so that what cleans up old files in $XDG_RUNTIME_DIR leaves it (XDG base directory specification). */
	rc = fs_mkdirs(globals.root, S_IRWXU | S_ISVTX, err);
	return rc < 0 ? rc : fs_open_at(AT_FDCWD, globals.root, O_RDONLY | O_DIRECTORY, 0, err);
}

/* --- state.json --------------------------------------------------------------------------------------------- */

int state_load(struct state *s, int dir_fd, const char *id, struct error *err)
{
	auto_free char *text = NULL;
	auto_json struct json_doc *doc = NULL;
	size_t len;
	int rc = fs_read_at(dir_fd, STATE_FILE, STATE_MAX, &text, &len, err);

	if (rc < 0)
		return rc;
	doc = json_parse(STATE_FILE, text, len, err);
	if (!doc)
		return error_wrap(err, "cannot read the state of container %s", id);
	rc = json_decode(doc, json_root(doc), &state_type, s, STATE_FILE, err);
	if (rc < 0)
		return error_wrap(err, "cannot read the state of container %s", id);
	s->doc = take_ptr(doc);
	return 0;
}

int state_save(const struct state *s, int dir_fd, struct error *err)
{
	auto_buf struct buf b = {0};

	json_encode(&b, &state_type, s, 0);
	if (b.failed)
		return error_oom(err);
	return fs_replace_at(dir_fd, STATE_FILE, b.data, b.len, 0600, err);
}

void state_free(struct state *s)
{
	json_free(s->doc);
	*s = (struct state){0};
}

/* --- what is so --------------------------------------------------------------------------------------------- */

uint64_t state_start_time(pid_t pid)
{
	char path[32], text[1024], *p;
	auto_close int fd = -1;
	unsigned long long start = 0;
	ssize_t n;
	char what;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* The name in field 2 may hold anything, so count from its closing bracket. */
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &what,
			 &start) != 2)
		return 0;
	return what == 'Z' || what == 'X' ? 0 : start;
}

/* A pidfd of the container's init, or -1: it has ended, though another process may have its number by now. */
static int open_init(const struct state *s)
{
	auto_close int fd = s->pid > 0 ? pidfd_open(s->pid, 0) : -1;

	if (fd < 0 || state_start_time(s->pid) != s->start_time)
		return -1;
	return take_fd(&fd);
}

static bool creator_lives(int dir_fd)
{
	auto_close int fd = openat(dir_fd, LOCK_FILE, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool is_frozen(const struct state *s)
{
	struct cgroup c;
	bool frozen;

	if (!s->cgroups || cgroup_from_paths(s->cgroups, s->unit, &c, NULL) < 0)
		return false;
	frozen = cgroup_is_frozen(&c);
	cgroup_close(&c);
	return frozen;
}

int state_refresh(struct state *s, int dir_fd, bool locked)
{
	int pidfd;

	if (s->status == STATUS_CREATING && !locked && creator_lives(dir_fd))
		return -1;
	/* With a pid, and nobody at work any more: its program was executed. */
	if (s->status == STATUS_CREATING)
		s->status = STATUS_RUNNING;
	pidfd = open_init(s);
	if (pidfd < 0)
		s->status = STATUS_STOPPED;
	else if (is_frozen(s))
		s->status = STATUS_PAUSED;
	return pidfd;
}

/* --- as the runtime-spec defines it ------------------------------------------------------------------------- */

/* The order is runc's. */
struct oci_state {
	const char *oci_version, *id, *status, *bundle, *rootfs, *created, *owner, *unit;
	int32_t pid;
	struct json_map annotations;
};

static const struct json_field oci_fields[] = {
	F_STRING(struct oci_state, "ociVersion", oci_version, JSON_KEEP),
	F_STRING(struct oci_state, "id", id, JSON_KEEP),
	F_I32(struct oci_state, "pid", pid, JSON_KEEP),
	F_STRING(struct oci_state, "status", status, JSON_KEEP),
	F_STRING(struct oci_state, "bundle", bundle, JSON_KEEP),
	F_STRING(struct oci_state, "rootfs", rootfs, JSON_KEEP),
	F_STRING(struct oci_state, "created", created, JSON_KEEP),
	F_MAP(struct oci_state, "annotations", annotations, 0),
	F_STRING(struct oci_state, "owner", owner, JSON_KEEP),
	F_STRING(struct oci_state, "systemd-scope", unit, 0), /* crun's word */
	F_END,
};
static JSON_TYPE(oci_type, struct oci_state, oci_fields);

void state_write_oci(struct buf *b, const struct state *s, const char *status, int32_t pid, int indent)
{
	const struct oci_state o = {
		.oci_version = s->oci_version ? s->oci_version : OCI_SPEC_VERSION,
		.id = s->id,
		.status = status,
		.bundle = s->bundle,
		.rootfs = s->rootfs ? s->rootfs : "",
		.created = s->created ? s->created : "",
		.owner = s->owner ? s->owner : "",
		.unit = s->unit,
		.pid = pid,
		.annotations = s->annotations,
	};

	json_encode(b, &oci_type, &o, indent);
}
