/* Drives a fuzz target (LLVMFuzzerTestOneInput) without a fuzzing engine: every seed as it is, then a fixed number of
 * mutations of the seeds from a fixed random sequence, so that every test run and every compiler can do it. `make fuzz`
 * builds the same targets for libFuzzer. Usage: PROGRAM ROUNDS SEED-FILE-OR-DIRECTORY... */
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "str.h"
#include "tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_MAX = 64 << 10, SEEDS = 512 };

static struct {
	uint8_t *data;
	size_t len;
} seeds[SEEDS];
static size_t n_seeds;
static uint64_t sequence = 0x9e3779b97f4a7c15;

/* xorshift64*: the same sequence everywhere. */
static uint32_t next_random(uint32_t below)
{
	sequence ^= sequence >> 12;
	sequence ^= sequence << 25;
	sequence ^= sequence >> 27;
	return (uint32_t)((sequence * 0x2545f4914f6cdd1d) >> 32) % below;
}

static void add_seed(const char *path)
{
	struct error err;
	char *text;
	size_t len;

	if (n_seeds == SEEDS || fs_read_at(-100, path, SEED_MAX, &text, &len, &err) < 0)
		return;
	seeds[n_seeds].data = (uint8_t *)text;
	seeds[n_seeds++].len = len;
}

static void add_seeds(const char *path)
{
	auto_closedir DIR *d = opendir(path);
	struct dirent *e;

	if (!d) {
		add_seed(path);
		return;
	}
	while ((e = readdir(d))) {
		auto_free char *file = str_printf("%s/%s", path, e->d_name);

		if (e->d_name[0] != '.' && file)
			add_seed(file);
	}
}

/* One random change in place; returns the new length. */
static size_t mutate(uint8_t *data, size_t len, size_t cap)
{
	static const char *const tokens[] = {"\"", "{", "}", "[", "]", ",", ":", "\\u0000", "-1", "18446744073709551616", "null",
					     "true", "../", "/", "%d", "0", "1e9", "\n", "=", ";", "\xff"};
	const char *token = tokens[next_random(ARRAY_SIZE(tokens))];
	size_t at = len ? next_random((uint32_t)len) : 0, n = strlen(token), cut;

	switch (next_random(5)) {
	case 0: /* flip bits */
		if (len)
			data[at] ^= (uint8_t)(1u << next_random(8));
		return len;
	case 1: /* put a token in */
		if (len + n > cap)
			return len;
		memmove(data + at + n, data + at, len - at);
		memcpy(data + at, token, n);
		return len + n;
	case 2: /* take a piece out */
		cut = len - at > 16 ? next_random(16) : len - at;
		memmove(data + at, data + at + cut, len - at - cut);
		return len - cut;
	case 3: /* double a piece */
		cut = len - at > 64 ? next_random(64) : len - at;
		if (len + cut > cap)
			return len;
		memmove(data + at + cut, data + at, len - at);
		return len + cut;
	default: /* cut the end */
		return at;
	}
}

int main(int argc, char **argv)
{
	static uint8_t work[2 * SEED_MAX];
	uint32_t rounds = 0;

	if (argc < 2 || str_u32(argv[1], 1, 100000000, &rounds) < 0)
		return 2;
	for (int i = 2; i < argc; i++)
		add_seeds(argv[i]);
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (size_t i = 0; i < n_seeds; i++)
		LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].len);
	ok(n_seeds > 0, "%zu seeds", n_seeds);
	for (uint32_t i = 0; i < rounds && n_seeds; i++) {
		size_t s = next_random((uint32_t)n_seeds), len = seeds[s].len;
		uint8_t *exact;

		memcpy(work, seeds[s].data, len);
		for (uint32_t k = 1 + next_random(4); k; k--)
			len = mutate(work, len, sizeof(work));
		/* In memory of just this size, so that the sanitizer sees a read behind the end. */
		exact = malloc(len ? len : 1);
		if (!exact)
			return 2;
		memcpy(exact, work, len);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
	}
	ok(true, "%u mutations", rounds);
	for (size_t i = 0; i < n_seeds; i++)
		free(seeds[i].data);
	return done_testing();
}
