#include "list.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "fs.h"
#include "str.h"

/* --- loading ------------------------------------------------------------------------------------------------- */

struct list_file {
	const char *name, *version, *host_netns;
	char **versions;
	const struct json_value *plugins;
	bool disable_check;
};
static const struct json_field list_fields[] = {
	F_STRING(struct list_file, "name", name, JSON_FOLD),
	F_STRING(struct list_file, "cniVersion", version, JSON_FOLD),
	F_STRINGS(struct list_file, "cniVersions", versions, JSON_FOLD),
	F_STRING(struct list_file, "hostNetns", host_netns, JSON_FOLD),
	F_RAW(struct list_file, "plugins", plugins, JSON_FOLD),
	F_BOOL(struct list_file, "disableCheck", disable_check, JSON_FOLD | JSON_LOOSE_BOOL),
	F_END,
};
static JSON_TYPE(list_type, struct list_file, list_fields);

/* The newest that both sides know. */
static const char *best_version(const struct list_file *f)
{
	const char *best = str_empty(f->version) ? NULL : f->version;

	for (char **v = f->versions; v && *v; v++)
		if (conf_version_supported(*v) && (!best || conf_version_rank(*v) > conf_version_rank(best)))
			best = *v;
	return best ? best : "0.1.0";
}

static int check_plugins(const struct json_value *v, struct error *err)
{
	if (v->what != JSON_ARRAY || v->n == 0)
		return error_set(err, CNI_INVALID_CONFIG, "plugins: expected a list of at least one plugin");
	for (size_t i = 0; i < v->n; i++) {
		const char *type = json_get_text(v->items[i], "type");

		if (v->items[i]->what != JSON_OBJECT || str_empty(type))
			return error_set(err, CNI_INVALID_CONFIG, "plugins[%zu].type: missing", i);
		if (!fs_is_name(type))
			return error_set(err, CNI_INVALID_CONFIG, "plugins[%zu].type: '%s' is no plugin's name", i, type);
	}
	return 0;
}

static int check_list(const struct list *l, struct error *err)
{
	if (str_empty(l->name) || !call_id_valid(l->name))
		return error_set(err, CNI_INVALID_CONFIG, "name: '%s' is no network name", l->name ? l->name : "");
	if (!conf_version_supported(l->version))
		return error_set(err, CNI_INCOMPATIBLE_VERSION, "cniVersion: \"%s\" is not supported", l->version);
	return check_plugins(l->plugins, err);
}

int list_load(struct json_doc *doc, struct json_value *raw, struct list *ret, struct error *err)
{
	struct list_file f;
	struct list l = {.raw = raw, .doc = doc};
	int code = conf_decode_error(json_decode(doc, raw, &list_type, &f, "network configuration", err), err);

	if (code < 0)
		return code;
	l.name = f.name;
	l.version = best_version(&f);
	l.host_netns = f.host_netns;
	l.disable_check = f.disable_check;
	if (f.plugins) {
		l.plugins = json_copy(doc, f.plugins);
	} else {
		/* One plugin alone: a list of it. */
		l.plugins = json_make(doc, JSON_ARRAY);
		if (json_append(doc, l.plugins, json_copy(doc, raw)) < 0)
			return error_oom(err);
	}
	if (!l.plugins)
		return error_oom(err);
	code = check_list(&l, err);
	if (code < 0)
		return code;
	*ret = l;
	return 0;
}

int list_load_file(const char *path, struct json_doc **ret_doc, struct list *ret, struct error *err)
{
	auto_json struct json_doc *doc = NULL;
	auto_free char *text = NULL;
	size_t len;
	int code = fs_read_at(AT_FDCWD, path, JSON_MAX_SIZE, &text, &len, err);

	if (code < 0)
		return code;
	doc = json_parse(path, text, len, err);
	if (!doc)
		return -EINVAL;
	code = list_load(doc, json_root(doc), ret, err);
	if (code < 0)
		return error_wrap(err, "%s", path);
	*ret_doc = take_ptr(doc);
	return 0;
}

/* --- one plugin ---------------------------------------------------------------------------------------------- */

/* Of the capabilities that are given, those that the plugin declares. */
static int put_runtime_config(const struct list *l, struct json_value *request, const struct json_value *given)
{
	const struct json_value *declared = json_get(request, "capabilities");
	struct json_value *config = json_make(l->doc, JSON_OBJECT);
	int code = 0;

	if (!config)
		return -ENOMEM;
	for (size_t i = 0; code == 0 && declared && declared->what == JSON_OBJECT && i < declared->n; i++) {
		const struct json_value *v = json_get(given, declared->keys[i]);

		if (declared->items[i]->what == JSON_TRUE && v)
			code = json_set(l->doc, config, declared->keys[i], json_copy(l->doc, v));
	}
	json_unset(request, "capabilities");
	if (code == 0 && config->n > 0)
		code = json_set(l->doc, request, "runtimeConfig", config);
	return code;
}

