/* Values in GVariant's text format, as people write them. A first pass finds out the type, a second one writes the value
 * in that type, so that [1, 2] after "au" becomes one of unsigned integers.
 * Source: GLib, "GVariant Text Format"; of it are left out bytestrings, maybes, dictionaries and nested variants. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "dbus.h"
#include "error.h"

enum { DEPTH_MAX = 8, SIGNATURE_MAX = 64 };

#define BASIC_TYPES "bynqiuxtdsog"

static const struct {
	const char *word;
	char type;
} type_words[] = {
	{"boolean", 'b'}, {"byte", 'y'},  {"int16", 'n'},  {"uint16", 'q'}, {"int32", 'i'},  {"handle", 'i'},	  {"uint32", 'u'},
	{"int64", 'x'},	  {"uint64", 't'}, {"double", 'd'}, {"string", 's'}, {"objectpath", 'o'}, {"signature", 'g'},
};

struct parser {
	const char *text, *at;
	const char *wrong; /* what is wrong at `at`; NULL: nothing so far */
	int depth;
};

static void fail(struct parser *p, const char *what)
{
	if (!p->wrong)
		p->wrong = what;
}

static void skip_space(struct parser *p)
{
	p->at += strspn(p->at, " \t\n");
}

static bool take_char(struct parser *p, char c)
{
	skip_space(p);
	if (*p->at != c)
		return false;
	p->at++;
	return true;
}

/* --- types -------------------------------------------------------------------------------------------------- */

/* Behind the one complete type that begins here, or NULL. */
static const char *type_end(const char *type, int depth)
{
	if (*type && strchr(BASIC_TYPES, *type))
		return type + 1;
	if (depth == 0)
		return NULL;
	if (*type == 'a')
		return type_end(type + 1, depth - 1);
	if (*type++ != '(')
		return NULL;
	do
		type = type_end(type, depth - 1);
	while (type && *type != ')');
	return type ? type + 1 : NULL;
}

static size_t alignment_of(char type)
{
	switch (type) {
	case 'y':
	case 'g':
		return 1;
	case 'n':
	case 'q':
		return 2;
	case 'x':
	case 't':
	case 'd':
	case '(':
		return 8;
	default:
		return 4;
	}
}

/* "uint64 " or "@as " before a value: its type, of length *ret_len; NULL: there is none. */
static const char *take_type(struct parser *p, size_t *ret_len)
{
	const char *start, *end;

	skip_space(p);
	start = p->at;
	if (*start == '@') {
		end = type_end(++start, DEPTH_MAX);
		if (!end)
			fail(p, "a type was expected");
		p->at = end ? end : p->at;
		*ret_len = end ? (size_t)(end - start) : 0;
		return end ? start : NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(type_words); i++) {
		size_t len = strlen(type_words[i].word);

		if (strncmp(start, type_words[i].word, len) != 0 || !strchr(" \t", start[len]) || !start[len])
			continue;
		p->at += len;
		*ret_len = 1;
		return &type_words[i].type;
	}
	return NULL;
}

static bool is_word(const char *s, const char *word)
{
	return str_starts(s, word) && (!s[strlen(word)] || strchr(" \t\n,])", s[strlen(word)]));
}

/* --- basic values ------------------------------------------------------------------------------------------- */

static const char *number_end(const char *s)
{
	return s + strspn(s, "+-.0123456789abcdefABCDEFxXinINtyTY");
}

/* A quoted string without its quotes; b may be NULL. */
static void read_string(struct parser *p, struct buf *b)
{
	static const char plain[] = "abfnrtv", meant[] = "\a\b\f\n\r\t\v";
	char quote = *p->at;

	if (quote != '\'' && quote != '"') {
		fail(p, "a quoted string was expected");
		return;
	}
	for (p->at++; *p->at && *p->at != quote; p->at++) {
		const char *escape = NULL;

		if (*p->at == '\\' && (p->at[1] == 'u' || p->at[1] == 'U' || !p->at[1])) {
			fail(p, "this escape is not known");
			return;
		}
		if (*p->at == '\\')
			escape = strchr(plain, *++p->at);
		if (b)
			buf_putc(b, escape ? meant[escape - plain] : *p->at);
	}
	if (*p->at != quote)
		fail(p, "the string has no end");
	else
		p->at++;
}

