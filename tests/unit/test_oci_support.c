/* unit: runtime */
/* specs/oci-support.md is printed from the field tables: `test_oci_support --print >specs/oci-support.md`. Without
 * arguments this is the test that the page is current. */
#include <fcntl.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "json.h"
#include "spec.h"
#include "tap.h"

static const char head[] =
	"# What nsrun does with config.json\n"
	"\n"
	"Printed from the field tables of runtime/spec*.c by `test_oci_support --print`, which `make check` compares\n"
	"with this page. The reference is runtime-spec 1.3.0.\n"
	"\n"
	"* Properties with a type are honoured. Rules between them, each with its message, are in runtime/spec_check.c and\n"
	"  spec_check_linux.c, and as files in tests/config/bad.\n"
	"* **refused** ones are an error when they are set. Absent, null, false, 0, \"\", [] and {} mean \"not set\", because clients\n"
	"  write them out.\n"
	"* Properties that are not listed are ignored, as the specification asks: unknown ones, and those of other platforms\n"
	"  (`windows`, `solaris`, `freebsd`, `zos`, `process.commandLine`, `process.user.username`).\n"
	"* `linux.netDevices` is an object of `{\"name\": string}`, and `name` may hold one `%d`. `linux.devices[].fileMode` may carry\n"
	"  the file type, as some clients write it. `mounts[].options` are listed by `nsrun features`.\n"
	"* On cgroup v2 the container's cgroup belongs to `process.user` when the container has a cgroup namespace of its own and mounts\n"
	"  /sys/fs/cgroup writable: the directory and the files of /sys/kernel/cgroup/delegate, so that it can make sub-cgroups.\n"
	"* What of `linux.resources` the host's cgroup version has no file for is an error at create and update, not silence: on v2\n"
	"  `memory.swappiness`, `memory.disableOOMKiller`, `cpu.realtime*`, `blockIO.leafWeight` and `network`; on v1 `unified`.\n"
	"  `memory.kernel` and `memory.kernelTCP` are ignored with a warning. `linux.resources.rdma` is an object of\n"
	"  `{\"hcaHandles\": uint32, \"hcaObjects\": uint32}`. resources.md has the conversions between versions.\n"
	"* `process.apparmorProfile` holds from the program's execve(2), for services as well; `exec` without a profile of its own\n"
	"  takes that of the container's process. A host without AppArmor, or without the profile, is an error at create, but\n"
	"  `unconfined` never is one.\n"
	"* A key written twice is an error, as are comments: other programs would read such a file differently.\n"
	"* nsrun's annotations are described in bundle.md.\n"
	"\n"
	"| property | type |\n"
	"|---|---|\n";

static const char *const kinds[] = {
	[JSON_BOOL] = "bool",	       [JSON_I32] = "int32",	     [JSON_U32] = "uint32",
	[JSON_I64] = "int64",	       [JSON_U64] = "uint64",	     [JSON_F64] = "number",
	[JSON_STRING] = "string",      [JSON_STRINGS] = "strings",   [JSON_MAP] = "map of strings",
	[JSON_STRUCT] = "object",      [JSON_POINTER] = "object",    [JSON_LIST] = "list of objects",
	[JSON_U32S] = "list of uint32", [JSON_RAW] = "object",
};

static const char *kind_text(const struct json_field *f)
{
	return f->flags & JSON_ABSOLUTE ? "absolute path" : kinds[f->kind];
}

static void print_type(struct buf *b, const char *prefix, const struct json_type *t)
{
	for (const struct json_field *f = t->fields; f->kind != JSON_END; f++) {
		auto_buf struct buf path = {0};

		buf_printf(&path, "%s%s%s", prefix, f->key, f->kind == JSON_LIST ? "[]" : "");
		buf_printf(b, "| %s | ", path.data);
		if (f->kind == JSON_REFUSED)
			buf_printf(b, "**refused**: %s", f->why);
		else if (f->kind == JSON_WORD)
			for (const struct word *w = f->words; w->word; w++)
				buf_printf(b, "%s%s", w == f->words ? "" : ", ", w->word);
		else
			buf_puts(b, kind_text(f));
		buf_printf(b, "%s |\n", f->flags & JSON_REQUIRED ? ", required" : "");
		if (f->type) {
			buf_putc(&path, '.');
			print_type(b, path.data, f->type);
		}
	}
}

int main(int argc, char **argv)
{
	auto_buf struct buf b = {0};
	auto_free char *page = NULL;
	struct error err = {0};

	buf_puts(&b, head);
	print_type(&b, "", &spec_type);
	if (argc > 1 && !strcmp(argv[1], "--print")) {
		fputs(b.data, stdout);
		return 0;
	}
	ok(fs_read_at(AT_FDCWD, "specs/oci-support.md", JSON_MAX_SIZE, &page, NULL, &err) == 0 && !strcmp(page, b.data),
	   "specs/oci-support.md is current%s%s", err.code ? ": " : "", err.msg);
	return done_testing();
}
