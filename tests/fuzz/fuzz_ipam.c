/* fuzz: netsetup tests/fuzz/corpus/ipam */
/* Any configuration of host-local and static is accepted or refused with a reason; in accepted ranges the walk over
 * addresses stays inside and comes round. */
#include <stdlib.h>

#include "error.h"
#include "host_local.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS = 2000 };

static void require(bool good)
{
	if (!good)
		abort();
}

static void walk(const struct host_local_set *s)
{
	struct ipaddr first = s->v[0].start, a = first;
	char text[HOST_LOCAL_TEXT_SIZE];

	for (int i = 0; i < STEPS; i++) {
		const struct host_local_range *r = host_local_find(s, &a);
		struct ipaddr host = a;

		host.prefix = (uint8_t)(ipaddr_size(&a) * 8);
		require(r && ipaddr_contains(&r->subnet, &host));
		a = host_local_next(s, &a);
		if (ipaddr_equal(&a, &first))
			break;
	}
	require(host_local_set_text(s, text)[0] != '\0');
}

static void try_conf(struct json_doc *doc)
{
	struct cni_call call = CALL_INIT;
	struct cni_result result = {0};
	struct host_local_conf c;
	struct cni_conf conf;
	struct error err = {0};

	call.container_id = "fuzz";
	call.ifname = "eth0";
	if (conf_load(doc, json_root(doc), &conf, &err) < 0) {
		require(err.msg[0] && err.code);
		return;
	}
	if (host_local_load(&call, &conf, &c, &err) == 0)
		for (size_t i = 0; i < c.n; i++)
			walk(&c.sets[i]);
	else
		require(err.msg[0] && err.code);
	err = (struct error){0};
	require(plugin_static.add(&call, &conf, &result, &err) == 0 || (err.msg[0] && err.code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct json_doc *doc = json_parse("fuzz", (const char *)data, size, &err);

	if (doc)
		try_conf(doc);
	json_free(doc);
	return 0;
}
