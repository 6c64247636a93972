/* The services file: field tables and loading. Unlike config.json's, its unknown properties are errors: the file is
 * read by nsrun only, and a misspelt "need" must not start a gateway without its firewall. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "json.h"
#include "seccomp.h"
#include "services.h"
#include "services_file.h"

static const struct word restart_words[] = {
	{"no", RESTART_NO}, {"on-failure", RESTART_ON_FAILURE}, {"always", RESTART_ALWAYS}, {NULL, 0}};
static const struct word give_up_words[] = {
	{"ignore", GIVE_UP_IGNORE}, {"stop-container", GIVE_UP_STOP_CONTAINER}, {NULL, 0}};
static const struct word health_words[] = {
	{"restart", HEALTH_RESTART}, {"cascade", HEALTH_CASCADE}, {"none", HEALTH_NONE}, {NULL, 0}};

static const struct json_field ready_fields[] = {
	F_HAS(struct ready_conf, "fd", JSON_U32, fd, uint32_t, has_fd, 0),
	F_STRING(struct ready_conf, "tcp", tcp, JSON_NONEMPTY),
	F_STRING(struct ready_conf, "unix", unix_path, JSON_ABSOLUTE),
	F_RAW(struct ready_conf, "exec", exec.raw, 0),
	F_STRING(struct ready_conf, "file", file, JSON_ABSOLUTE),
	F_STRING(struct ready_conf, "device", device, JSON_NONEMPTY),
	F_STRING(struct ready_conf, "timeout", timeout.text, 0),
	F_STRING(struct ready_conf, "interval", interval.text, 0),
	F_END,
};
static JSON_TYPE(ready_type, struct ready_conf, ready_fields);

static const struct json_field restart_fields[] = {
	F_WORD(struct restart_conf, "policy", policy, restart_words, 0),
	F_STRING(struct restart_conf, "min", min.text, 0),
	F_STRING(struct restart_conf, "max", max.text, 0),
	F_STRING(struct restart_conf, "window", window.text, 0),
	F_STRING(struct restart_conf, "resetAfter", reset_after.text, 0),
	F_U32(struct restart_conf, "limit", limit, 0),
	F_END,
};
static JSON_TYPE(restart_type, struct restart_conf, restart_fields);

static const struct json_field health_fields[] = {
	F_RAW(struct health_conf, "exec", exec.raw, JSON_REQUIRED),
	F_STRING(struct health_conf, "interval", interval.text, 0),
	F_STRING(struct health_conf, "timeout", timeout.text, 0),
	F_STRING(struct health_conf, "startPeriod", start_period.text, 0),
	F_U32(struct health_conf, "retries", retries, 0),
	F_WORD(struct health_conf, "action", action, health_words, 0),
	F_END,
};
static JSON_TYPE(health_type, struct health_conf, health_fields);

static const struct json_field reload_fields[] = {
	F_STRING(struct reload_conf, "signal", signal, JSON_NONEMPTY),
	F_RAW(struct reload_conf, "exec", exec.raw, 0),
	F_END,
};
static JSON_TYPE(reload_type, struct reload_conf, reload_fields);

static const struct json_field stop_fields[] = {
	F_STRING(struct stop_conf, "signal", signal, JSON_NONEMPTY),
	F_STRING(struct stop_conf, "timeout", timeout.text, 0),
	F_END,
};
static JSON_TYPE(stop_type, struct stop_conf, stop_fields);

static const struct json_field service_fields[] = {
	F_STRING(struct service_conf, "name", name, JSON_REQUIRED | JSON_NONEMPTY),
	F_RAW(struct service_conf, "process", main.raw, JSON_REQUIRED),
	F_STRINGS(struct service_conf, "needs", needs, 0),
	F_STRINGS(struct service_conf, "wants", wants, 0),
	F_STRUCT(struct service_conf, "ready", ready, &ready_type, 0),
	F_STRUCT(struct service_conf, "restart", restart, &restart_type, 0),
	F_WORD(struct service_conf, "onGiveUp", on_give_up, give_up_words, 0),
	F_STRUCT(struct service_conf, "health", health, &health_type, 0),
	F_STRUCT(struct service_conf, "reload", reload, &reload_type, 0),
	F_STRUCT(struct service_conf, "stop", stop, &stop_type, 0),
	F_BOOL(struct service_conf, "oneshot", oneshot, 0),
	F_BOOL(struct service_conf, "optional", optional, 0),
	F_RAW(struct service_conf, "undo", undo.raw, 0),
	F_STRINGS(struct service_conf, "privateDirs", private_dirs, JSON_ABSOLUTE),
	F_STRING(struct service_conf, "netns", netns, 0),
	F_END,
};
JSON_TYPE(service_type, struct service_conf, service_fields);

static const struct json_field services_fields[] = {
	F_LIST(struct services, "services", list, n, &service_type, JSON_REQUIRED | JSON_NONEMPTY),
	F_END,
};
JSON_TYPE(services_type, struct services, services_fields);

/* --- unknown properties -------------------------------------------------------------------------------------- */