/* The number's text; true if it is within what len bytes can hold. */
static void put_number(struct parser *p, char type, struct buf *b)
{
	static const struct {
		char type;
		int64_t min;
		uint64_t max;
	} ranges[] = {{'y', 0, UINT8_MAX}, {'n', INT16_MIN, INT16_MAX}, {'q', 0, UINT16_MAX}, {'i', INT32_MIN, INT32_MAX},
		      {'u', 0, UINT32_MAX}, {'x', INT64_MIN, INT64_MAX}, {'t', 0, UINT64_MAX}};
	bool negative = *p->at == '-';
	char *end = (char *)p->at;
	uint64_t v;
	size_t i = 0;

	while (ranges[i].type != type)
		i++;
	errno = 0;
	v = strtoull(p->at, &end, 0);
	if (end == p->at || end != number_end(p->at)) {
		fail(p, "an integer was expected");
		return;
	}
	/* For a negative number strtoull() has the two's complement. */
	if (errno || (negative ? v != 0 && ((int64_t)v >= 0 || (int64_t)v < ranges[i].min) : v > ranges[i].max)) {
		fail(p, "the number is out of its type's range");
		return;
	}
	p->at = end;
	if (type == 'y')
		buf_putc(b, (char)v);
	else if (alignment_of(type) == 2)
		dbus_put_u16(b, (uint16_t)v);
	else if (alignment_of(type) == 4)
		dbus_put_u32(b, (uint32_t)v);
	else
		dbus_put_u64(b, v);
}

static void put_double(struct parser *p, struct buf *b)
{
	char *end;
	double v = strtod(p->at, &end);
	uint64_t bits;

	if (end == p->at)
		fail(p, "a number was expected");
	p->at = end;
	memcpy(&bits, &v, sizeof(bits));
	dbus_put_u64(b, bits);
}

static void put_boolean(struct parser *p, struct buf *b)
{
	bool yes = is_word(p->at, "true");

	if (!yes && !is_word(p->at, "false")) {
		fail(p, "true or false was expected");
		return;
	}
	p->at += strlen(yes ? "true" : "false");
	dbus_put_u32(b, yes);
}

static void put_basic(struct parser *p, char type, struct buf *b)
{
	auto_buf struct buf text = {0};

	switch (type) {
	case 'b':
		put_boolean(p, b);
		return;
	case 'd':
		put_double(p, b);
		return;
	case 's':
	case 'o':
	case 'g':
		read_string(p, &text);
		if (type == 'g' && text.len > SIGNATURE_MAX)
			fail(p, "the signature is too long");
		else if (type == 'g')
			dbus_put_signature(b, text.data ? text.data : "");
		else
			dbus_put_string(b, text.data ? text.data : "");
		b->failed |= text.failed;
		return;
	default:
		put_number(p, type, b);
	}
}

/* --- the two passes ----------------------------------------------------------------------------------------- */

static void find_type(struct parser *p, struct buf *ret);

static void find_basic_type(struct parser *p, struct buf *ret)
{
	const char *end = number_end(p->at);
	size_t len = (size_t)(end - p->at);

	if (*p->at == '\'' || *p->at == '"') {
		read_string(p, NULL);
		buf_putc(ret, 's');
	} else if (is_word(p->at, "true") || is_word(p->at, "false")) {
		p->at += *p->at == 't' ? 4 : 5;
		buf_putc(ret, 'b');
	} else if (*p->at && strchr("+-.0123456789", *p->at)) {
		bool hex = str_starts(p->at + strspn(p->at, "+-"), "0x");

		buf_putc(ret, memchr(p->at, '.', len) || (!hex && memchr(p->at, 'e', len)) ? 'd' : 'i');
		p->at = end;
	} else {
		fail(p, "a value was expected: 'text', true, 5, uint64 5, ['a', 'b']");
	}
}

