/* fuzz: lib tests/config/good tests/fuzz/corpus/json */
/* What the parser accepts, the writer must write so that it is read again to the same text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;
	auto_json struct json_doc *doc = json_parse("input", (const char *)data, size, &err), *again = NULL;
	auto_buf struct buf first = {0}, second = {0};

	if (!doc)
		return 0;
	json_write(&first, json_root(doc), 0);
	again = json_parse("output", first.data, first.len, &err);
	if (!again)
		abort();
	json_write(&second, json_root(again), 0);
	if (strcmp(first.data, second.data) != 0)
		abort();
	return 0;
}
