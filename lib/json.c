/* JSON documents. The parser's events build a tree of values in an arena; a document is freed as a whole. This is
 * the only file that includes the parser library, yajl. */
#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "cleanup.h"
#include "error.h"

/* --- arena -------------------------------------------------------------------------------------------------- */

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

struct json_doc {
	struct chunk *chunks; /* the newest first; only it has room */
	struct json_value *root;
};

enum { CHUNK_SIZE = 16 << 10 };

void *json_alloc(struct json_doc *doc, size_t size)
{
	size_t need = (size + 15) & ~(size_t)15;
	struct chunk *c;
	void *p;

	if (!doc || need < size)
		return NULL;
	c = doc->chunks;
	if (!c || c->size - c->used < need) {
		size_t room = need > CHUNK_SIZE ? need : CHUNK_SIZE;

		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		*c = (struct chunk){.next = doc->chunks, .size = room};
		doc->chunks = c;
	}
	p = c->data + c->used;
	c->used += need;
	return memset(p, 0, need);
}

static char *json_strndup(struct json_doc *doc, const char *s, size_t n)
{
	char *copy = json_alloc(doc, n + 1);

	return copy ? memcpy(copy, s, n) : NULL;
}

char *json_strdup(struct json_doc *doc, const char *s)
{
	return json_strndup(doc, s, strlen(s));
}

struct json_doc *json_new(void)
{
	return calloc(1, sizeof(struct json_doc));
}

void json_free(struct json_doc *doc)
{
	if (!doc)
		return;
	for (struct chunk *c = doc->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(doc);
}

struct json_value *json_root(const struct json_doc *doc)
{
	return doc->root;
}

/* --- values ------------------------------------------------------------------------------------------------- */

struct json_value *json_make(struct json_doc *doc, enum json_what what)
{
	struct json_value *v = json_alloc(doc, sizeof(*v));

	if (v)
		v->what = what;
	return v;
}

static struct json_value *make_text(struct json_doc *doc, enum json_what what, const char *s, size_t n)
{
	struct json_value *v = json_make(doc, what);

	if (!v)
		return NULL;
	v->n = n;
	v->text = json_strndup(doc, s, n);
	return v->text ? v : NULL;
}

struct json_value *json_make_text(struct json_doc *doc, const char *s)
{
	return make_text(doc, JSON_TEXT, s, strlen(s));
}

struct json_value *json_make_u64(struct json_doc *doc, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);

	return make_text(doc, JSON_NUMBER, digits, (size_t)len);
}

struct json_value *json_make_bool(struct json_doc *doc, bool b)
{
	return json_make(doc, b ? JSON_TRUE : JSON_FALSE);
}

/* Makes room for one more item. The arrays double at powers of two, so no capacity need be kept. */
static int grow(struct json_doc *doc, struct json_value *v)
{
	size_t n = v->n;
	struct json_value **items;
	const char **keys = NULL;

	if (n && (n & (n - 1)))
		return 0;
	items = json_alloc(doc, (n ? 2 * n : 1) * sizeof(*items));
	if (v->what == JSON_OBJECT)
		keys = json_alloc(doc, (n ? 2 * n : 1) * sizeof(*keys));
	if (!items || (v->what == JSON_OBJECT && !keys))
		return -ENOMEM;
	if (n) {
		memcpy(items, v->items, n * sizeof(*items));
		if (keys)
			memcpy(keys, v->keys, n * sizeof(*keys));
	}
	v->items = items;
	v->keys = keys;
	return 0;
}

int json_append(struct json_doc *doc, struct json_value *array, struct json_value *v)
{
	if (!array || !v || grow(doc, array) < 0)
		return -ENOMEM;
	array->items[array->n++] = v;
	return 0;
}

static int member_index(const struct json_value *v, const char *key)
{
	if (v && v->what == JSON_OBJECT)
		for (size_t i = 0; i < v->n; i++)
			if (strcmp(v->keys[i], key) == 0)
				return (int)i;
	return -1;
}

int json_set(struct json_doc *doc, struct json_value *object, const char *key, struct json_value *v)
{
	int i = member_index(object, key);

	if (!object || !v)
		return -ENOMEM;
	if (i >= 0) {
		object->items[i] = v;
		return 0;
	}
	if (grow(doc, object) < 0)
		return -ENOMEM;
	object->keys[object->n] = json_strdup(doc, key);
	if (!object->keys[object->n])
		return -ENOMEM;
	object->items[object->n++] = v;
	return 0;
}

