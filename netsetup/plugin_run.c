/* One plugin, in this process: what is the same for all of them between reading a request and answering it. */
#include "netsetup.h"

#include <string.h>

/* Commands that came with a version of the specification. */
static const char *const first_version[] = {
	[CNI_CHECK] = "0.4.0",
	[CNI_GC] = "1.1.0",
	[CNI_STATUS] = "1.1.0",
};

static int check_version(const struct cni_call *call, const struct cni_conf *conf, struct error *err)
{
	const char *first = call->command <= CNI_STATUS ? first_version[call->command] : NULL;

	if (first && conf_version_before(conf, first))
		return error_set(err, CNI_INCOMPATIBLE_VERSION, "config version \"%s\" does not allow %s (it came with %s)",
				 conf->cni_version, call_command_name(call->command), first);
	return 0;
}

static int run_add(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct json_value **ret,
		   struct error *err)
{
	struct cni_result result = {0};
	struct json_value *v;
	int code = 0;

	if (conf->has_prev_result && !p->is_ipam)
		result = conf->prev_result;
	if (p->add)
		code = p->add(call, conf, &result, err);
	if (code < 0)
		return code;
	v = result_encode(conf->doc, &result, conf->cni_version, err);
	if (!v) {
		if (p->del)
			p->del(call, conf, NULL);
		return -err->code;
	}
	*ret = v;
	return 0;
}

int plugin_run(const struct plugin *p, struct cni_call *call, struct cni_conf *conf, struct json_value **ret_result,
	       struct error *err)
{
	int (*const simple[])(struct cni_call *, struct cni_conf *, struct error *) = {
		[CNI_DEL] = p->del,
		[CNI_CHECK] = p->check,
		[CNI_GC] = p->gc,
		[CNI_STATUS] = p->status,
	};
	int code = check_version(call, conf, err);

	if (code == 0)
		code = call_open(call, conf, err);
	if (code < 0)
		return code;
	if (call->command == CNI_ADD)
		return run_add(p, call, conf, ret_result, err);
	return simple[call->command] ? simple[call->command](call, conf, err) : 0;
}
