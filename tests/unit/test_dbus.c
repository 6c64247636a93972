/* unit: runtime */
/* D-Bus as bytes, values as text, and the names and properties of a container's unit. */
#include <stdlib.h>

#include "cgroup.h"
#include "cgroup_systemd.h"
#include "cleanup.h"
#include "dbus.h"
#include "error.h"
#include "spec.h"
#include "tap.h"

/* --- messages ----------------------------------------------------------------------------------------------- */

/* A method return to call 7, with the body "o" "/job/1", as a bus sends it. */
static void make_reply(struct buf *b)
{
	static const uint8_t head[] = {'l', DBUS_RETURN, 1, 1};
	struct dbus_array fields;

	buf_add(b, head, sizeof(head));
	dbus_put_u32(b, 11);
	dbus_put_u32(b, 3);
	fields = dbus_open_array(b, 8);
	buf_putc(b, 5);
	dbus_put_signature(b, "u");
	dbus_put_u32(b, 7);
	dbus_align(b, 8);
	buf_putc(b, 7);
	dbus_put_signature(b, "s");
	dbus_put_string(b, ":1.4");
	dbus_align(b, 8);
	buf_putc(b, 8);
	dbus_put_signature(b, "g");
	dbus_put_signature(b, "o");
	dbus_close_array(b, fields);
	dbus_align(b, 8);
	dbus_put_string(b, "/job/1");
}

static void test_messages(void)
{
	auto_buf struct buf b = {0};
	struct dbus_message m;
	int refused = 0;

	make_reply(&b);
	is_int(dbus_message_size((uint8_t *)b.data), (long long)b.len, "a message's size is in its head");
	is_int(dbus_message_parse((uint8_t *)b.data, b.len, &m), 0, "a reply is understood");
	is_int(m.reply_serial, 7, "the call that it answers");
	is_str(m.sender, ":1.4", "its sender");
	is_str(m.signature, "o", "its body's type");
	is_str(dbus_get_string(&m.body), "/job/1", "its body");
	is_str(dbus_get_string(&m.body), "", "behind the end there is nothing");
	ok(m.body.failed, "and that is noted");
	for (size_t len = DBUS_HEAD_SIZE; len < b.len; len++) {
		uint8_t *cut = malloc(len);

		memcpy(cut, b.data, len);
		refused += dbus_message_parse(cut, len, &m) < 0 || (dbus_get_string(&m.body), m.body.failed);
		free(cut);
	}
	is_int(refused, (long long)b.len - DBUS_HEAD_SIZE, "cut anywhere, it or its body is refused");
	b.data[0] = 'B';
	is_int(dbus_message_size((uint8_t *)b.data), -EMSGSIZE, "numbers of the other byte order are turned");
	b.data[0] = 'x';
	is_int(dbus_message_size((uint8_t *)b.data), -EBADMSG, "another byte order there is not");
}

/* --- text --------------------------------------------------------------------------------------------------- */

static void text_is(const char *text, const char *bytes, size_t len)
{
	auto_buf struct buf b = {0};
	struct error err = {0};
	int rc = dbus_put_text(&b, text, &err);

	ok(rc == 0 && b.len == len && memcmp(b.data, bytes, len) == 0, "%s", text);
}
#define TEXT(text, bytes) text_is(text, bytes, sizeof(bytes) - 1)

static void test_text(void)
{
	static const char *const wrong[] = {"",	      "[",	 "[1",	    "[]",      "()",	  "'a",	   "5 6",	"1x",	 "byte 256", "uint32 -1",
					    "[1, 'a']", "@as [1]", "@ [1]", "int16 40000", "nonsense", "true1", "'a\\u0041'", "@au", "(1,",
					    "uint64 18446744073709551616", "[[[[[[[[[[[[1]]]]]]]]]]]]", "boolean 5", "@b", "@(s) 'a'"};

	TEXT("'a'", "\1s\0\0\1\0\0\0a\0");
	TEXT(" \"it's\" ", "\1s\0\0\4\0\0\0it's\0");
	TEXT("'\\'\\n'", "\1s\0\0\2\0\0\0'\n\0");
	TEXT("true", "\1b\0\0\1\0\0\0");
	TEXT("-2", "\1i\0\0\xfe\xff\xff\xff");
	TEXT("0x10", "\1i\0\0\x10\0\0\0");
	TEXT("uint64 5", "\1t\0\0\0\0\0\0\5\0\0\0\0\0\0\0");
	TEXT("@t 5", "\1t\0\0\0\0\0\0\5\0\0\0\0\0\0\0");
	TEXT("byte 255", "\1y\0\xff");
	TEXT("int16 -1", "\1n\0\0\xff\xff");
	TEXT("0.5", "\1d\0\0\0\0\0\0\0\0\0\0\0\0\xe0\x3f");
	TEXT("objectpath '/a'", "\1o\0\0\2\0\0\0/a\0");
	TEXT("['a', 'b']", "\2as\0\x0e\0\0\0\1\0\0\0a\0\0\0\1\0\0\0b\0");
	TEXT("@as []", "\2as\0\0\0\0\0");
	TEXT("[uint32 1, 2]", "\2au\0\x08\0\0\0\1\0\0\0\2\0\0\0");
	TEXT("('a', 1)", "\4(si)\0\0\0\1\0\0\0a\0\0\0\1\0\0\0");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		auto_buf struct buf b = {0};
		struct error err = {0};

		ok(dbus_put_text(&b, wrong[i], &err) == -EINVAL && err.msg[0], "refused: %s (%s)", wrong[i], err.msg);
	}
}

