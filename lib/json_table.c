/* Field tables: JSON objects to C structs and back, one walk over a table each way. */
#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "error.h"

/* Where the decoder is, as a list of stack frames; walked only to print an error. */
struct path {
	const struct path *up;
	const char *key; /* NULL: an index */
	size_t index;
};

struct decode {
	struct json_doc *doc;
	const char *where;
	struct error *err;
};

static void path_write(struct buf *b, const struct path *p)
{
	if (!p)
		return;
	path_write(b, p->up);
	if (p->key)
		buf_printf(b, "%s%s", b->len ? "." : "", p->key);
	else
		buf_printf(b, "[%zu]", p->index);
}

static int fail(struct decode *d, const struct path *p, const char *what, const char *detail)
{
	auto_buf struct buf b = {0};

	path_write(&b, p);
	return error_set(d->err, EINVAL, "%s: %s%s%s%s", d->where, b.data ? b.data : "", b.len ? ": " : "", what,
			 detail ? detail : "");
}

/* --- numbers ------------------------------------------------------------------------------------------------ */

static const struct {
	bool is_signed;
	int64_t min;
	uint64_t max;
	const char *expected;
} number_range[] = {
	[JSON_I32] = {true, INT32_MIN, INT32_MAX, "expected an integer"},
	[JSON_U32] = {false, 0, UINT32_MAX, "expected an unsigned integer"},
	[JSON_I64] = {true, INT64_MIN, INT64_MAX, "expected an integer"},
	[JSON_U64] = {false, 0, UINT64_MAX, "expected an unsigned integer"},
};

static int decode_number(struct decode *d, const struct path *p, enum json_kind kind, const struct json_value *v, void *out)
{
	uint64_t u = 0;
	int64_t i = 0;
	int rc;

	if (v->what != JSON_NUMBER)
		return fail(d, p, number_range[kind].expected, NULL);
	if (number_range[kind].is_signed)
		rc = str_i64(v->text, number_range[kind].min, (int64_t)number_range[kind].max, &i);
	else
		rc = str_u64(v->text, 0, number_range[kind].max, &u);
	if (rc == -ERANGE)
		return fail(d, p, "number out of range: ", v->text);
	if (rc < 0)
		return fail(d, p, number_range[kind].expected, NULL);
	switch (kind) {
	case JSON_I32:
		*(int32_t *)out = (int32_t)i;
		break;
	case JSON_U32:
		*(uint32_t *)out = (uint32_t)u;
		break;
	case JSON_I64:
		*(int64_t *)out = i;
		break;
	default:
		*(uint64_t *)out = u;
	}
	return 0;
}

static int decode_double(struct decode *d, const struct path *p, const struct json_value *v, double *out)
{
	if (v->what != JSON_NUMBER)
		return fail(d, p, "expected a number", NULL);
	*out = strtod(v->text, NULL);
	return 0;
}

/* --- strings ------------------------------------------------------------------------------------------------ */

static int decode_text(struct decode *d, const struct path *p, unsigned flags, const struct json_value *v, const char **out)
{
	if (v->what != JSON_TEXT)
		return fail(d, p, "expected a string", NULL);
	if (flags & JSON_NONEMPTY && !v->n)
		return fail(d, p, "must not be empty", NULL);
	if (flags & JSON_ABSOLUTE && v->text[0] != '/')
		return fail(d, p, "must be an absolute path", NULL);
	*out = v->text;
	return 0;
}

static int decode_strings(struct decode *d, const struct path *p, unsigned flags, const struct json_value *v, char ***out)
{
	char **items;

	if (v->what != JSON_ARRAY)
		return fail(d, p, "expected an array of strings", NULL);
	if (flags & JSON_NONEMPTY && !v->n)
		return fail(d, p, "must not be empty", NULL);
	items = json_alloc(d->doc, (v->n + 1) * sizeof(*items));
	if (!items)
		return error_oom(d->err);
	for (size_t i = 0; i < v->n; i++) {
		struct path here = {.up = p, .index = i};
		int rc = decode_text(d, &here, flags & JSON_ABSOLUTE, v->items[i], (const char **)&items[i]);

		if (rc < 0)
			return rc;
	}
	*out = items;
	return 0;
}

