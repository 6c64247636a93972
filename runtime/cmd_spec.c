/* nsrun spec: an example configuration, the one that `runc spec` writes; or a check of the one that is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "error.h"
#include "fs.h"
#include "json.h"
#include "spec.h"
#include "version.h"

#define CAPS "[\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]"

static const char example[] =
	"{\"ociVersion\": \"" OCI_SPEC_VERSION "\","
	"\"process\": {"
	"  \"terminal\": true, \"user\": {\"uid\": 0, \"gid\": 0}, \"args\": [\"sh\"],"
	"  \"env\": [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\", \"TERM=xterm\"], \"cwd\": \"/\","
	"  \"capabilities\": {\"bounding\": " CAPS ", \"effective\": " CAPS ", \"permitted\": " CAPS "},"
	"  \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024}],"
	"  \"noNewPrivileges\": true},"
	"\"root\": {\"path\": \"rootfs\", \"readonly\": true},"
	"\"hostname\": \"nsrun\","
	"\"mounts\": ["
	"  {\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\"},"
	"  {\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\","
	"   \"options\": [\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"]},"
	"  {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\","
	"   \"options\": [\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", \"mode=0620\", \"gid=5\"]},"
	"  {\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\","
	"   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"]},"
	"  {\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\","
	"   \"options\": [\"nosuid\", \"noexec\", \"nodev\"]},"
	"  {\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\","
	"   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"ro\"]},"
	"  {\"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\","
	"   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"relatime\", \"ro\"]}],"
	"\"linux\": {"
	"  \"resources\": {\"devices\": [{\"allow\": false, \"access\": \"rwm\"}]},"
	"  \"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"ipc\"}, {\"type\": \"uts\"},"
	"   {\"type\": \"mount\"}],"
	"  \"maskedPaths\": [\"/proc/acpi\", \"/proc/asound\", \"/proc/kcore\", \"/proc/keys\", \"/proc/latency_stats\","
	"   \"/proc/timer_list\", \"/proc/timer_stats\", \"/proc/sched_debug\", \"/sys/firmware\", \"/proc/scsi\"],"
	"  \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\"]}}";

/* What replaces the mount of /sys: sysfs shows the network namespace, which belongs to another user namespace. */
static const char rootless_sys[] = "{\"destination\": \"/sys\", \"type\": \"none\", \"source\": \"/sys\","
				   "\"options\": [\"rbind\", \"nosuid\", \"noexec\", \"nodev\", \"ro\"]}";

enum { CGROUP2_MAGIC = 0x63677270 };

static bool is_cgroup2(void)
{
	struct statfs s;

	return statfs("/sys/fs/cgroup", &s) == 0 && s.f_type == CGROUP2_MAGIC;
}

static int add_namespace(struct json_doc *doc, struct json_value *namespaces, const char *type)
{
	struct json_value *v = json_make(doc, JSON_OBJECT);

	return json_set(doc, v, "type", json_make_text(doc, type)) < 0 ? -ENOMEM : json_append(doc, namespaces, v);
}

/* A copy of the array without what `drop` says. */
static struct json_value *filter(struct json_doc *doc, const struct json_value *array,
				 bool (*drop)(const struct json_value *))
{
	struct json_value *kept = json_make(doc, JSON_ARRAY);

	for (size_t i = 0; kept && i < array->n; i++)
		if (!drop(array->items[i]) && json_append(doc, kept, array->items[i]) < 0)
			return NULL;
	return kept;
}

static bool is_network(const struct json_value *v)
{
	return str_eq(json_get_text(v, "type"), "network");
}

static bool is_id_option(const struct json_value *v)
{
	return str_starts(v->text, "gid=") || str_starts(v->text, "uid=");
}

static int set_own_id(struct json_doc *doc, struct json_value *linux_, const char *key, uint32_t id)
{
	struct json_value *map = json_make(doc, JSON_OBJECT), *list = json_make(doc, JSON_ARRAY);

	if (json_set(doc, map, "containerID", json_make_u64(doc, 0)) < 0 ||
	    json_set(doc, map, "hostID", json_make_u64(doc, id)) < 0 ||
	    json_set(doc, map, "size", json_make_u64(doc, 1)) < 0 || json_append(doc, list, map) < 0)
		return -ENOMEM;
	return json_set(doc, linux_, key, list);
}

