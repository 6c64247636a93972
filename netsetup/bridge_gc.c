#include "bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

struct bridges {
	char **ours;	    /* "INDEX NAME" */
	struct buf masters; /* int, of every link that has one */
};

static int look(const struct link_info *l, void *arg)
{
	struct bridges *b = arg;

	if (l->master)
		buf_add(&b->masters, &l->master, sizeof(l->master));
	if (str_eq(l->kind, "bridge") && str_eq(l->alias, BRIDGE_MARK))
		return strv_addf(&b->ours, "%d %s", l->index, l->name);
	return 0;
}

static bool has_ports(const struct bridges *b, int index)
{
	const int *masters = (const void *)b->masters.data;

	for (size_t i = 0; i < b->masters.len / sizeof(*masters); i++)
		if (masters[i] == index)
			return true;
	return false;
}

int bridge_gc_empty(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct bridges b = {.ours = NULL};
	struct rtnl *host;
	int code = call_host(call, &host, err);

	(void)conf;
	if (code == 0)
		code = uplink_release_unused(host, err);
	if (code == 0)
		code = rtnl_link_list(host, look, &b, err);
	for (char **p = b.ours; code == 0 && p && *p; p++) {
		int index = atoi(*p);

		if (!has_ports(&b, index))
			code = rtnl_link_del_name(host, strchr(*p, ' ') + 1, err);
		if (code == -ENODEV)
			code = 0;
	}
	strv_free(b.ours);
	buf_free(&b.masters);
	return code;
}
