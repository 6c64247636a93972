/* JSON: a document in one allocation arena, and field tables that turn it into C structs and back. json.c is the
 * only file that knows the parser library.
 *
 * Parsing is strict: no comments, no duplicate keys, no trailing text, no NUL in strings, valid UTF-8, at most
 * JSON_MAX_SIZE bytes and JSON_MAX_DEPTH levels. Decoding checks type and range, and an error names the path:
 * `process.rlimits[0].hard: expected an unsigned integer`. Keys that a table does not list are ignored, as the OCI
 * and CNI specifications require; null counts as absent. Decoded structs borrow from the document: one
 * json_free() releases it all, there are no destructors. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct error;
struct json_doc;

enum { JSON_MAX_SIZE = 4 << 20, JSON_MAX_DEPTH = 64 };

/* --- values ------------------------------------------------------------------------------------------------- */

enum json_what { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json_value {
	enum json_what what;
	size_t n;		     /* JSON_ARRAY, JSON_OBJECT: how many; JSON_TEXT, JSON_NUMBER: length of text */
	const char *text;	     /* JSON_TEXT: the string; JSON_NUMBER: its digits as written */
	struct json_value **items;   /* JSON_ARRAY, JSON_OBJECT: the values */
	const char **keys;	     /* JSON_OBJECT: their keys */
};

/* Parses len bytes of text (copied); the document, or NULL with err set (EINVAL, EFBIG). `name` starts the messages. */
struct json_doc *json_parse(const char *name, const char *text, size_t len, struct error *err);
/* An empty document, to make values in. NULL when out of memory. */
struct json_doc *json_new(void);
void json_free(struct json_doc *doc);
static inline void json_cleanup(struct json_doc **doc)
{
	json_free(*doc);
	*doc = (struct json_doc *)0;
}
#define auto_json __attribute__((cleanup(json_cleanup)))

struct json_value *json_root(const struct json_doc *doc);
/* The member's value, or NULL (also when v is NULL or no object). */
struct json_value *json_get(const struct json_value *v, const char *key);
/* The member's text, or NULL unless it is a string. */
const char *json_get_text(const struct json_value *v, const char *key);
/* True for absent, null, false, 0, "", [] and {}. */
bool json_is_empty(const struct json_value *v);

/* Memory and values that live as long as the document; NULL when out of memory (or doc is NULL for that reason). Strings
 * are copied. */
void *json_alloc(struct json_doc *doc, size_t size); /* zeroed */
char *json_strdup(struct json_doc *doc, const char *s);
struct json_value *json_make(struct json_doc *doc, enum json_what what);
struct json_value *json_make_text(struct json_doc *doc, const char *s);
struct json_value *json_make_u64(struct json_doc *doc, uint64_t n);
struct json_value *json_make_bool(struct json_doc *doc, bool b);
/* Sets (or replaces) a member; appends to an array. v may be NULL (out of memory further down). 0 or -ENOMEM. */
int json_set(struct json_doc *doc, struct json_value *object, const char *key, struct json_value *v);
int json_append(struct json_doc *doc, struct json_value *array, struct json_value *v);
/* Removes a member if it is there. */
void json_unset(struct json_value *object, const char *key);
/* A deep copy that lives in doc. */
struct json_value *json_copy(struct json_doc *doc, const struct json_value *v);

/* Writes the value; indent 0 is compact, otherwise spaces a level. NULL (out of memory) fails the buffer. */
void json_write(struct buf *b, const struct json_value *v, int indent);
/* Writes a quoted, escaped string. */
void json_write_text(struct buf *b, const char *s);

/* --- field tables ------------------------------------------------------------------------------------------- */

enum json_kind {
	JSON_END, /* last entry of a table */
	JSON_BOOL,
	JSON_I32,
	JSON_U32,
	JSON_I64,
	JSON_U64,
	JSON_F64,
	JSON_STRING,   /* const char * */
	JSON_STRINGS,  /* char **, NULL-terminated, NULL when absent */
	JSON_MAP,      /* struct json_map */
	JSON_STRUCT,   /* embedded struct, zero when absent */
	JSON_POINTER,  /* struct *, NULL when absent */
	JSON_LIST,     /* struct *items and size_t count */
	JSON_U32S,     /* uint32_t *items and size_t count */
	JSON_WORD,     /* int, from `words` */
	JSON_RAW,      /* const struct json_value * */
	JSON_REFUSED,  /* known, not supported here: an error unless json_is_empty(); `why` is the reason */
};

enum json_flag {
	JSON_REQUIRED = 1 << 0, /* absent or null is an error */
	JSON_NONEMPTY = 1 << 1, /* "" or [] is an error */
	JSON_ABSOLUTE = 1 << 2, /* the string must start with '/' */
	JSON_KEEP = 1 << 3,	/* written even when false, 0, "" or absent */
	JSON_FOLD = 1 << 4,	/* the key also matches in other letter case, as in Go (CNI) */
	JSON_LOOSE_BOOL = 1 << 5, /* the strings "true" and "false" are accepted too */
};

struct json_map {
	size_t n;
	struct json_pair {
		const char *key, *value;
	} *pairs;
};

struct json_type;

struct json_field {
	const char *key;
	enum json_kind kind;
	unsigned flags;
	size_t offset;
	size_t extra; /* lists: offset of the count; numbers, bools and words: 1 + offset of a bool has_..., or 0 */
	const struct json_type *type; /* struct, pointer, list */
	const struct word *words;
	const char *why;
};

struct json_type {
	const char *name;
	size_t size;
	const struct json_field *fields;
};

/* Table entries. S is the struct, m its member; the static assertion catches a member of the wrong size. */
#define JSON_AT_(S, m, T) (offsetof(S, m) + 0 * sizeof(char[sizeof(((S *)0)->m) == sizeof(T) ? 1 : -1]))
#define F_BOOL(S, k, m, f) {.key = k, .kind = JSON_BOOL, .flags = f, .offset = JSON_AT_(S, m, bool)}
#define F_I32(S, k, m, f) {.key = k, .kind = JSON_I32, .flags = f, .offset = JSON_AT_(S, m, int32_t)}
#define F_U32(S, k, m, f) {.key = k, .kind = JSON_U32, .flags = f, .offset = JSON_AT_(S, m, uint32_t)}
#define F_I64(S, k, m, f) {.key = k, .kind = JSON_I64, .flags = f, .offset = JSON_AT_(S, m, int64_t)}
#define F_U64(S, k, m, f) {.key = k, .kind = JSON_U64, .flags = f, .offset = JSON_AT_(S, m, uint64_t)}
#define F_F64(S, k, m, f) {.key = k, .kind = JSON_F64, .flags = f, .offset = JSON_AT_(S, m, double)}
/* The same with a bool member that tells whether the key was there. */
#define F_HAS(S, k, K, m, T, has, f)                                                                                   \
	{.key = k, .kind = K, .flags = f, .offset = JSON_AT_(S, m, T), .extra = 1 + JSON_AT_(S, has, bool)}
#define F_BOOL_HAS(S, k, m, has, f) F_HAS(S, k, JSON_BOOL, m, bool, has, f)
#define F_I32_HAS(S, k, m, has, f) F_HAS(S, k, JSON_I32, m, int32_t, has, f)
#define F_U32_HAS(S, k, m, has, f) F_HAS(S, k, JSON_U32, m, uint32_t, has, f)
#define F_I64_HAS(S, k, m, has, f) F_HAS(S, k, JSON_I64, m, int64_t, has, f)
#define F_U64_HAS(S, k, m, has, f) F_HAS(S, k, JSON_U64, m, uint64_t, has, f)
#define F_STRING(S, k, m, f) {.key = k, .kind = JSON_STRING, .flags = f, .offset = JSON_AT_(S, m, char *)}
#define F_STRINGS(S, k, m, f) {.key = k, .kind = JSON_STRINGS, .flags = f, .offset = JSON_AT_(S, m, char **)}
#define F_MAP(S, k, m, f) {.key = k, .kind = JSON_MAP, .flags = f, .offset = JSON_AT_(S, m, struct json_map)}
#define F_STRUCT(S, k, m, t, f) {.key = k, .kind = JSON_STRUCT, .flags = f, .offset = offsetof(S, m), .type = t}
#define F_POINTER(S, k, m, t, f) {.key = k, .kind = JSON_POINTER, .flags = f, .offset = JSON_AT_(S, m, void *), .type = t}
#define F_LIST(S, k, m, count, t, f)                                                                                   \
	{.key = k, .kind = JSON_LIST, .flags = f, .offset = JSON_AT_(S, m, void *), .extra = JSON_AT_(S, count, size_t), .type = t}
#define F_U32S(S, k, m, count, f)                                                                                      \
	{.key = k, .kind = JSON_U32S, .flags = f, .offset = JSON_AT_(S, m, void *), .extra = JSON_AT_(S, count, size_t)}
#define F_WORD(S, k, m, w, f) {.key = k, .kind = JSON_WORD, .flags = f, .offset = JSON_AT_(S, m, int), .words = w}
#define F_WORD_HAS(S, k, m, has, w, f)                                                                                 \
	{.key = k, .kind = JSON_WORD, .flags = f, .offset = JSON_AT_(S, m, int), .extra = 1 + JSON_AT_(S, has, bool), .words = w}
#define F_RAW(S, k, m, f) {.key = k, .kind = JSON_RAW, .flags = f, .offset = JSON_AT_(S, m, void *)}
#define F_REFUSED(k, reason) {.key = k, .kind = JSON_REFUSED, .why = reason}
#define F_END {.kind = JSON_END}
#define JSON_TYPE(var, S, table) const struct json_type var = {.name = #S, .size = sizeof(S), .fields = table}

/* Fills *out (of type->size bytes, zeroed first) from the object v. `where` starts the paths of messages, e.g.
 * "config.json"; the result reads "config.json: process.cwd: must be absolute". 0 or -EINVAL / -ENOMEM. */
int json_decode(struct json_doc *doc, const struct json_value *v, const struct json_type *type, void *out,
		const char *where, struct error *err);

/* Writes *in as an object, by the same table; absent members are left out. indent as json_write. */
void json_encode(struct buf *b, const struct json_type *type, const void *in, int indent);

#endif