static int decode_map(struct decode *d, const struct path *p, const struct json_value *v, struct json_map *out)
{
	struct json_pair *pairs;

	if (v->what != JSON_OBJECT)
		return fail(d, p, "expected an object of strings", NULL);
	pairs = json_alloc(d->doc, v->n * sizeof(*pairs));
	if (!pairs)
		return error_oom(d->err);
	for (size_t i = 0; i < v->n; i++) {
		struct path here = {.up = p, .key = v->keys[i]};
		int rc = decode_text(d, &here, 0, v->items[i], &pairs[i].value);

		if (rc < 0)
			return rc;
		pairs[i].key = v->keys[i];
	}
	*out = (struct json_map){.n = v->n, .pairs = pairs};
	return 0;
}

static int decode_word(struct decode *d, const struct path *p, const struct word *words, const struct json_value *v, int *out)
{
	int value;

	if (v->what != JSON_TEXT)
		return fail(d, p, "expected a string", NULL);
	value = word_value(words, v->text);
	if (value < 0) {
		auto_buf struct buf known = {0};

		buf_printf(&known, "\"%s\" is not one of ", v->text);
		for (const struct word *w = words; w->word; w++)
			buf_printf(&known, "%s%s", w == words ? "" : ", ", w->word);
		return fail(d, p, known.data ? known.data : "unknown word", NULL);
	}
	*out = value;
	return 0;
}

static int decode_bool(struct decode *d, const struct path *p, unsigned flags, const struct json_value *v, bool *out)
{
	bool text = flags & JSON_LOOSE_BOOL && v->what == JSON_TEXT;

	if (v->what == JSON_TRUE || (text && strcmp(v->text, "true") == 0))
		*out = true;
	else if (v->what == JSON_FALSE || (text && strcmp(v->text, "false") == 0))
		*out = false;
	else
		return fail(d, p, "expected true or false", NULL);
	return 0;
}

/* --- objects ------------------------------------------------------------------------------------------------ */

static int decode_object(struct decode *d, const struct path *p, const struct json_value *v, const struct json_type *type,
			 void *out);

static int decode_list(struct decode *d, const struct path *p, const struct json_field *f, const struct json_value *v,
		       char *base)
{
	size_t size = f->type ? f->type->size : sizeof(uint32_t);
	char *items;

	if (v->what != JSON_ARRAY)
		return fail(d, p, "expected an array", NULL);
	if (f->flags & JSON_NONEMPTY && !v->n)
		return fail(d, p, "must not be empty", NULL);
	items = json_alloc(d->doc, v->n * size);
	if (!items)
		return error_oom(d->err);
	for (size_t i = 0; i < v->n; i++) {
		struct path here = {.up = p, .index = i};
		int rc = f->type ? decode_object(d, &here, v->items[i], f->type, items + i * size)
				 : decode_number(d, &here, JSON_U32, v->items[i], items + i * size);

		if (rc < 0)
			return rc;
	}
	*(void **)(base + f->offset) = items;
	*(size_t *)(base + f->extra) = v->n;
	return 0;
}

static int decode_field(struct decode *d, const struct path *p, const struct json_field *f, const struct json_value *v,
			char *base)
{
	void *out = base + f->offset, *made;

	switch (f->kind) {
	case JSON_END:
		return 0;
	case JSON_BOOL:
		return decode_bool(d, p, f->flags, v, out);
	case JSON_I32:
	case JSON_U32:
	case JSON_I64:
	case JSON_U64:
		return decode_number(d, p, f->kind, v, out);
	case JSON_F64:
		return decode_double(d, p, v, out);
	case JSON_STRING:
		return decode_text(d, p, f->flags, v, out);
	case JSON_STRINGS:
		return decode_strings(d, p, f->flags, v, out);
	case JSON_MAP:
		return decode_map(d, p, v, out);
	case JSON_STRUCT:
		return decode_object(d, p, v, f->type, out);
	case JSON_POINTER:
		made = *(void **)out = json_alloc(d->doc, f->type->size);
		return made ? decode_object(d, p, v, f->type, made) : error_oom(d->err);
	case JSON_LIST:
	case JSON_U32S:
		return decode_list(d, p, f, v, base);
	case JSON_WORD:
		return decode_word(d, p, f->words, v, out);
	case JSON_RAW:
		*(const struct json_value **)out = v;
		return 0;
	case JSON_REFUSED:
		return json_is_empty(v) ? 0 : fail(d, p, "not supported: ", f->why);
	}
	return 0;
}

