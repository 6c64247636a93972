/* unit: runtime */
/* Mount options: every word goes where it belongs, the later word wins, and what must not be mixed is refused. Also the
 * lexical cleaning of paths, which decides what may be mounted over. */
#include "mount_opts.h"

#include <errno.h>
#include <limits.h>
#include <sys/mount.h>

#include "error.h"
#include "rootfs_parts.h"
#include "spec.h"
#include "tap.h"

static struct error error;

/* Options separated by spaces. */
static int parse(const char *type, const char *options, struct mount_opts *o)
{
	static char text[512];
	static char *words[64];
	struct spec_mount m = {.destination = "/d", .type = type, .source = "/s", .options = words};
	size_t n = 0;

	snprintf(text, sizeof(text), "%s", options);
	for (char *p = strtok(text, " "); p; p = strtok(NULL, " "))
		words[n++] = p;
	words[n] = NULL;
	memset(&error, 0, sizeof(error));
	return mount_opts_parse(&m, o, &error);
}

static void test_flags(void)
{
	struct mount_opts o;

	is_int(parse("tmpfs", "nosuid noexec nodev ro nosymfollow nodiratime mode=755 size=1k", &o), 0, "flags and data");
	is_int((long long)o.set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSYMFOLLOW |
		       MOUNT_ATTR_NODIRATIME, "all set");
	is_int((long long)o.clear, 0, "none cleared");
	is_int((long long)o.n_data, 2, "two for the file system");
	is_str(o.data[0], "mode=755", "in their order");
	is_str(o.data[2], NULL, "NULL-terminated");
	mount_opts_free(&o);

	is_int(parse("bind", "ro rw exec noexec suid", &o), 0, "opposites");
	is_int((long long)o.set, MOUNT_ATTR_NOEXEC, "the later word sets");
	is_int((long long)o.clear, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, "the later word clears");
	ok(o.bind && !o.recursive, "type bind is a bind mount");
	mount_opts_free(&o);

	is_int(parse("ext4", "sync dirsync mand lazytime iversion silent acl async defaults", &o), 0, "file system flags");
	is_int((long long)o.fs_flags, MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME | MS_I_VERSION | MS_SILENT | MS_POSIXACL,
	       "async takes sync back");
	is_int((long long)o.n_data, 0, "no data");
	mount_opts_free(&o);
}

static void test_atime(void)
{
	static const struct {
		const char *options;
		uint64_t set, clear;
	} cases[] = {
		{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
		{"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
		{"relatime", 0, MOUNT_ATTR__ATIME},
		{"noatime strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
		{"noatime atime", 0, MOUNT_ATTR__ATIME},
		{"strictatime atime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
		{"strictatime nostrictatime", 0, MOUNT_ATTR__ATIME},
		{"norelatime", 0, 0},
		{"diratime", 0, MOUNT_ATTR_NODIRATIME},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mount_opts o;

		is_int(parse("tmpfs", cases[i].options, &o), 0, cases[i].options);
		is_int((long long)o.set, (long long)cases[i].set, "sets");
		is_int((long long)o.clear, (long long)cases[i].clear, "clears");
		mount_opts_free(&o);
	}
}

static void test_recursive(void)
{
	struct mount_opts o;

	is_int(parse("none", "rbind rro rnosuid rexec rnoatime", &o), 0, "recursive flags");
	ok(o.bind && o.recursive, "rbind");
	is_int((long long)o.set, 0, "nothing for the top alone");
	is_int((long long)o.rec_set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME, "set for the tree");
	is_int((long long)o.rec_clear, MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME, "cleared for the tree");
	mount_opts_free(&o);

	is_int(parse("none", "bind rslave shared", &o), 0, "propagation");
	is_int((long long)o.n_propagation, 2, "both, in their order");
	ok(o.propagation[0].type == MS_SLAVE && o.propagation[0].recursive, "rslave");
	ok(o.propagation[1].type == MS_SHARED && !o.propagation[1].recursive, "shared");
	mount_opts_free(&o);
	is_int(parse("none", "bind shared shared shared shared shared shared shared shared shared", &o), -EINVAL, "too many");
}

static void test_own(void)
{
	struct mount_opts o;

	is_int(parse("tmpfs", "tmpcopyup", &o), 0, "tmpcopyup");
	ok(o.tmpcopyup && !o.n_data, "is not for the file system");
	mount_opts_free(&o);
	is_int(parse("none", "bind ridmap", &o), 0, "ridmap");
	is_int(o.idmap, MOUNT_IDMAP_RECURSIVE, "recursive");
	mount_opts_free(&o);
	is_int(parse("none", "remount ro", &o), 0, "remount");
	ok(o.remount, "remount");
	mount_opts_free(&o);
}

static void test_refused(void)
{
	struct mount_opts o;

	is_int(parse("none", "bind size=1k", &o), -EINVAL, "data for a bind mount");
	ok(strstr(error.msg, "filesystem-specific") != NULL, "says what is wrong");
	is_int(parse("none", "remount size=1k", &o), -EINVAL, "data for a remount");
	is_int(parse("proc", "tmpcopyup", &o), -EINVAL, "tmpcopyup of a proc");
	is_int(parse("tmpfs", "idmap", &o), -EINVAL, "idmap of a file system");
}

static void test_table(void)
{
	for (const struct mount_word *w = mount_words; w->word; w++)
		for (const struct mount_word *other = w + 1; other->word; other++)
			if (strcmp(w->word, other->word) == 0)
				ok(false, "%s is in the table twice", w->word);
	ok(true, "no word twice");
}

static void test_clean_path(void)
{
	static const char *const cases[][2] = {
		{"/", "/"},		   {"", "/"},	      {"/proc", "/proc"},	{"/proc/", "/proc"},
		{"//proc//./sys", "/proc/sys"}, {"/a/../proc", "/proc"}, {"/../../proc", "/proc"}, {"proc", "/proc"},
		{"/proc/../a", "/a"},	   {"/a/b/../../..", "/"}, {"/...", "/..."},
	};
	char out[PATH_MAX], small[8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rootfs_clean_path(cases[i][0], out, sizeof(out));
		is_str(out, cases[i][1], cases[i][0]);
	}
	rootfs_clean_path("/abc/defghi", small, sizeof(small));
	is_str(small, "/abc", "what does not fit is left out");
}

int main(void)
{
	test_flags();
	test_atime();
	test_recursive();
	test_own();
	test_refused();
	test_table();
	test_clean_path();
	return done_testing();
}