/* --- names -------------------------------------------------------------------------------------------------- */

static void names_are(const char *path, const char *id, const char *want_slice, const char *want_unit)
{
	auto_free char *slice = NULL, *unit = NULL;
	int rc = cgroup_systemd_names(path, id, false, &slice, &unit, NULL);

	ok(rc == 0 && strcmp(slice, want_slice) == 0 && strcmp(unit, want_unit) == 0, "\"%s\", %s: %s in %s",
	   path ? path : "", id, unit ? unit : "(none)", slice ? slice : "(none)");
}

static void test_names(void)
{
	static const char *const wrong[] = {"/a", "a:b", "::", "a.slice:b:", "a:b:c:d", "a.slice:b:c d", "a.slice:b/:c"};
	static const char *const wrong_slices[] = {"a", "", ".slice", "-a.slice", "a-.slice", "a--b.slice", "a/b.slice"};
	auto_buf struct buf b = {0};

	names_are(NULL, "x", "system.slice", "nsrun-x.scope");
	names_are("", "a+b", "system.slice", "nsrun-a\\x2bb.scope");
	names_are("machine.slice:libpod:1", "x", "machine.slice", "libpod-1.scope");
	names_are("::n", "x", "system.slice", "n.scope");
	names_are(":p:n.slice", "x", "system.slice", "n.slice");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		auto_free char *slice = NULL, *unit = NULL;
		struct error err = {0};

		ok(cgroup_systemd_names(wrong[i], "x", false, &slice, &unit, &err) == -EINVAL && err.msg[0], "refused: \"%s\"",
		   wrong[i]);
	}
	is_int(cgroup_systemd_expand("a-b-c.slice", &b, NULL), 0, "slices nest by name");
	is_str(b.data, "/a.slice/a-b.slice/a-b-c.slice", "each has its path in its name");
	b.len = 0;
	is_int(cgroup_systemd_expand("-.slice", &b, NULL), 0, "the root slice");
	is_int((long long)b.len, 0, "is the root");
	for (size_t i = 0; i < ARRAY_SIZE(wrong_slices); i++)
		is_int(cgroup_systemd_expand(wrong_slices[i], &b, NULL), -EINVAL, wrong_slices[i]);
}

/* --- properties --------------------------------------------------------------------------------------------- */

/* Where the property is written, behind its name and the name's NUL; NULL: it is not. */
static const char *find(const struct buf *b, const char *name)
{
	const char *at = memmem(b->data, b->len, name, strlen(name) + 1);

	return at ? at + strlen(name) + 1 : NULL;
}

static uint64_t number(const struct buf *b, const char *name)
{
	const char *at = find(b, name);
	uint64_t v = 0;

	if (!at)
		return 0;
	at += 3; /* the signature "t" */
	at = b->data + (at - b->data + 7) / 8 * 8;
	memcpy(&v, at, sizeof(v));
	return v;
}

static void test_properties(void)
{
	struct spec_memory memory = {.limit = 1 << 20, .swap = -1};
	struct spec_cpu cpu = {.quota = 12345, .cpus = "0-2,9", .mems = "1"};
	struct spec_pids pids = {.limit = 5, .has_limit = true};
	struct spec_resources r = {.memory = &memory, .cpu = &cpu, .pids = &pids};
	struct cgroup c = {.v2 = true};
	auto_buf struct buf b = {0};

	is_int(cgroup_systemd_put_limits(&b, &c, &r, NULL), 0, "limits as properties");
	is_int((long long)number(&b, "MemoryMax"), 1 << 20, "memory.limit");
	ok(number(&b, "MemorySwapMax") == UINT64_MAX, "memory.swap without limit");
	is_int((long long)number(&b, "TasksMax"), 5, "pids.limit");
	is_int((long long)number(&b, "CPUQuotaPerSecUSec"), 130000, "a quota of 12.3 % is one of 13 %");
	ok(memcmp(find(&b, "AllowedCPUs"), "\2ay\0", 4) == 0, "cpus are an array of bytes");
	ok(memmem(b.data, b.len, "\2\0\0\0\x07\x02", 6) != NULL, "with a bit for each");
	ok(!find(&b, "CPUWeight"), "what was not asked for is not there");
}

int main(void)
{
	test_messages();
	test_text();
	test_names();
	test_properties();
	return done_testing();
}