/* The elements up to the closing bracket. An array has its first element's type, a tuple all of them. */
static void find_element_types(struct parser *p, char closing, struct buf *ret)
{
	bool tuple = closing == ')';

	if (take_char(p, closing)) {
		fail(p, tuple ? "an empty tuple is nothing" : "an empty array needs its type: @as []");
		return;
	}
	for (size_t n = 0; !p->wrong; n++) {
		auto_buf struct buf other = {0};

		find_type(p, n == 0 || tuple ? ret : &other);
		if (take_char(p, closing))
			return;
		if (!take_char(p, ','))
			fail(p, tuple ? "',' or ')' was expected" : "',' or ']' was expected");
	}
}

/* Goes over one value and appends its type. */
static void find_type(struct parser *p, struct buf *ret)
{
	auto_buf struct buf own = {0};
	size_t len;
	const char *given = take_type(p, &len);
	struct buf *out = given ? &own : ret; /* what is found out does not count */

	if (given)
		buf_add(ret, given, len);
	skip_space(p);
	if (++p->depth > DEPTH_MAX) {
		fail(p, "this is nested too deep");
	} else if (given && *given == 'a' && *p->at == '[' && p->at[1 + strspn(p->at + 1, " \t\n")] == ']') {
		p->at = strchr(p->at, ']') + 1;
	} else if (take_char(p, '[')) {
		buf_putc(out, 'a');
		find_element_types(p, ']', out);
	} else if (take_char(p, '(')) {
		buf_putc(out, '(');
		find_element_types(p, ')', out);
		buf_putc(out, ')');
	} else {
		find_basic_type(p, out);
	}
	p->depth--;
}

/* Writes one value in the type that `type` begins with; returns what is behind that type. */
static const char *put_value(struct parser *p, const char *type, struct buf *b)
{
	const char *end = type_end(type, DEPTH_MAX + 1);
	struct dbus_array a;
	size_t len;

	(void)take_type(p, &len); /* the same, or the second pass fails */
	skip_space(p);
	if (*type == 'a') {
		if (!take_char(p, '['))
			fail(p, "an array was expected");
		a = dbus_open_array(b, alignment_of(type[1]));
		for (size_t n = 0; !p->wrong && !take_char(p, ']'); n++) {
			if (n > 0 && !take_char(p, ','))
				fail(p, "',' or ']' was expected");
			put_value(p, type + 1, b);
		}
		dbus_close_array(b, a);
	} else if (*type == '(') {
		if (!take_char(p, '('))
			fail(p, "a tuple was expected");
		dbus_align(b, 8);
		for (type++; !p->wrong && *type != ')';) {
			type = put_value(p, type, b);
			if (!p->wrong && !take_char(p, *type == ')' ? ')' : ','))
				fail(p, "the tuple has another number of values");
		}
	} else {
		put_basic(p, *type, b);
	}
	return end;
}

int dbus_put_text(struct buf *b, const char *text, struct error *err)
{
	struct parser p = {.text = text, .at = text};
	auto_buf struct buf type = {0};

	find_type(&p, &type);
	skip_space(&p);
	if (!p.wrong && *p.at)
		fail(&p, "the value should have ended");
	if (!p.wrong && (type.len > SIGNATURE_MAX || (!type.failed && type_end(type.data, DEPTH_MAX + 1) != type.data + type.len)))
		fail(&p, "this is nested too deep");
	if (type.failed)
		return error_oom(err);
	if (!p.wrong) {
		dbus_put_signature(b, type.data);
		p.at = text;
		put_value(&p, type.data, b);
		skip_space(&p);
		if (*p.at)
			fail(&p, "the value should have ended");
	}
	if (p.wrong)
		return error_set(err, EINVAL, "%s at \"%s\"", p.wrong, p.at);
	return b->failed ? error_oom(err) : 0;
}
