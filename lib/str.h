/* Strings: a growable buffer, string vectors, strict number parsing, time and duration texts. */
#ifndef STR_H
#define STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* A growable, always NUL-terminated text. Zero-initialise. Running out of memory sets `failed` and drops further
 * writes, so one check at the end is enough. */
struct buf {
	char *data;
	size_t len, cap;
	bool failed;
};

void buf_free(struct buf *b);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The text, owned by the caller, or NULL if the buffer failed; the buffer is empty again. Never NULL for an empty
 * buffer that did not fail. */
char *buf_take(struct buf *b);
#define auto_buf __attribute__((cleanup(buf_free)))

/* asprintf that returns the string, or NULL when out of memory. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_empty(const char *s); /* NULL or "" */

/* The whole of s as a decimal number within [min, max]: 0, or -EINVAL / -ERANGE (nothing written). No sign for the
 * unsigned ones, no space, no trailing text. */
int str_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
int str_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
int str_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret);

/* "64k", "1.5 GiB", "100": a size as people write it, in powers of 1024, with k, m, g, t, p in either case and an optional "b"
 * or "ib" after it. Bytes. 0 or -EINVAL. */
int str_size(const char *s, int64_t *ret);

/* "200ms", "5s", "1m30s", "2h", as Go writes durations; a plain number is seconds. Milliseconds. 0 or -EINVAL. */
int str_duration(const char *s, uint64_t *ret_ms);

/* Now as RFC 3339 with nanoseconds, UTC ("2026-01-02T03:04:05.000000006Z"). */
enum { STR_TIME_SIZE = 40 };
void str_time(char out[STR_TIME_SIZE]);

/* NULL-terminated vectors; NULL is an empty vector. */
size_t strv_len(char *const *v);
bool strv_has(char *const *v, const char *s);
/* Appends a copy of s; returns 0 or -ENOMEM. */
int strv_add(char ***v, const char *s);
int strv_addf(char ***v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_free(char **v);
static inline void strv_cleanup(char ***v)
{
	strv_free(*v);
	*v = (char **)0;
}
#define auto_strv __attribute__((cleanup(strv_cleanup)))

/* The value of NAME in a NAME=value vector, or NULL. */
const char *strv_env(char *const *env, const char *name);

/* Base64 (RFC 4648, padded). Encode appends to b; decode returns the number of bytes, or -EINVAL for anything that is
 * not exact base64 of at most `size` bytes. */
struct buf;
void base64_encode(struct buf *b, const void *data, size_t len);
int base64_decode(const char *s, void *out, size_t size);

/* A word table: whatever maps words to values. Ends with a NULL word. */
struct word {
	const char *word;
	int value;
};
/* The entry's value, or -1. */
int word_value(const struct word *table, const char *word);
/* The first word with that value, or NULL. */
const char *word_name(const struct word *table, int value);

#endif
