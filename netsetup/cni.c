#include "cni.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "fs.h"
#include "record.h"
#include "str.h"
#include "version.h"

/* --- what is printed ----------------------------------------------------------------------------------------- */

static const char *newest_version(void)
{
	size_t n;
	const char *const *versions = conf_versions(&n);

	return versions[n - 1];
}

/* An errno is none of the specification's codes; what comes from the kernel or a file is "internal" there, as with the
 * reference's plugins. */
static unsigned error_code(const struct error *err)
{
	return err->code > ERROR_OWN ? (unsigned)(err->code - ERROR_OWN) : CNI_INTERNAL - ERROR_OWN;
}

void cni_error_json(const struct error *err, const char *version, struct buf *out)
{
	buf_puts(out, "{\"cniVersion\":");
	json_write_text(out, version ? version : newest_version());
	buf_printf(out, ",\"code\":%u,\"msg\":", error_code(err));
	json_write_text(out, err->msg);
	buf_puts(out, "}\n");
}

static int print(const struct buf *out)
{
	return out->failed || fs_write_all(STDOUT_FILENO, out->data, out->len) < 0 ? 1 : 0;
}

static int print_error(const struct error *err, const char *version)
{
	auto_buf struct buf out = {0};

	cni_error_json(err, version, &out);
	print(&out);
	return 1;
}

static void put_versions(struct buf *out, const char *separator)
{
	size_t n;
	const char *const *versions = conf_versions(&n);

	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? separator : "");
		json_write_text(out, versions[i]);
	}
}

