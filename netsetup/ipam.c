/* The way to the IPAM plugin: one of ours in this process, another's by delegation (specification, section 4).
 * Delegation is with the caller's whole configuration and with the same environment but for the command, which is
 * DEL while a failed ADD is undone. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "list.h"
#include "str.h"

/* The plugin's name, or NULL: no IPAM here. */
static const char *ipam_type(const struct cni_conf *conf)
{
	const char *type = json_get_text(conf->ipam, "type");

	return str_empty(type) ? NULL : type;
}

static const struct plugin *own_plugin(const char *type)
{
	const struct plugin *p = plugin_find(type);

	return p && p->is_ipam ? p : NULL;
}

static int delegate(const char *type, struct cni_call *call, struct cni_conf *conf, enum cni_command command,
		    struct json_value **ret, struct error *err)
{
	enum cni_command saved = call->command;
	int code;

	call->command = command;
	code = exec_plugin(type, call, conf->raw, conf->doc, ret, err);
	call->command = saved;
	return code < 0 ? error_wrap(err, "IPAM plugin %s", type) : 0;
}

static int delegate_add(const char *type, struct cni_call *call, struct cni_conf *conf, struct cni_result *ret,
			struct error *err)
{
	struct json_value *v = NULL;
	int code = delegate(type, call, conf, CNI_ADD, &v, err);

	if (code < 0)
		return code;
	code = result_decode(conf->doc, v, conf->cni_version, ret, err);
	if (code < 0) {
		delegate(type, call, conf, CNI_DEL, &v, NULL);
		return error_wrap(err, "IPAM plugin %s: its result", type);
	}
	/* An address plugin speaks of no interfaces. */
	ret->interfaces = NULL;
	ret->n_interfaces = 0;
	for (size_t i = 0; i < ret->n_ips; i++)
		ret->ips[i].has_interface = false;
	return 0;
}

int ipam_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	const char *type = ipam_type(conf);
	const struct plugin *p = type ? own_plugin(type) : NULL;
	struct cni_result mine = {0};
	int code;

	if (!type)
		return 0;
	code = p ? p->add(call, conf, &mine, err) : delegate_add(type, call, conf, &mine, err);
	if (code < 0)
		return code;
	return result_append(conf->doc, result, &mine) < 0 ? error_oom(err) : 0;
}

typedef int ipam_verb(struct cni_call *call, struct cni_conf *conf, struct error *err);

/* One of del, check, gc, status: a plugin of ours has it at that place in struct plugin, another's hears the
 * command. */
static int run(struct cni_call *call, struct cni_conf *conf, enum cni_command command, size_t member,
	       struct error *err)
{
	const char *type = ipam_type(conf);
	const struct plugin *p = type ? own_plugin(type) : NULL;
	struct json_value *none = NULL;
	ipam_verb *own;

	if (!type)
		return 0;
	if (!p)
		return delegate(type, call, conf, command, &none, err);
	own = *(ipam_verb *const *)((const char *)p + member);
	return own ? own(call, conf, err) : 0;
}

int ipam_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return run(call, conf, CNI_DEL, offsetof(struct plugin, del), err);
}

int ipam_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return run(call, conf, CNI_CHECK, offsetof(struct plugin, check), err);
}

int ipam_status(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	return run(call, conf, CNI_STATUS, offsetof(struct plugin, status), err);
}

/* For every network (no name): what is kept in our own place, whatever made it. */
int ipam_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	if (!conf->name)
		return plugin_host_local.gc(call, conf, err);
	return run(call, conf, CNI_GC, offsetof(struct plugin, gc), err);
}