static struct json_value *make_request(const struct list *l, const struct json_value *plugin,
				       const struct json_value *capabilities, const struct json_value *prev, struct error *err)
{
	struct json_value *request = json_copy(l->doc, plugin);
	int code = request ? 0 : -ENOMEM;

	if (code == 0)
		code = json_set(l->doc, request, "name", json_make_text(l->doc, l->name));
	if (code == 0)
		code = json_set(l->doc, request, "cniVersion", json_make_text(l->doc, l->version));
	if (code == 0 && l->host_netns && !json_get(request, "hostNetns"))
		code = json_set(l->doc, request, "hostNetns", json_make_text(l->doc, l->host_netns));
	if (code == 0 && prev)
		code = json_set(l->doc, request, "prevResult", json_copy(l->doc, prev));
	if (code == 0)
		code = put_runtime_config(l, request, capabilities);
	if (code < 0) {
		error_oom(err);
		return NULL;
	}
	return request;
}

static int run_one(const struct list *l, struct cni_call *call, const struct json_value *plugin,
		   const struct json_value *capabilities, const struct json_value *prev, struct json_value **ret,
		   struct error *err)
{
	const char *type = json_get_text(plugin, "type");
	const struct plugin *p = plugin_find(type);
	struct json_value *request = make_request(l, plugin, capabilities, prev, err);
	struct cni_conf conf;
	int code;

	if (!request)
		return -ENOMEM;
	if (p) {
		code = conf_load(l->doc, request, &conf, err);
		if (code == 0)
			code = plugin_run(p, call, &conf, ret, err);
	} else {
		conf = (struct cni_conf){.host_netns = json_get_text(request, "hostNetns")};
		code = call_open(call, &conf, err);
		if (code == 0)
			code = exec_plugin(type, call, request, l->doc, ret, err);
	}
	return code < 0 ? error_wrap(err, "network %s: %s", l->name, type) : 0;
}

/* --- the list ------------------------------------------------------------------------------------------------ */

/* Plugins [0, n) in reverse. */
static int del_first(const struct list *l, size_t n, struct cni_call *call, const struct json_value *capabilities,
		     const struct json_value *result, struct error *err)
{
	int code = 0;

	call->command = CNI_DEL;
	while (n-- > 0) {
		int one = run_one(l, call, l->plugins->items[n], capabilities, result, NULL, code < 0 ? NULL : err);

		code = code < 0 ? code : one;
	}
	return code;
}

int list_add(const struct list *l, struct cni_call *call, const struct json_value *capabilities, struct json_value **ret,
	     struct error *err)
{
	struct json_value *result = NULL;

	call->command = CNI_ADD;
	for (size_t i = 0; i < l->plugins->n; i++) {
		const struct json_value *plugin = l->plugins->items[i];
		int code = run_one(l, call, plugin, capabilities, result, &result, err);

		if (code < 0) {
			/* A plugin of ours has undone itself; another's needs to be told. */
			bool ours = plugin_find(json_get_text(plugin, "type"));

			del_first(l, ours ? i : i + 1, call, capabilities, result, NULL);
			return code;
		}
	}
	*ret = result;
	return 0;
}

int list_del(const struct list *l, struct cni_call *call, const struct json_value *capabilities,
	     const struct json_value *result, struct error *err)
{
	/* Plugins of before 0.4.0 do not expect a result in DEL. */
	if (conf_version_rank(l->version) < conf_version_rank("0.4.0"))
		result = NULL;
	return del_first(l, l->plugins->n, call, capabilities, result, err);
}

int list_check(const struct list *l, struct cni_call *call, const struct json_value *capabilities,
	       const struct json_value *result, struct error *err)
{
	int code = 0;

	call->command = CNI_CHECK;
	if (l->disable_check || conf_version_rank(l->version) < conf_version_rank("0.4.0"))
		return 0;
	for (size_t i = 0; code == 0 && i < l->plugins->n; i++)
		code = run_one(l, call, l->plugins->items[i], capabilities, result, NULL, err);
	return code;
}

int list_status(const struct list *l, struct cni_call *call, struct error *err)
{
	int code = 0;

	call->command = CNI_STATUS;
	if (conf_version_rank(l->version) < conf_version_rank("1.1.0"))
		return 0;
	for (size_t i = 0; code == 0 && i < l->plugins->n; i++)
		code = run_one(l, call, l->plugins->items[i], NULL, NULL, NULL, err);
	return code;
}