static bool has_flag(const struct json_field *f)
{
	switch (f->kind) {
	case JSON_BOOL:
	case JSON_I32:
	case JSON_U32:
	case JSON_I64:
	case JSON_U64:
	case JSON_F64:
	case JSON_WORD:
		return f->extra != 0;
	default:
		return false;
	}
}

static const struct json_value *find_member(const struct json_value *v, const struct json_field *f)
{
	const struct json_value *found = json_get(v, f->key);

	if (found || !(f->flags & JSON_FOLD))
		return found;
	for (size_t i = 0; i < v->n; i++)
		if (strcasecmp(v->keys[i], f->key) == 0)
			return v->items[i];
	return NULL;
}

static int decode_object(struct decode *d, const struct path *p, const struct json_value *v, const struct json_type *type,
			 void *out)
{
	if (v->what != JSON_OBJECT)
		return fail(d, p, "expected an object", NULL);
	for (const struct json_field *f = type->fields; f->kind != JSON_END; f++) {
		struct path here = {.up = p, .key = f->key};
		const struct json_value *member = find_member(v, f);
		int rc;

		if (!member || member->what == JSON_NULL) {
			if (f->flags & JSON_REQUIRED)
				return fail(d, &here, "missing", NULL);
			continue;
		}
		rc = decode_field(d, &here, f, member, out);
		if (rc < 0)
			return rc;
		if (has_flag(f))
			*(bool *)((char *)out + f->extra - 1) = true;
	}
	return 0;
}

int json_decode(struct json_doc *doc, const struct json_value *v, const struct json_type *type, void *out,
		const char *where, struct error *err)
{
	struct decode d = {.doc = doc, .where = where, .err = err};

	memset(out, 0, type->size);
	return decode_object(&d, NULL, v, type, out);
}

/* --- encoding ----------------------------------------------------------------------------------------------- */

static void encode_object(struct buf *b, const struct json_type *type, const char *base, int indent, int level);

static void encode_newline(struct buf *b, int indent, int level)
{
	if (indent)
		buf_printf(b, "\n%*s", indent * level, "");
}

/* Whether the field has something to say; a value that was set to zero on purpose says so by its has_ flag. */
static bool is_present(const struct json_field *f, const char *base)
{
	const void *at = base + f->offset;

	if (f->flags & JSON_KEEP)
		return true;
	if (has_flag(f))
		return *(const bool *)(base + f->extra - 1);
	switch (f->kind) {
	case JSON_BOOL:
		return *(const bool *)at;
	case JSON_I32:
	case JSON_U32:
		return *(const uint32_t *)at;
	case JSON_WORD:
		return *(const int *)at;
	case JSON_I64:
	case JSON_U64:
		return *(const uint64_t *)at;
	case JSON_F64:
		return *(const double *)at != 0;
	case JSON_STRING:
	case JSON_STRINGS:
	case JSON_POINTER:
	case JSON_RAW:
		return *(void *const *)at;
	case JSON_MAP:
		return ((const struct json_map *)at)->n;
	case JSON_LIST:
	case JSON_U32S:
		return *(const size_t *)(base + f->extra);
	case JSON_STRUCT:
		return true;
	case JSON_END:
	case JSON_REFUSED:
		return false;
	}
	return false;
}