static int print_versions(void)
{
	auto_buf struct buf out = {0};

	buf_puts(&out, "{\"cniVersion\":");
	json_write_text(&out, newest_version());
	buf_puts(&out, ",\"supportedVersions\":[");
	put_versions(&out, ",");
	buf_puts(&out, "]}\n");
	return print(&out);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

void cni_about(const char *argv0)
{
	size_t n;
	const char *const *versions = conf_versions(&n);

	fprintf(stderr, "CNI %s plugin of netsetup %s\nCNI protocol versions supported:", base_name(argv0), PROJECT_VERSION);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s %s", i ? "," : "", versions[i]);
	fputc('\n', stderr);
}

/* --- the request --------------------------------------------------------------------------------------------- */

static int read_config(struct json_doc **ret, struct error *err)
{
	auto_free char *text = NULL;
	struct json_doc *doc;
	size_t len;

	if (fs_read_fd(STDIN_FILENO, "stdin", JSON_MAX_SIZE, &text, &len, err) < 0) {
		err->code = CNI_IO;
		return -CNI_IO;
	}
	doc = json_parse("network configuration", text, len, err);
	if (!doc) {
		err->code = CNI_DECODE;
		return -CNI_DECODE;
	}
	*ret = doc;
	return 0;
}

/* DEL goes on without a prevResult that it cannot read: it may come from a version or a plugin that is no more. */
static int load_config(const struct cni_call *call, struct json_doc *doc, struct cni_conf *conf, struct error *err)
{
	struct json_value *root = json_root(doc);
	int code = conf_load(doc, root, conf, err);

	if (code < 0 && call->command == CNI_DEL && json_get(root, "prevResult")) {
		json_unset(root, "prevResult");
		code = conf_load(doc, root, conf, err);
	}
	return code;
}

static const struct plugin *choose(const char *argv0, const struct cni_conf *conf, struct error *err)
{
	const struct plugin *p = plugin_find(base_name(argv0));

	if (p && p->is_ipam)
		return p;
	p = plugin_find(conf->type);
	if (!p)
		error_set(err, CNI_INVALID_CONFIG, "type '%s' is no plugin of netsetup's (`netsetup help` lists them)", conf->type);
	return p;
}

/* --- records ------------------------------------------------------------------------------------------------- */

/* Plugins that keep nothing outside the container's namespace need no record. */
static bool needs_record(const struct plugin *p)
{
	return p != &plugin_loopback && p != &plugin_static;
}

/* An attempt before this one that was killed: what it left is in nobody's way once it is undone. */
static void undo_interrupted(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, const char *path)
{
	if (p->del)
		p->del(call, conf, NULL);
	record_remove(path);
}

/* A record that another ADD has made stays its own, and this one goes on without: it will fail in what it makes, with a
 * better reason than this. */
static int begin_record(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct record *r,
			struct record_file *f, struct error *err)
{
	auto_free char *path = NULL;
	int code = record_fill(conf->doc, call, conf->name, r, err);

	if (code < 0)
		return code;
	r->type = p->type;
	r->config = conf->raw;
	code = record_begin(r, f, err);
	if (code == -ESTALE) {
		path = record_path(r);
		if (!path)
			return error_oom(err);
		undo_interrupted(p, call, conf, path);
		code = record_begin(r, f, err);
	}
	return code == -EEXIST ? 0 : code;
}

static void forget_record(const struct plugin *p, const struct cni_call *call, const struct cni_conf *conf)
{
	struct record r = {
		.container_id = call->container_id, .ifname = call->ifname, .network = conf->name, .type = p->type};
	auto_free char *path = record_path(&r);

	if (path)
		record_remove(path);
}

/* --- commands ------------------------------------------------------------------------------------------------ */

static int add(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct buf *out, struct error *err)
{
	struct record_file f = RECORD_FILE_INIT;
	struct json_value *result = NULL;
	struct record r;
	int code = call_open(call, conf, err);

	if (code == 0 && needs_record(p))
		code = begin_record(p, call, conf, &r, &f, err);
	if (code == 0)
		code = plugin_run(p, call, conf, &result, err);
	if (code == 0) {
		json_write(out, result, 0);
		buf_putc(out, '\n');
		r.result = result;
		code = out->failed ? error_oom(err) : record_finish(&r, &f, err);
		if (code < 0 && p->del)
			p->del(call, conf, NULL);
	}
	record_abort(&f);
	return code;
}

static int del(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int code = plugin_run(p, call, conf, NULL, err);

	if (code == 0 && needs_record(p))
		forget_record(p, call, conf);
	return code;
}

/* Records of this plugin and network whose attachment is not in the valid list. */
static void forget_stale(const struct plugin *p, const struct cni_conf *conf)
{
	auto_strv char **paths = NULL;

	if (record_paths(NULL, &paths, NULL) < 0)
		return;
	for (char **path = paths; path && *path; path++) {
		auto_json struct json_doc *doc = NULL;
		struct record r;

		if (record_load(*path, &doc, &r, NULL) == 0 && str_eq(r.type, p->type) && str_eq(r.network, conf->name) &&
		    !conf_attachment_valid(conf, r.container_id, r.ifname))
			record_remove(*path);
	}
}

static int gc(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_close int lock = record_lock_all(err);
	int code;

	if (lock < 0)
		return lock;
	code = plugin_run(p, call, conf, NULL, err);
	if (code == 0)
		forget_stale(p, conf);
	return code;
}

static int run(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct buf *out, struct error *err)
{
	switch (call->command) {
	case CNI_ADD:
		return add(p, call, conf, out, err);
	case CNI_DEL:
		return del(p, call, conf, err);
	case CNI_GC:
		return gc(p, call, conf, err);
	default:
		return plugin_run(p, call, conf, NULL, err);
	}
}

int cni_main(const char *argv0)
{
	auto_json struct json_doc *env = json_new(), *doc = NULL;
	auto_buf struct buf out = {0};
	struct cni_call call = CALL_INIT;
	const struct plugin *p;
	struct cni_conf conf = {0};
	struct error err = {0};
	int code;

	if (!env) {
		error_oom(&err);
		return print_error(&err, NULL);
	}
	if (call_from_env(env, &call, &err) < 0)
		return print_error(&err, NULL);
	if (call.command == CNI_VERSION)
		return print_versions();
	code = read_config(&doc, &err);
	if (code == 0)
		code = load_config(&call, doc, &conf, &err);
	p = code == 0 ? choose(argv0, &conf, &err) : NULL;
	if (p)
		code = run(p, &call, &conf, &out, &err);
	call_close(&call);
	if (!p || code < 0)
		return print_error(&err, conf.cni_version);
	return print(&out);
}
