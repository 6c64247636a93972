/* A plugin of somebody else's, by the protocol of the specification. */
#include "list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "spawn.h"
#include "str.h"

/* As a rule a plugin needs milliseconds; one that waits for a lease, some seconds. */
enum { TIMEOUT_MS = 120000, STDERR_SHOWN = 400 };

static int put_env(char ***env, const char *name, const char *value)
{
	return strv_addf(env, "%s=%s", name, value ? value : "");
}

static int make_args(const struct cni_call *call, char **ret)
{
	struct buf b = {0};

	for (size_t i = 0; i < call->args.n; i++)
		buf_printf(&b, "%s%s=%s", i ? ";" : "", call->args.pairs[i].key, call->args.pairs[i].value);
	*ret = buf_take(&b);
	return *ret ? 0 : -ENOMEM;
}

static int make_env(const struct cni_call *call, const char *path, char ***ret)
{
	auto_strv char **env = NULL;
	auto_free char *args = NULL;
	int code = make_args(call, &args);

	for (char **e = environ; code == 0 && *e; e++)
		if (!str_starts(*e, "CNI_"))
			code = strv_add(&env, *e);
	if (code == 0)
		code = put_env(&env, "CNI_COMMAND", call_command_name(call->command));
	if (code == 0)
		code = put_env(&env, "CNI_CONTAINERID", call->container_id);
	if (code == 0)
		code = put_env(&env, "CNI_NETNS", call->netns_fd >= 0 ? call->netns : "");
	if (code == 0)
		code = put_env(&env, "CNI_IFNAME", call->ifname);
	if (code == 0)
		code = put_env(&env, "CNI_ARGS", args);
	if (code == 0)
		code = put_env(&env, "CNI_PATH", path);
	if (code == 0)
		*ret = take_ptr(env);
	return code;
}

/* The plugin's error object; without one, what it wrote to stderr; without that, its end. */
static int plugin_failed(const char *type, int status, const struct buf *out, const struct buf *errors, struct error *err)
{
	auto_json struct json_doc *doc = out->len ? json_parse(type, out->data, out->len, NULL) : NULL;
	const struct json_value *root = doc ? json_root(doc) : NULL, *code = json_get(root, "code");
	const char *msg = json_get_text(root, "msg"), *details = json_get_text(root, "details");
	char text[SPAWN_STATUS_SIZE];
	uint32_t number;

	if (str_empty(msg))
		return error_set(err, CNI_PLUGIN, "plugin %s %s%s%.*s", type, spawn_status(status, text), errors->len ? ": " : "",
				 STDERR_SHOWN, errors->len ? errors->data : "");
	if (!code || code->what != JSON_NUMBER || str_u32(code->text, 1, 100000, &number) < 0)
		number = CNI_PLUGIN - ERROR_OWN;
	return error_set(err, ERROR_OWN + (int)number, "%s%s%s", msg, str_empty(details) ? "" : ": ",
			 str_empty(details) ? "" : details);
}

static int take_result(const char *type, const struct buf *out, struct json_doc *doc, struct json_value **ret,
		       struct error *err)
{
	auto_json struct json_doc *parsed = json_parse(type, out->len ? out->data : "", out->len, err);

	if (!parsed) {
		if (err)
			err->code = CNI_DECODE;
		return error_wrap(err, "the result is not understood");
	}
	*ret = json_copy(doc, json_root(parsed));
	return *ret ? 0 : error_oom(err);
}

int exec_plugin(const char *type, const struct cni_call *call, const struct json_value *request, struct json_doc *doc,
		struct json_value **ret, struct error *err)
{
	const char *path = str_empty(call->path) ? LIST_DEFAULT_PATH : call->path;
	auto_free char *program = spawn_find(type, path);
	auto_strv char **env = NULL;
	auto_buf struct buf in = {0}, out = {0}, errors = {0};
	struct spawn s = {.path = program, .output = &out, .errors = &errors, .timeout_ms = TIMEOUT_MS};
	int status, code;

	if (!program)
		return error_set(err, CNI_INVALID_CONFIG, "there is no plugin of this name in %s", path);
	json_write(&in, request, 0);
	if (in.failed || make_env(call, path, &env) < 0)
		return error_oom(err);
	s.env = env;
	s.input = in.data;
	s.input_len = in.len;
	/* Its host side is to live where ours would. */
	if (call->host_fd >= 0 && call->host_fd != call->own_fd) {
		s.netns_fd = call->host_fd;
		s.use_netns = true;
	}
	code = spawn_run(&s, &status, err);
	if (code < 0)
		return code;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return plugin_failed(type, status, &out, &errors, err);
	return call->command == CNI_ADD ? take_result(type, &out, doc, ret, err) : 0;
}