void json_unset(struct json_value *object, const char *key)
{
	int i = member_index(object, key);

	if (i < 0)
		return;
	memmove(object->items + i, object->items + i + 1, (object->n - (size_t)i - 1) * sizeof(*object->items));
	memmove(object->keys + i, object->keys + i + 1, (object->n - (size_t)i - 1) * sizeof(*object->keys));
	object->n--; /* grow() may now copy an array that still has room: harmless */
}

struct json_value *json_get(const struct json_value *v, const char *key)
{
	int i = member_index(v, key);

	return i < 0 ? NULL : v->items[i];
}

const char *json_get_text(const struct json_value *v, const char *key)
{
	const struct json_value *m = json_get(v, key);

	return m && m->what == JSON_TEXT ? m->text : NULL;
}

bool json_is_empty(const struct json_value *v)
{
	if (!v)
		return true;
	switch (v->what) {
	case JSON_NULL:
	case JSON_FALSE:
		return true;
	case JSON_TRUE:
		return false;
	case JSON_NUMBER:
		return strcmp(v->text, "0") == 0;
	case JSON_TEXT:
	case JSON_ARRAY:
	case JSON_OBJECT:
		return v->n == 0;
	}
	return false;
}

struct json_value *json_copy(struct json_doc *doc, const struct json_value *v)
{
	struct json_value *copy;

	if (v->what == JSON_TEXT || v->what == JSON_NUMBER)
		return make_text(doc, v->what, v->text, v->n);
	copy = json_make(doc, v->what);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < v->n; i++) {
		struct json_value *item = json_copy(doc, v->items[i]);
		int rc = v->what == JSON_OBJECT ? json_set(doc, copy, v->keys[i], item) : json_append(doc, copy, item);

		if (rc < 0)
			return NULL;
	}
	return copy;
}

/* --- parsing ------------------------------------------------------------------------------------------------ */

struct parse {
	struct json_doc *doc;
	struct json_value *open[JSON_MAX_DEPTH]; /* containers that are not closed yet */
	size_t depth;
	const char *key; /* of the member whose value comes next */
	const char *name;
	struct error *err;
	bool failed;
};

static int parse_fail(struct parse *p, int code, const char *what, const char *detail)
{
	error_set(p->err, code, "%s: %s%s", p->name, what, detail);
	p->failed = true;
	return 0;
}

/* Hangs a finished or just opened value where it belongs. */
static int parse_place(struct parse *p, struct json_value *v)
{
	struct json_value *parent = p->depth ? p->open[p->depth - 1] : NULL;

	if (!v)
		return parse_fail(p, ENOMEM, "out of memory", "");
	if (!parent) {
		p->doc->root = v;
		return 1;
	}
	if (grow(p->doc, parent) < 0)
		return parse_fail(p, ENOMEM, "out of memory", "");
	if (parent->what == JSON_OBJECT)
		parent->keys[parent->n] = p->key;
	parent->items[parent->n++] = v;
	return 1;
}

static int parse_open(struct parse *p, enum json_what what)
{
	struct json_value *v = json_make(p->doc, what);

	if (p->depth == JSON_MAX_DEPTH)
		return parse_fail(p, EINVAL, "nested too deeply (64 levels at most)", "");
	if (!parse_place(p, v))
		return 0;
	p->open[p->depth++] = v;
	return 1;
}

static int on_null(void *arg)
{
	struct parse *p = arg;
	return parse_place(p, json_make(p->doc, JSON_NULL));
}

static int on_bool(void *arg, int b)
{
	struct parse *p = arg;
	return parse_place(p, json_make_bool(p->doc, b));
}

static int on_number(void *arg, const char *s, size_t n)
{
	struct parse *p = arg;
	return parse_place(p, make_text(p->doc, JSON_NUMBER, s, n));
}

static int on_string(void *arg, const unsigned char *s, size_t n)
{
	struct parse *p = arg;

	/* A C string would silently end there. */
	if (memchr(s, '\0', n))
		return parse_fail(p, EINVAL, "a string contains \\u0000", "");
	return parse_place(p, make_text(p->doc, JSON_TEXT, (const char *)s, n));
}

