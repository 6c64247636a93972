/* fuzz: runtime tests/fuzz/corpus/update */
/* The resources object that `update` reads must be accepted or refused without a crash, a leak or a silent error, and an
 * accepted one must be set or refused likewise, for either version. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cgroup.h"
#include "error.h"
#include "log.h"
#include "spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/fuzz_update.XXXXXX";

static void require(bool good)
{
	if (!good)
		abort();
}

static void leave(void)
{
	rmdir(dir);
}

/* No file can be opened in an empty directory: what is seen is that every way ends with a reason. */
static void set(const struct spec_resources *r, bool v2)
{
	struct cgroup c = {.v2 = v2, .n = 1, .dirs = {{.path = dir, .controllers = ~0u, .join_fd = -1}}, .dir_fd = -1};
	struct error err = {0};
	int rc = cgroup_limits(&c, r, &err);

	require(rc == 0 || err.msg[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct error err = {0};
	struct json_doc *doc = json_parse("fuzz", (const char *)data, size, &err);
	struct spec_resources r;

	if (!ready) {
		log_set_level(LOG_ERROR_LEVEL);
		require(mkdtemp(dir) && atexit(leave) == 0);
		ready = true;
	}
	if (!doc) {
		require(err.msg[0] && err.code);
		return 0;
	}
	if (spec_resources_decode(doc, json_root(doc), &r, "fuzz", &err) < 0) {
		require(err.msg[0] && err.code);
	} else {
		set(&r, false);
		set(&r, true);
	}
	json_free(doc);
	return 0;
}
