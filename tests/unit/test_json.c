/* JSON documents: what is refused, what is kept, and that writing gives back what was read. */
#include "json.h"

#include <errno.h>

#include "error.h"
#include "tap.h"

static const struct {
	const char *text, *message;
} refused[] = {
	{"", "t: invalid JSON in line 1: premature EOF"},
	{"{", "t: invalid JSON in line 1: premature EOF"},
	{"{\"a\":1,\"a\":2}", "t: duplicate key a"},
	{"{\"a\":{\"b\":1,\"b\":2}}", "t: duplicate key b"},
	{"\"x\\u0000y\"", "t: a string contains \\u0000"},
	{"{\"x\\u0000\":1}", "t: a key contains \\u0000"},
	{"// c\n1", "t: invalid JSON in line 1: probable comment found in input text, comments are not enabled."},
	{"{} x", "t: invalid JSON in line 1: trailing garbage"},
	{"\n\n[1,]", "t: invalid JSON in line 3: unallowed token at this point in JSON text"},
	{"\"\xff\"", "t: invalid JSON in line 1: invalid bytes in UTF8 string."},
};

static void test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct error err = {0};
		auto_json struct json_doc *doc = json_parse("t", refused[i].text, strlen(refused[i].text), &err);

		ok(!doc && err.code == EINVAL, "refused: %s", refused[i].message);
		is_str(err.msg, refused[i].message, "and says why");
	}
}

static void test_depth(void)
{
	char text[200] = "";
	struct error err = {0};
	auto_json struct json_doc *fits = NULL, *deep = NULL;

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	fits = json_parse("t", text, 128, &err);
	ok(fits, "64 levels are read");
	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	deep = json_parse("t", text, 130, &err);
	ok(!deep, "65 are not");
	is_str(err.msg, "t: nested too deeply (64 levels at most)", "and it says why");
}

static void test_round_trip(void)
{
	static const char text[] = "{\"a\":[1,-2.5e3,true,false,null],\"b\":\"q\\\"\\\\\\n\\u0001\xc3\xa4\",\"c\":{},\"d\":[],"
				   "\"n\":18446744073709551615}";
	struct error err = {0};
	auto_json struct json_doc *doc = json_parse("t", text, strlen(text), &err);
	auto_buf struct buf b = {0}, pretty = {0};

	if (!ok(doc, "parsed"))
		return;
	json_write(&b, json_root(doc), 0);
	is_str(b.data, text, "written as read");
	json_unset(json_root(doc), "a");
	json_unset(json_root(doc), "n");
	json_unset(json_root(doc), "b");
	json_set(doc, json_root(doc), "c", json_make_u64(doc, 7));
	json_write(&pretty, json_root(doc), 2);
	is_str(pretty.data, "{\n  \"c\": 7,\n  \"d\": []\n}", "members removed, replaced, indented");
}

struct item {
	uint32_t n;
};
struct sample {
	bool flag;
	int32_t i;
	uint64_t u;
	bool has_u;
	const char *name;
	char **words;
	struct json_map map;
	struct item *items;
	size_t n_items;
	struct item *one;
	int color;
	uint32_t *ids;
	size_t n_ids;
};
static const struct word colors[] = {{"red", 0}, {"blue", 1}, {NULL, 0}};
static const struct json_field item_fields[] = {F_U32(struct item, "n", n, JSON_REQUIRED | JSON_KEEP), F_END};
static JSON_TYPE(item_type, struct item, item_fields);
static const struct json_field sample_fields[] = {
	F_BOOL(struct sample, "flag", flag, 0),
	F_I32(struct sample, "i", i, 0),
	F_U64_HAS(struct sample, "u", u, has_u, 0),
	F_STRING(struct sample, "name", name, JSON_ABSOLUTE | JSON_FOLD),
	F_STRINGS(struct sample, "words", words, JSON_NONEMPTY),
	F_MAP(struct sample, "map", map, 0),
	F_LIST(struct sample, "items", items, n_items, &item_type, 0),
	F_POINTER(struct sample, "one", one, &item_type, 0),
	F_WORD(struct sample, "color", color, colors, 0),
	F_U32S(struct sample, "ids", ids, n_ids, 0),
	F_REFUSED("later", "nobody has built it"),
	F_END,
};
static JSON_TYPE(sample_type, struct sample, sample_fields);

