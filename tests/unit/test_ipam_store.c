/* unit: netsetup */
/* The store of host-local: what is written, what is believed, what goes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "ipam_store.h"
#include "str.h"
#include "tap.h"

static char top[] = "/tmp/test_ipam_store.XXXXXX";

static struct ipaddr addr(const char *text)
{
	struct ipaddr a = {0};

	ipaddr_parse(text, &a);
	return a;
}

static char *path(const char *rest)
{
	return str_printf("%s/%s", top, rest);
}

static bool exists(const char *rest)
{
	auto_free char *p = path(rest);

	return access(p, F_OK) == 0;
}

static void put(const char *rest, const char *text)
{
	auto_free char *p = path(rest);

	fs_replace_at(AT_FDCWD, p, text, strlen(text), 0600, NULL);
}

static bool contains(const char *rest, const char *text)
{
	auto_free char *p = path(rest), *has = NULL;

	return fs_read_at(AT_FDCWD, p, 4096, &has, NULL, NULL) == 0 && str_eq(has, text);
}

static struct ipam_store *store(const char *dir, bool own)
{
	auto_free char *p = path(dir);
	struct ipam_store *s = NULL;
	struct error err = {0};

	if (ipam_store_open(p, own, &s, &err) < 0)
		printf("# %s\n", err.msg);
	return s;
}

static int reserve(struct ipam_store *s, const char *a, const char *id)
{
	struct ipaddr ip = addr(a);

	return ipam_store_reserve(s, &ip, id, "eth0", NULL);
}

static int count(const struct ipaddr *a, void *arg)
{
	(void)a;
	++*(int *)arg;
	return 0;
}

static int owned(struct ipam_store *s, const char *id)
{
	int calls = 0, n = ipam_store_each(s, id, "eth0", count, &calls, NULL);

	return n == calls ? n : -1;
}

static void test_giving(void)
{
	struct ipam_store *s = store("give", false);
	struct ipaddr a = addr("10.1.0.2"), last;
	char owner[IPAM_STORE_OWNER_SIZE];

	is_int(reserve(s, "10.1.0.2", "a"), 0, "an address is given");
	is_int(reserve(s, "10.1.0.2", "b"), -EEXIST, "once");
	is_int(reserve(s, "fd00::2", "a"), 0, "a second one to the same owner");
	ok(contains("give/10.1.0.2", "a\r\neth0"), "the file is the reference's");
	ok(ipam_store_taken(s, &a), "it is taken");
	ipam_store_owner(s, &a, owner);
	ok(str_eq(owner, "a eth0"), "its owner is known");
	is_int(owned(s, "a"), 2, "the owner has two");
	is_int(owned(s, "b"), 0, "the other has none");
	ipam_store_last(s, 0, &last);
	is_int(last.family, 0, "nothing was given last");
	is_int(ipam_store_set_last(s, 0, &a, NULL), 0, "the last one is noted");
	ipam_store_last(s, 0, &last);
	ok(ipaddr_equal(&a, &last), "and found");
	is_int(ipam_store_release(s, "a", "eth1", NULL), 0, "another interface has nothing to release");
	is_int(owned(s, "a"), 2, "and takes nothing");
	is_int(ipam_store_release(s, "a", "eth0", NULL), 0, "release");
	is_int(ipam_store_release(s, "a", "eth0", NULL), 0, "twice");
	ok(!exists("give/10.1.0.2") && !exists("give/fd00::2"), "takes all files");
	ok(exists("give/last_reserved_ip.0"), "a directory that is not ours alone stays");
	ipam_store_close(s);
}

/* What a process killed between two steps leaves. */
static void test_half_done(void)
{
	struct ipam_store *s = store("half", false);
	struct ipaddr a = addr("10.1.0.2");

	is_int(reserve(s, "10.1.0.2", "killed"), 0, "an owner");
	put("half/10.1.0.2", "other\r\neth0");
	is_int(owned(s, "killed"), 0, "the index is not believed against the file");
	is_int(ipam_store_release(s, "killed", "eth0", NULL), 0, "the former owner's release");
	ok(contains("half/10.1.0.2", "other\r\neth0"), "does not take the address from the new one");
	is_int(ipam_store_release_address(s, &a, "killed", "eth0", NULL), 0, "nor does one by address");
	ok(exists("half/10.1.0.2"), "it stays");
	is_int(ipam_store_release_address(s, &a, "other", "eth0", NULL), 0, "the owner's does");
	ok(!exists("half/10.1.0.2"), "and it goes");
	ipam_store_close(s);
}

static void test_take_over(void)
{
	auto_free char *dir = path("old");
	struct ipam_store *s;

	mkdir(dir, 0755);
	put("old/10.1.0.2", "a\r\neth0");
	put("old/10.1.0.3", "b");
	put("old/10.1.0.4", "a\r\neth0");
	put("old/last_reserved_ip.0", "10.1.0.4");
	s = store("old", false);
	is_int(owned(s, "a"), 2, "a directory without an index gets one");
	is_int(ipam_store_release(s, "a", "eth0", NULL), 0, "owners release");
	ok(!exists("old/10.1.0.2") && !exists("old/10.1.0.4") && exists("old/10.1.0.3"), "theirs, and no others");
	is_int(ipam_store_release_address(s, &(struct ipaddr){.family = 2, .bytes = {10, 1, 0, 3}, .prefix = 32}, "b", "eth0", NULL), 0,
	       "a file without an interface");
	ok(!exists("old/10.1.0.3"), "is of the container's any interface");
	ipam_store_close(s);
}

static bool only_b(const char *id, const char *ifname, void *arg)
{
	(void)ifname;
	(void)arg;
	return str_eq(id, "b");
}

static bool nobody(const char *id, const char *ifname, void *arg)
{
	(void)id;
	(void)ifname;
	(void)arg;
	return false;
}

static void test_gc(void)
{
	struct ipam_store *s = store("gc/net", true);

	reserve(s, "10.1.0.2", "a");
	reserve(s, "10.1.0.3", "b");
	put("gc/net/.new-77", "half");
	put("gc/net/.last_reserved_ip.0.77", "half");
	is_int(ipam_store_gc(s, only_b, NULL, NULL), 0, "gc");
	ok(!exists("gc/net/10.1.0.2") && exists("gc/net/10.1.0.3"), "takes the dead owner's");
	ok(!exists("gc/net/.new-77") && !exists("gc/net/.last_reserved_ip.0.77"), "and what killed processes left");
	is_int(ipam_store_gc(s, nobody, NULL, NULL), 0, "gc of the last");
	ok(!exists("gc"), "takes the directory, and the empty one above");
	ipam_store_close(s);
}

static void test_own_goes(void)
{
	struct ipam_store *s = store("own/net", true), *again;
	auto_free char *dir = path("own/net");
	struct error err = {0};

	reserve(s, "10.1.0.2", "a");
	ipam_store_release(s, "a", "eth0", NULL);
	ok(!exists("own"), "our own directory goes with the last address");
	ipam_store_close(s);
	is_int(ipam_store_open_existing(dir, true, &again, &err), -ENOENT, "nothing there is said so");
	s = store("own/net", true);
	is_int(reserve(s, "10.1.0.2", "a"), 0, "and it comes back");
	ipam_store_close(s);
}

int main(void)
{
	if (!mkdtemp(top))
		return 1;
	test_giving();
	test_half_done();
	test_take_over();
	test_gc();
	test_own_goes();
	fs_remove_tree(AT_FDCWD, top, NULL);
	return done_testing();
}