static const struct json_field *find_field(const struct json_type *type, const char *key)
{
	for (const struct json_field *f = type->fields; f->kind != JSON_END; f++)
		if (strcmp(f->key, key) == 0)
			return f;
	return NULL;
}

/* The value has passed the decoder, so it has the table's shape. */
static int check_known(const char *name, const char *path, const struct json_value *v, const struct json_type *type,
		       struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < v->n; i++) {
		const struct json_field *f = find_field(type, v->keys[i]);
		const struct json_value *member = v->items[i];
		auto_free char *here = str_printf("%s%s%s", path, *path ? "." : "", v->keys[i]);

		if (!here)
			return error_oom(err);
		if (!f)
			return error_set(err, EINVAL, "%s: %s: unknown property", name, here);
		if (f->kind == JSON_STRUCT && member->what == JSON_OBJECT)
			rc = check_known(name, here, member, f->type, err);
		for (size_t k = 0; rc == 0 && f->kind == JSON_LIST && k < member->n; k++) {
			auto_free char *item = str_printf("%s[%zu]", here, k);

			rc = item ? check_known(name, item, member->items[k], f->type, err) : error_oom(err);
		}
	}
	return rc;
}

/* --- processes ----------------------------------------------------------------------------------------------- */

/* What only the container's own process has: a service says itself what it runs, and has no terminal. */
static const char *const not_inherited[] = {"args", "terminal", "consoleSize", "commandLine"};

static struct json_value *inherited(struct json_doc *doc, const struct json_value *process)
{
	struct json_value *copy = process ? json_copy(doc, process) : json_make(doc, JSON_OBJECT);

	for (size_t i = 0; copy && i < ARRAY_SIZE(not_inherited); i++)
		json_unset(copy, not_inherited[i]);
	if (copy && !json_get(copy, "cwd") && json_set(doc, copy, "cwd", json_make_text(doc, "/")) < 0)
		return NULL;
	return copy;
}

/* Decodes p->raw laid over `base`, whose parts it inherits; *ret_merged is what its own programs inherit from. */
static int decode_program(struct json_doc *doc, struct service_program *p, const struct json_value *base, const char *where,
			  struct json_value **ret_merged, struct error *err)
{
	struct json_value *merged = inherited(doc, base);
	int rc;

	if (p->raw->what != JSON_OBJECT)
		return error_set(err, EINVAL, "%s: expected an object", where);
	if (json_is_empty(json_get(p->raw, "args")))
		return error_set(err, EINVAL, "%s.args: missing", where);
	for (size_t i = 0; merged && i < p->raw->n; i++)
		if (json_set(doc, merged, p->raw->keys[i], p->raw->items[i]) < 0)
			return error_oom(err);
	p->process = merged ? json_alloc(doc, sizeof(*p->process)) : NULL;
	if (!p->process)
		return error_oom(err);
	rc = spec_process_decode(doc, merged, p->process, where, err);
	if (rc < 0)
		return rc;
	if (p->process->terminal)
		return error_set(err, EINVAL, "%s.terminal: a service has no terminal; its output goes to the log", where);
	if (ret_merged)
		*ret_merged = merged;
	return 0;
}