static int rootless_mounts(struct json_doc *doc, struct json_value *mounts, const struct json_value *sys)
{
	for (size_t i = 0; i < mounts->n; i++) {
		struct json_value *m = mounts->items[i], *options = json_get(m, "options");

		if (str_eq(json_get_text(m, "destination"), "/sys")) {
			mounts->items[i] = json_copy(doc, sys);
			if (!mounts->items[i])
				return -ENOMEM;
		} else if (options && json_set(doc, m, "options", filter(doc, options, is_id_option)) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

/* What only root may ask for goes; a user namespace in which the caller is root comes. */
static int make_rootless(struct json_doc *doc, struct error *err)
{
	auto_json struct json_doc *sys = json_parse("rootless /sys", rootless_sys, sizeof(rootless_sys) - 1, err);
	struct json_value *linux_ = json_get(json_root(doc), "linux");
	struct json_value *namespaces = filter(doc, json_get(linux_, "namespaces"), is_network);

	if (!sys || !namespaces || add_namespace(doc, namespaces, "user") < 0 ||
	    json_set(doc, linux_, "namespaces", namespaces) < 0 ||
	    set_own_id(doc, linux_, "uidMappings", geteuid()) < 0 ||
	    set_own_id(doc, linux_, "gidMappings", getegid()) < 0 ||
	    rootless_mounts(doc, json_get(json_root(doc), "mounts"), json_root(sys)) < 0)
		return error_oom(err);
	json_unset(linux_, "resources");
	return 0;
}

static int make_example(bool rootless, struct buf *out, struct error *err)
{
	auto_json struct json_doc *doc = json_parse("example", example, sizeof(example) - 1, err);
	int r = 0;

	if (!doc)
		return error_oom(err);
	if (is_cgroup2() && add_namespace(doc, json_get(json_get(json_root(doc), "linux"), "namespaces"), "cgroup") < 0)
		return error_oom(err);
	if (rootless)
		r = make_rootless(doc, err);
	if (r < 0)
		return r;
	json_write(out, json_root(doc), 4);
	buf_putc(out, '\n');
	return out->failed ? error_oom(err) : 0;
}

struct options {
	const char *bundle;
	bool rootless, check;
};

static const struct cli_option options[] = {
	{"bundle", 'b', CLI_STRING, offsetof(struct options, bundle), "DIR",
	 "the bundle's directory (default: the current one)"},
	{"rootless", 0, CLI_BOOL, offsetof(struct options, rootless), NULL, "for a user without privileges"},
	{"check", 0, CLI_BOOL, offsetof(struct options, check), NULL,
	 "write nothing: check the configuration that is there (FILE instead of config.json)"},
	{.kind = CLI_END},
};

static int check_file(int dirfd, const char *path, struct error *err)
{
	struct spec s;
	int r = spec_load(&s, dirfd, path, err);

	if (r < 0)
		return r;
	r = spec_check_host(&s, err);
	spec_free(&s);
	return r < 0 ? error_wrap(err, "%s", path) : 0;
}

static int write_example(int dirfd, const struct options *o, struct error *err)
{
	auto_buf struct buf text = {0};
	auto_close int fd = -1;
	int r = make_example(o->rootless, &text, err);

	if (r < 0)
		return r;
	fd = openat(dirfd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return error_set(err, EEXIST, "File config.json exists. Remove it first");
	if (fd < 0)
		return error_sys(err, "cannot make config.json");
	r = fs_write_all(fd, text.data, text.len);
	return r < 0 ? error_set(err, -r, "cannot write config.json: %s", strerror(-r)) : 0;
}

static int run(void *opts, int argc, char **argv)
{
	const struct options *o = opts;
	struct error err = {0};
	auto_close int dirfd = -1;
	int r;

	dirfd = fs_open_at(AT_FDCWD, o->bundle ? o->bundle : ".", O_PATH | O_DIRECTORY, 0, &err);
	if (dirfd < 0)
		return command_failed(&err);
	if (argc && !o->check) {
		error_set(&err, EINVAL, "FILE needs --check");
		return command_failed(&err);
	}
	r = o->check ? check_file(dirfd, argc ? argv[0] : "config.json", &err) : write_example(dirfd, o, &err);
	return r < 0 ? command_failed(&err) : 0;
}

const struct cli_command cmd_spec = {
	.name = "spec",
	.args = "[FILE]",
	.help = "write an example config.json, or check one",
	.details = "With --check, FILE (config.json) is read as `create` would read it, and what is wrong with it is said.",
	.options = options,
	.options_size = sizeof(struct options),
	.max_args = 1,
	.run = run,
};
