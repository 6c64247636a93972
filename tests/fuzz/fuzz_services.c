/* fuzz: runtime tests/fuzz/corpus/services */
/* A services file of any kind must be accepted or refused without a crash, a leak or a silent error; an accepted one must
 * be complete: every service has a program, and every name that it waits for is there. */
#include <stdlib.h>

#include "error.h"
#include "services.h"
#include "services_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct services *s;

	if (services_parse("fuzz", (const char *)data, size, NULL, &s, &err) < 0) {
		require(err.msg[0] && err.code);
		return 0;
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct service_conf *c = &s->list[i];

		require(c->main.process && c->main.process->args && c->restart.policy != RESTART_DEFAULT);
		require(services_find(s, c->name) == (int)i);
		for (size_t k = 0; k < c->n_need; k++)
			require(c->need[k] < s->n && c->need[k] != i);
	}
	services_free(s);
	return 0;
}
