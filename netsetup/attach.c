#include "attach.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "netns.h"
#include "str.h"

const char *attach_netns_path(struct json_doc *doc, const char *netns)
{
	auto_free char *path = strchr(netns, '/') ? strdup(netns) : str_printf(NETNS_DIR "/%s", netns);

	return path ? json_strdup(doc, path) : NULL;
}

/* --- make ---------------------------------------------------------------------------------------------------- */

/* What a killed process has left under this name is undone first. */
static int begin(const struct record *r, struct record_file *f, struct error *err)
{
	auto_free char *path = NULL;
	int code = record_begin(r, f, err);

	if (code != -ESTALE)
		return code;
	path = record_path(r);
	if (!path)
		return error_oom(err);
	code = attach_undo(path, err);
	return code < 0 ? code : record_begin(r, f, err);
}

int attach_make(const struct list *l, struct cni_call *call, const struct json_value *capabilities,
		struct json_value **ret_result, struct error *err)
{
	struct record_file f = RECORD_FILE_INIT;
	struct record r;
	int code = record_fill(l->doc, call, l->name, &r, err);

	r.config = l->raw;
	r.capabilities = capabilities;
	if (code == 0)
		code = begin(&r, &f, err);
	if (code < 0)
		return error_wrap(err, "%s", call->ifname);
	code = list_add(l, call, capabilities, ret_result, err);
	if (code == 0) {
		r.result = *ret_result;
		code = record_finish(&r, &f, err);
		if (code < 0)
			list_del(l, call, capabilities, *ret_result, NULL);
	}
	record_abort(&f);
	return code < 0 ? error_wrap(err, "%s", call->ifname) : 0;
}

/* --- by record ----------------------------------------------------------------------------------------------- */

static int open_call(struct json_doc *doc, const struct record *r, enum cni_command command, struct cni_call *call,
		     struct error *err)
{
	*call = (struct cni_call)CALL_INIT;
	call->command = command;
	call->container_id = r->container_id;
	call->ifname = r->ifname;
	call->path = r->path;
	call->netns_override = true; /* it was judged when it was made */
	call->netns_fd = record_netns(r);
	call->netns = call->netns_fd >= 0 ? r->netns : "";
	if (!call_id_valid(r->container_id) || !call_ifname_valid(r->ifname))
		return error_set(err, EINVAL, "the record names no attachment");
	/* Unknown keys were accepted when it was made. */
	call_parse_args(doc, call, r->args, NULL);
	return 0;
}

static int run_list(struct json_doc *doc, const struct record *r, struct cni_call *call, struct error *err)
{
	struct list l;
	int code = list_load(doc, (struct json_value *)r->config, &l, err);

	if (code < 0)
		return code;
	return call->command == CNI_DEL ? list_del(&l, call, r->capabilities, r->result, err)
					: list_check(&l, call, r->capabilities, r->result, err);
}

static int run_plugin(struct json_doc *doc, const struct record *r, struct cni_call *call, struct error *err)
{
	const struct plugin *p = plugin_find(r->type);
	struct json_value *config = json_copy(doc, r->config);
	struct cni_conf conf;
	int code;

	if (!p)
		return error_set(err, EINVAL, "the record's type '%s' is no plugin of netsetup's", r->type);
	if (!config || (r->result && json_set(doc, config, "prevResult", json_copy(doc, r->result)) < 0))
		return error_oom(err);
	code = conf_load(doc, config, &conf, err);
	return code < 0 ? code : plugin_run(p, call, &conf, NULL, err);
}

static int run_record(struct json_doc *doc, const struct record *r, enum cni_command command, struct error *err)
{
	struct cni_call call;
	int code = open_call(doc, r, command, &call, err);

	if (code == 0)
		code = r->type ? run_plugin(doc, r, &call, err) : run_list(doc, r, &call, err);
	call_close(&call);
	return code < 0 ? error_wrap(err, "%s/%s", r->container_id, r->ifname) : 0;
}

int attach_undo(const char *path, struct error *err)
{
	auto_json struct json_doc *doc = NULL;
	struct record r;
	int code;

	record_wait(path);
	code = record_load(path, &doc, &r, err);
	if (code == -ENOENT)
		return 0;
	/* A record is complete before it can be seen: what cannot be read is none of ours, and nothing was made by it. */
	if (code == -EINVAL) {
		record_remove(path);
		return 0;
	}
	if (code == 0)
		code = run_record(doc, &r, CNI_DEL, err);
	if (code == 0)
		record_remove(path);
	return code;
}

int attach_check(const char *path, struct error *err)
{
	auto_json struct json_doc *doc = NULL;
	struct record r;
	int code = record_load(path, &doc, &r, err);

	if (code < 0)
		return code;
	if (!r.result)
		return error_set(err, ENOENT, "%s/%s: the attachment was not completed", r.container_id, r.ifname);
	return run_record(doc, &r, CNI_CHECK, err);
}
