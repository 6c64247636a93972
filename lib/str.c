#include "str.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"

/* --- growable text ------------------------------------------------------------------------------------------ */

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

/* Room for `more` bytes and a NUL. */
static bool buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 256;
	char *data;

	if (b->failed)
		return false;
	if (more > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return false;
	}
	while (cap < b->len + more + 1)
		cap *= 2;
	if (cap == b->cap)
		return true;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (!buf_reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !buf_reserve(b, n)) {
		b->failed = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += n;
}

char *buf_take(struct buf *b)
{
	char *data;

	if (!buf_reserve(b, 0)) {
		buf_free(b);
		return NULL;
	}
	b->data[b->len] = '\0';
	data = b->data;
	*b = (struct buf){0};
	return data;
}

/* --- strings ------------------------------------------------------------------------------------------------ */

char *str_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

bool str_eq(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

bool str_empty(const char *s)
{
	return !s || !*s;
}

/* --- numbers ------------------------------------------------------------------------------------------------ */

int str_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (str_empty(s))
		return -EINVAL;
	for (const char *p = s; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return -ERANGE;
	}
	if (n < min || n > max)
		return -ERANGE;
	*ret = n;
	return 0;
}

int str_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = s && *s == '-';
	uint64_t n;
	int64_t v;
	int rc;

	rc = str_u64(negative ? s + 1 : s, 0, negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &n);
	if (rc < 0)
		return rc;
	v = negative ? (int64_t)(0 - n) : (int64_t)n;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t n;
	int rc = str_u64(s, min, max, &n);

	if (rc == 0)
		*ret = (uint32_t)n;
	return rc;
}

int str_size(const char *s, int64_t *ret)
{
	static const char units[] = "kmgtp";
	size_t digits = strspn(s, "0123456789"), len = digits;
	const char *suffix, *unit;
	long double size;

	if (digits == 0)
		return -EINVAL;
	if (s[len] == '.')
		len += 1 + strspn(s + len + 1, "0123456789");
	suffix = s + len + (s[len] == ' ' && s[len + 1]);
	unit = *suffix ? strchr(units, tolower((unsigned char)*suffix)) : NULL;
	size = strtold(s, NULL);
	if (unit) {
		size *= (long double)(1ULL << (10 * (unit - units + 1)));
		suffix++;
	}
	if (*suffix && strcasecmp(suffix, "b") != 0 && !(unit && strcasecmp(suffix, "ib") == 0))
		return -EINVAL;
	if (size >= (long double)INT64_MAX)
		return -EINVAL;
	*ret = (int64_t)size;
	return 0;
}

static const struct {
	const char *unit;
	uint64_t ms;
} duration_units[] = {
	{"ms", 1}, /* before "m" and "s": the longer unit is tried first */
	{"h", 3600000},
	{"m", 60000},
	{"s", 1000},
};

/* One "12ms" of a duration; moves *s behind it. */
static int duration_part(const char **s, uint64_t *ret_ms)
{
	uint64_t n = 0;
	const char *p = *s;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
		if (!str_starts(p, duration_units[i].unit))
			continue;
		if (__builtin_mul_overflow(n, duration_units[i].ms, ret_ms))
			return -EINVAL;
		*s = p + strlen(duration_units[i].unit);
		return 0;
	}
	return -EINVAL;
}

int str_duration(const char *s, uint64_t *ret_ms)
{
	uint64_t sum = 0, part, seconds;

	if (str_empty(s))
		return -EINVAL;
	if (str_u64(s, 0, UINT64_MAX / 1000, &seconds) == 0) {
		*ret_ms = seconds * 1000;
		return 0;
	}
	while (*s)
		if (duration_part(&s, &part) < 0 || __builtin_add_overflow(sum, part, &sum))
			return -EINVAL;
	*ret_ms = sum;
	return 0;
}

/* The date of a day since 1970-01-01 in the Gregorian calendar, counted in years that begin in March, so that the leap day
 * is the last. gmtime_r(3) knows it too, but reads the system's time zone for it: seven system calls. */
