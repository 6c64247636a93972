/* fuzz: runtime tests/config/good tests/config/bad */
/* config.json of any kind must be accepted or refused without a crash, a leak or a silent error, and an accepted seccomp
 * profile must compile or say why not. */
#include <stdlib.h>

#include "error.h"
#include "seccomp.h"
#include "spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void compile(const struct spec_seccomp *s)
{
	struct seccomp_program *p = NULL;
	struct error err = {0};
	int r = seccomp_compile(s, &p, &err);

	require(r == 0 || err.msg[0]);
	seccomp_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct spec s;

	if (spec_parse(&s, "fuzz", (const char *)data, size, &err) < 0) {
		require(err.msg[0] && err.code);
		return 0;
	}
	if (s.linux_.seccomp)
		compile(s.linux_.seccomp);
	spec_free(&s);
	return 0;
}