static const struct {
	const char *text, *message;
} undecodable[] = {
	{"[]", "f: expected an object"},
	{"{\"flag\":1}", "f: flag: expected true or false"},
	{"{\"i\":2147483648}", "f: i: number out of range: 2147483648"},
	{"{\"i\":1.0}", "f: i: expected an integer"},
	{"{\"u\":-1}", "f: u: expected an unsigned integer"},
	{"{\"u\":18446744073709551616}", "f: u: number out of range: 18446744073709551616"},
	{"{\"name\":\"x\"}", "f: name: must be an absolute path"},
	{"{\"NAME\":7}", "f: name: expected a string"},
	{"{\"words\":[]}", "f: words: must not be empty"},
	{"{\"words\":[\"a\",1]}", "f: words[1]: expected a string"},
	{"{\"map\":{\"k\":1}}", "f: map.k: expected a string"},
	{"{\"items\":[{\"n\":1},{}]}", "f: items[1].n: missing"},
	{"{\"one\":{\"n\":\"1\"}}", "f: one.n: expected an unsigned integer"},
	{"{\"color\":\"green\"}", "f: color: \"green\" is not one of red, blue"},
	{"{\"ids\":[1,-1]}", "f: ids[1]: expected an unsigned integer"},
	{"{\"later\":{\"x\":1}}", "f: later: not supported: nobody has built it"},
};

static void test_undecodable(void)
{
	for (size_t i = 0; i < sizeof(undecodable) / sizeof(undecodable[0]); i++) {
		struct error err = {0};
		auto_json struct json_doc *doc = json_parse("f", undecodable[i].text, strlen(undecodable[i].text), &err);
		struct sample s;

		is_int(json_decode(doc, json_root(doc), &sample_type, &s, "f", &err), -EINVAL, undecodable[i].text);
		is_str(err.msg, undecodable[i].message, "and the path is named");
	}
}

static void test_decode(void)
{
	static const char text[] = "{\"flag\":true,\"i\":-5,\"u\":0,\"Name\":\"/n\",\"words\":[\"a\",\"b\"],\"map\":{\"k\":\"v\"},"
				   "\"items\":[{\"n\":1},{\"n\":0}],\"one\":{\"n\":9},\"color\":\"blue\",\"ids\":[7,8],\"later\":0,"
				   "\"unknown\":{\"x\":[]},\"null\":null}";
	struct error err = {0};
	auto_json struct json_doc *doc = json_parse("f", text, strlen(text), &err);
	auto_buf struct buf b = {0};
	struct sample s;

	if (!is_int(json_decode(doc, json_root(doc), &sample_type, &s, "f", &err), 0, "decoded"))
		printf("# %s\n", err.msg);
	ok(s.flag && s.i == -5 && s.has_u && s.u == 0 && s.color == 1, "numbers and words");
	is_str(s.name, "/n", "a key in other letter case");
	ok(s.n_items == 2 && s.items[0].n == 1 && s.one && s.one->n == 9 && s.n_ids == 2 && s.ids[1] == 8, "lists");
	ok(strv_len(s.words) == 2 && s.map.n == 1, "strings and maps");
	json_encode(&b, &sample_type, &s, 0);
	is_str(b.data, "{\"flag\":true,\"i\":-5,\"u\":0,\"name\":\"/n\",\"words\":[\"a\",\"b\"],\"map\":{\"k\":\"v\"},"
		       "\"items\":[{\"n\":1},{\"n\":0}],\"one\":{\"n\":9},\"color\":\"blue\",\"ids\":[7,8]}",
	       "the same table writes it");
}

int main(void)
{
	test_refused();
	test_depth();
	test_round_trip();
	test_undecodable();
	test_decode();
	return done_testing();
}
