/* fuzz: runtime tests/fuzz/corpus/mount_opts */
/* Words separated by spaces: the first is the type, the others options. Whatever they are, no flag is both set and
 * cleared, data is what is in no table, a refusal says why; and a cleaned path has no "." or "..". */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "error.h"
#include "mount_opts.h"
#include "rootfs_parts.h"
#include "spec.h"
#include "str.h"

enum { WORDS = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void check_options(const struct mount_opts *o)
{
	const uint64_t modes = MOUNT_ATTR__ATIME;

	require(!(o->set & o->clear & ~modes) && !(o->rec_set & o->rec_clear & ~modes));
	/* mount_setattr(2) takes an access time mode only together with all of the mask. */
	require(!(o->set & modes) || (o->clear & modes) == modes);
	require(o->n_propagation <= MOUNT_OPTS_PROPAGATIONS);
	require(!o->bind || !o->n_data);
	for (size_t i = 0; i < o->n_data; i++)
		for (const struct mount_word *w = mount_words; w->word; w++)
			require(strcmp(w->word, o->data[i]) != 0);
}

static void check_path(const char *path)
{
	char out[64], again[64];

	rootfs_clean_path(path, out, sizeof(out));
	require(out[0] == '/' && !strstr(out, "//") && !strstr(out, "/../") && !str_ends(out, "/.."));
	rootfs_clean_path(out, again, sizeof(again));
	require(strcmp(out, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *words[WORDS + 1] = {NULL}, *next = text;
	struct spec_mount m = {.destination = "/d", .source = "/s", .options = words};
	struct error err = {0};
	struct mount_opts o;

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check_path(text);
	m.type = strsep(&next, " ");
	for (size_t n = 0; n < WORDS && next; n++)
		words[n] = strsep(&next, " ");
	if (mount_opts_parse(&m, &o, &err) == 0) {
		check_options(&o);
		mount_opts_free(&o);
	} else {
		require(err.msg[0] && err.code);
	}
	free(text);
	return 0;
}
