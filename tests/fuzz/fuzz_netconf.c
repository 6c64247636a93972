/* fuzz: netsetup tests/fuzz/corpus/netconf */
/* A network configuration of any kind is accepted or refused with a reason; an accepted one has a name and a version, its
 * prevResult can be written in every version, and what is written is read again. */
#include <stdlib.h>

#include "list.h"
#include "netsetup.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void write_and_read(struct json_doc *doc, const struct cni_result *r)
{
	size_t n;
	const char *const *versions = conf_versions(&n);

	for (size_t i = 0; i < n; i++) {
		struct error err = {0};
		struct cni_result again;
		struct json_value *v = result_encode(doc, r, versions[i], &err);

		require(v && result_decode(doc, v, NULL, &again, &err) == 0);
		/* The oldest have room for one address a family. */
		require(i < 2 || (again.n_ips == r->n_ips && again.n_routes == r->n_routes));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	auto_json struct json_doc *doc = json_parse("fuzz", (const char *)data, size, &err);
	struct cni_conf conf;
	struct list l;

	if (!doc)
		return 0;
	if (conf_load(doc, json_root(doc), &conf, &err) < 0) {
		require(err.code && err.msg[0]);
	} else {
		require(call_id_valid(conf.name) && conf_version_supported(conf.cni_version));
		if (conf.has_prev_result)
			write_and_read(doc, &conf.prev_result);
	}
	err = (struct error){0};
	if (list_load(doc, json_root(doc), &l, &err) < 0)
		require(err.code && err.msg[0]);
	else
		require(call_id_valid(l.name) && l.plugins->n > 0);
	return 0;
}