static int decode_programs(struct services *s, struct service_conf *c, const char *where, const struct json_value *defaults,
			   struct error *err)
{
	const struct {
		struct service_program *program;
		const char *key;
	} others[] = {
		{&c->ready.exec, "ready.exec"},
		{&c->health.exec, "health.exec"},
		{&c->reload.exec, "reload.exec"},
		{&c->undo, "undo"},
	};
	auto_free char *main_where = str_printf("%s.process", where);
	struct json_value *merged;
	int rc = main_where ? decode_program(s->doc, &c->main, defaults, main_where, &merged, err) : error_oom(err);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(others); i++) {
		auto_free char *here = str_printf("%s.%s", where, others[i].key);

		if (!here)
			return error_oom(err);
		if (others[i].program->raw)
			rc = decode_program(s->doc, others[i].program, merged, here, NULL, err);
	}
	return rc;
}

/* --- loading ------------------------------------------------------------------------------------------------- */

static int decode_all(struct services *s, const char *name, const struct json_value *defaults, struct error *err)
{
	struct json_doc *doc = s->doc;
	struct services decoded;
	int rc = json_decode(doc, json_root(doc), &services_type, &decoded, name, err);

	if (rc == 0)
		rc = check_known(name, "", json_root(doc), &services_type, err);
	if (rc < 0)
		return rc;
	s->list = decoded.list;
	s->n = decoded.n;
	if (s->n > SERVICES_MAX)
		return error_set(err, EINVAL, "%s: services: %zu of them, but at most %d are supported", name, s->n,
				 SERVICES_MAX);
	for (size_t i = 0; rc == 0 && i < s->n; i++) {
		auto_free char *where = str_printf("%s: services[%zu]", name, i);

		rc = where ? decode_programs(s, &s->list[i], where, defaults, err) : error_oom(err);
	}
	if (rc == 0)
		rc = services_complete(s, name, err);
	return rc < 0 ? rc : services_check_order(s, name, err);
}

int services_parse(const char *name, const char *text, size_t len, const struct json_value *defaults, struct services **ret,
		   struct error *err)
{
	struct services *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_oom(err);
	s->log_dir = s->control = s->lock = s->host_netns = s->null_fd = s->report = -1;
	s->doc = json_parse(name, text, len, err);
	rc = s->doc ? decode_all(s, name, defaults, err) : -EINVAL;
	if (rc < 0) {
		services_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

/* The container's filter is loaded by each program. What listens to a filter's notifications listens to one filter only. */
static int load_seccomp(struct services *s, const struct spec *spec, struct error *err)
{
	int rc = spec->linux_.seccomp ? seccomp_compile(spec->linux_.seccomp, &s->seccomp, err) : 0;

	if (rc == 0 && s->seccomp && s->seccomp->notify)
		return error_set(err, ENOTSUP, "linux.seccomp: SCMP_ACT_NOTIFY cannot be used together with services");
	return rc;
}

int services_load(const struct spec *spec, int bundle_fd, struct services **ret, struct error *err)
{
	const char *slash = strrchr(spec->services, '/');
	auto_free char *text = NULL;
	struct services *s;
	size_t len;
	int rc = fs_read_at(bundle_fd, spec->services, JSON_MAX_SIZE, &text, &len, err);

	if (rc < 0)
		return error_wrap(err, "cannot read the services file that annotation org.nsrun.services names");
	rc = services_parse(slash ? slash + 1 : spec->services, text, len,
			    spec->doc ? json_get(json_root(spec->doc), "process") : NULL, &s, err);
	if (rc < 0)
		return rc;
	rc = load_seccomp(s, spec, err);
	if (rc < 0)
		services_free(s);
	else
		*ret = s;
	return rc;
}

int services_find(const struct services *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->list[i].name, name) == 0)
			return (int)i;
	return -1;
}

void services_free(struct services *s)
{
	if (!s)
		return;
	close_fd(&s->log_dir);
	close_fd(&s->control);
	close_fd(&s->lock);
	close_fd(&s->host_netns);
	close_fd(&s->null_fd);
	close_fd(&s->report);
	seccomp_free(s->seccomp);
	json_free(s->doc);
	free(s);
}