static void encode_list(struct buf *b, const struct json_field *f, const char *base, int indent, int level)
{
	const char *items = *(const char *const *)(base + f->offset);
	size_t n = *(const size_t *)(base + f->extra);

	if (!n)
		return buf_puts(b, "[]");
	buf_putc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_putc(b, ',');
		encode_newline(b, indent, level + 1);
		if (f->type)
			encode_object(b, f->type, items + i * f->type->size, indent, level + 1);
		else
			buf_printf(b, "%u", ((const uint32_t *)(const void *)items)[i]);
	}
	encode_newline(b, indent, level);
	buf_putc(b, ']');
}

static void encode_strings(struct buf *b, char *const *v, int indent, int level)
{
	if (!strv_len(v))
		return buf_puts(b, "[]");
	buf_putc(b, '[');
	for (size_t i = 0; v[i]; i++) {
		if (i)
			buf_putc(b, ',');
		encode_newline(b, indent, level + 1);
		json_write_text(b, v[i]);
	}
	encode_newline(b, indent, level);
	buf_putc(b, ']');
}

static void encode_map(struct buf *b, const struct json_map *m, int indent, int level)
{
	if (!m->n)
		return buf_puts(b, "{}");
	buf_putc(b, '{');
	for (size_t i = 0; i < m->n; i++) {
		if (i)
			buf_putc(b, ',');
		encode_newline(b, indent, level + 1);
		json_write_text(b, m->pairs[i].key);
		buf_puts(b, indent ? ": " : ":");
		json_write_text(b, m->pairs[i].value);
	}
	encode_newline(b, indent, level);
	buf_putc(b, '}');
}

static void encode_raw(struct buf *b, const struct json_value *v)
{
	if (v)
		json_write(b, v, 0);
	else
		buf_puts(b, "null");
}

static void encode_field(struct buf *b, const struct json_field *f, const char *base, int indent, int level)
{
	const void *at = base + f->offset;
	const char *text;

	switch (f->kind) {
	case JSON_BOOL:
		return buf_puts(b, *(const bool *)at ? "true" : "false");
	case JSON_I32:
		return buf_printf(b, "%d", *(const int32_t *)at);
	case JSON_U32:
		return buf_printf(b, "%u", *(const uint32_t *)at);
	case JSON_I64:
		return buf_printf(b, "%lld", (long long)*(const int64_t *)at);
	case JSON_U64:
		return buf_printf(b, "%llu", (unsigned long long)*(const uint64_t *)at);
	case JSON_F64:
		return buf_printf(b, "%.17g", *(const double *)at);
	case JSON_WORD:
		text = word_name(f->words, *(const int *)at);
		return json_write_text(b, text ? text : "");
	case JSON_STRING:
		text = *(const char *const *)at;
		return json_write_text(b, text ? text : "");
	case JSON_STRINGS:
		return encode_strings(b, *(char *const *const *)at, indent, level);
	case JSON_MAP:
		return encode_map(b, at, indent, level);
	case JSON_STRUCT:
		return encode_object(b, f->type, at, indent, level);
	case JSON_POINTER:
		at = *(const void *const *)at;
		return at ? encode_object(b, f->type, at, indent, level) : buf_puts(b, "null");
	case JSON_LIST:
	case JSON_U32S:
		return encode_list(b, f, base, indent, level);
	case JSON_RAW:
		return encode_raw(b, *(const struct json_value *const *)at);
	case JSON_END:
	case JSON_REFUSED:
		return;
	}
}

static void encode_object(struct buf *b, const struct json_type *type, const char *base, int indent, int level)
{
	bool first = true;

	buf_putc(b, '{');
	for (const struct json_field *f = type->fields; f->kind != JSON_END; f++) {
		if (!is_present(f, base))
			continue;
		if (!first)
			buf_putc(b, ',');
		first = false;
		encode_newline(b, indent, level + 1);
		json_write_text(b, f->key);
		buf_puts(b, indent ? ": " : ":");
		encode_field(b, f, base, indent, level + 1);
	}
	if (!first)
		encode_newline(b, indent, level);
	buf_putc(b, '}');
}

void json_encode(struct buf *b, const struct json_type *type, const void *in, int indent)
{
	encode_object(b, type, in, indent, 0);
}