static void date_of_day(int64_t day, int *year, unsigned *month, unsigned *mday)
{
	int64_t since = day + 719468; /* 0000-03-01 */
	int64_t era = since / 146097; /* 400 years; no time before the year 0 comes here */
	unsigned in_era = (unsigned)(since - era * 146097);
	unsigned years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned in_year = in_era - (365 * years + years / 4 - years / 100);
	unsigned from_march = (5 * in_year + 2) / 153;

	*mday = in_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = (int)(years + era * 400) + (*month <= 2);
}

void str_time(char out[STR_TIME_SIZE])
{
	struct timespec now;
	unsigned month, mday, second;
	int year;

	clock_gettime(CLOCK_REALTIME, &now);
	date_of_day(now.tv_sec / 86400, &year, &month, &mday);
	second = (unsigned)(now.tv_sec % 86400);
	snprintf(out, STR_TIME_SIZE, "%04d-%02u-%02uT%02u:%02u:%02u.%09ldZ", year, month % 13, mday % 32, second / 3600,
		 second / 60 % 60, second % 60, now.tv_nsec);
}

/* --- vectors ------------------------------------------------------------------------------------------------ */

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

bool strv_has(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (strcmp(*v, s) == 0)
			return true;
	return false;
}

/* Takes s, also on failure. */
static int strv_take(char ***v, char *s)
{
	size_t n = strv_len(*v);
	char **grown;

	if (!s)
		return -ENOMEM;
	grown = realloc(*v, (n + 2) * sizeof(*grown));
	if (!grown) {
		free(s);
		return -ENOMEM;
	}
	grown[n] = s;
	grown[n + 1] = NULL;
	*v = grown;
	return 0;
}

int strv_add(char ***v, const char *s)
{
	return strv_take(v, strdup(s));
}

int strv_addf(char ***v, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return strv_take(v, n < 0 ? NULL : s);
}

void strv_free(char **v)
{
	for (char **p = v; p && *p; p++)
		free(*p);
	free(v);
}

const char *strv_env(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* --- base64 ------------------------------------------------------------------------------------------------- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *b, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len; p += 3) {
		size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
		char out[4] = {base64_digits[v >> 18], base64_digits[v >> 12 & 63],
			       n > 1 ? base64_digits[v >> 6 & 63] : '=', n > 2 ? base64_digits[v & 63] : '='};

		buf_add(b, out, sizeof(out));
		len -= n;
	}
}

static int base64_digit(char c)
{
	const char *p = c ? strchr(base64_digits, c) : NULL;

	return p ? (int)(p - base64_digits) : -1;
}

int base64_decode(const char *s, void *out, size_t size)
{
	size_t len = strlen(s), pad, n = 0;
	uint8_t *o = out;

	if (len % 4)
		return -EINVAL;
	pad = len ? (s[len - 1] == '=') + (s[len - 1] == '=' && s[len - 2] == '=') : 0;
	if (len / 4 * 3 - pad > size)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		size_t digits = i + 4 == len ? 4 - pad : 4;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k < digits ? base64_digit(s[i + k]) : 0;

			if (d < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)d;
		}
		/* Bits that no byte holds must be zero, or two texts would mean the same bytes. */
		if ((digits == 2 && v & 0xffff) || (digits == 3 && v & 0xff))
			return -EINVAL;
		for (size_t k = 0; k + 1 < digits; k++)
			o[n++] = (uint8_t)(v >> (16 - 8 * k));
	}
	return (int)n;
}

/* --- word tables -------------------------------------------------------------------------------------------- */

int word_value(const struct word *table, const char *word)
{
	for (; table->word; table++)
		if (strcmp(table->word, word) == 0)
			return table->value;
	return -1;
}

const char *word_name(const struct word *table, int value)
{
	for (; table->word; table++)
		if (table->value == value)
			return table->word;
	return NULL;
}