static int on_key(void *arg, const unsigned char *s, size_t n)
{
	struct parse *p = arg;

	if (memchr(s, '\0', n))
		return parse_fail(p, EINVAL, "a key contains \\u0000", "");
	p->key = json_strndup(p->doc, (const char *)s, n);
	if (!p->key)
		return parse_fail(p, ENOMEM, "out of memory", "");
	/* Parsers differ in which of two they take: what one program checked is not what the other uses. */
	if (member_index(p->open[p->depth - 1], p->key) >= 0)
		return parse_fail(p, EINVAL, "duplicate key ", p->key);
	return 1;
}

static int on_map(void *arg)
{
	return parse_open(arg, JSON_OBJECT);
}

static int on_array(void *arg)
{
	return parse_open(arg, JSON_ARRAY);
}

static int on_end(void *arg)
{
	struct parse *p = arg;
	p->depth--;
	return 1;
}

static const yajl_callbacks parse_callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_map,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_end,
};

/* The parser library's own text has several lines; the first says what, and its position says where. */
static void parse_syntax_error(struct parse *p, yajl_handle h, const char *text, size_t len)
{
	size_t at = yajl_get_bytes_consumed(h), line = 1;
	unsigned char *msg = yajl_get_error(h, 0, (const unsigned char *)text, len);
	const char *what = msg ? (const char *)msg : "invalid JSON";

	for (size_t i = 0; i < at && i < len; i++)
		line += text[i] == '\n';
	if (str_starts(what, "parse error: "))
		what += strlen("parse error: ");
	else if (str_starts(what, "lexical error: "))
		what += strlen("lexical error: ");
	error_set(p->err, EINVAL, "%s: invalid JSON in line %zu: %.*s", p->name, line, (int)strcspn(what, "\n"), what);
	if (msg)
		yajl_free_error(h, msg);
}

struct json_doc *json_parse(const char *name, const char *text, size_t len, struct error *err)
{
	auto_json struct json_doc *doc = json_new();
	struct parse p = {.doc = doc, .name = name, .err = err};
	yajl_handle h;
	yajl_status rc;

	if (len > JSON_MAX_SIZE) {
		error_set(err, EFBIG, "%s: larger than %d bytes", name, JSON_MAX_SIZE);
		return NULL;
	}
	h = doc ? yajl_alloc(&parse_callbacks, NULL, &p) : NULL;
	if (!h) {
		error_oom(err);
		return NULL;
	}
	rc = yajl_parse(h, (const unsigned char *)text, len);
	if (rc == yajl_status_ok)
		rc = yajl_complete_parse(h);
	if (rc != yajl_status_ok && !p.failed)
		parse_syntax_error(&p, h, text, len);
	yajl_free(h);
	if (rc != yajl_status_ok)
		return NULL;
	if (!doc->root) {
		error_set(err, EINVAL, "%s: empty, expected JSON", name);
		return NULL;
	}
	return take_ptr(doc);
}

/* --- writing ------------------------------------------------------------------------------------------------ */

void json_write_text(struct buf *b, const char *s)
{
	static const char short_escape[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	const char *from = s;

	buf_putc(b, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(b, from, (size_t)(s - from));
		from = s + 1;
		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < sizeof(short_escape) && short_escape[c])
			buf_printf(b, "\\%c", short_escape[c]);
		else
			buf_printf(b, "\\u%04x", c);
	}
	buf_add(b, from, (size_t)(s - from));
	buf_putc(b, '"');
}

static void write_newline(struct buf *b, int indent, int level)
{
	if (indent)
		buf_printf(b, "\n%*s", indent * level, "");
}

static void write_value(struct buf *b, const struct json_value *v, int indent, int level)
{
	bool object = v->what == JSON_OBJECT;

	switch (v->what) {
	case JSON_NULL:
		return buf_puts(b, "null");
	case JSON_FALSE:
		return buf_puts(b, "false");
	case JSON_TRUE:
		return buf_puts(b, "true");
	case JSON_NUMBER:
		return buf_puts(b, v->text);
	case JSON_TEXT:
		return json_write_text(b, v->text);
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	if (v->n == 0)
		return buf_puts(b, object ? "{}" : "[]");
	buf_putc(b, object ? '{' : '[');
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			buf_putc(b, ',');
		write_newline(b, indent, level + 1);
		if (object) {
			json_write_text(b, v->keys[i]);
			buf_puts(b, indent ? ": " : ":");
		}
		write_value(b, v->items[i], indent, level + 1);
	}
	write_newline(b, indent, level);
	buf_putc(b, object ? '}' : ']');
}

void json_write(struct buf *b, const struct json_value *v, int indent)
{
	if (v)
		write_value(b, v, indent, 0);
	else
		b->failed = true;
}
