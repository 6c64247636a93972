/* Strings, numbers, files, paths inside a root, programs, command lines. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli.h"
#include "error.h"
#include "fs.h"
#include "spawn.h"
#include "str.h"
#include "tap.h"

static void test_numbers(void)
{
	uint64_t u = 7;
	int64_t i = 7;
	uint32_t w = 7;

	is_int(str_u64("18446744073709551615", 0, UINT64_MAX, &u), 0, "the largest number");
	ok(u == UINT64_MAX, "is read");
	is_int(str_u64("18446744073709551616", 0, UINT64_MAX, &u), -ERANGE, "one more is not");
	is_int(str_u64("-1", 0, UINT64_MAX, &u), -EINVAL, "no sign");
	is_int(str_u64(" 1", 0, UINT64_MAX, &u), -EINVAL, "no space");
	is_int(str_u64("1x", 0, UINT64_MAX, &u), -EINVAL, "no trailing text");
	is_int(str_u64("", 0, UINT64_MAX, &u), -EINVAL, "not empty");
	is_int(str_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i), 0, "the smallest number");
	ok(i == INT64_MIN, "is read");
	is_int(str_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &i), -ERANGE, "one less is not");
	is_int(str_u32("5", 6, 9, &w), -ERANGE, "below the range");
	is_int(w, 7, "nothing is written on failure");
}

static void test_durations(void)
{
	static const struct {
		const char *text;
		long long ms;
	} table[] = {{"200ms", 200}, {"5s", 5000}, {"1m30s", 90000}, {"2h", 7200000}, {"3", 3000}, {"0", 0},
		     {"", -1}, {"5x", -1}, {"s", -1}, {"-1s", -1}, {"1.5s", -1}, {"99999999999999999999s", -1}};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		uint64_t ms = 0;
		int rc = str_duration(table[i].text, &ms);

		is_int(rc < 0 ? -1 : (long long)ms, table[i].ms, table[i].text);
	}
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		long long bytes;
	} table[] = {{"0", 0}, {"100", 100}, {"32b", 32}, {"32B", 32}, {"32k", 32768}, {"32Kb", 32768}, {"32 KiB", 32768},
		     {"1.5g", 1610612736}, {"2T", 2199023255552}, {"1p", 1125899906842624}, {"8191p", 9222246136947933184},
		     {"9223372036854775806", 9223372036854775806}, {"", -1}, {"k", -1}, {"-1", -1}, {"1x", -1}, {"1ib", -1},
		     {"1kk", -1}, {"1 ", -1}, {"1e3", -1}, {"0x10", -1}, {"8192p", -1}, {"9223372036854775808", -1}, {".5g", -1}};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		int64_t bytes = 0;
		int rc = str_size(table[i].text, &bytes);

		is_int(rc < 0 ? -1 : (long long)bytes, table[i].bytes, table[i].text);
	}
}

/* The clock as the C library tells it, give or take the second between the two calls. */
static void test_time(void)
{
	time_t before = time(NULL), after;
	char text[STR_TIME_SIZE], from[32], to[32];
	struct tm tm;

	str_time(text);
	after = time(NULL);
	strftime(from, sizeof(from), "%Y-%m-%dT%H:%M:%S", gmtime_r(&before, &tm));
	strftime(to, sizeof(to), "%Y-%m-%dT%H:%M:%S", gmtime_r(&after, &tm));
	ok(strncmp(text, from, 19) == 0 || strncmp(text, to, 19) == 0, "%s is now (%s)", text, from);
	ok(strlen(text) == 30 && text[29] == 'Z', "with nanoseconds");
}

static void test_base64(void)
{
	static const char *const good[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
	static const char *const bad[] = {"Zg=", "Zg", "Z===", "Zh==", "Zm9=", "Zm 8", "=m8=", "Zm9vYmFyZm9v"};
	char out[8];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		auto_buf struct buf b = {0};
		int n;

		base64_encode(&b, good[i][0], strlen(good[i][0]));
		is_str(b.data ? b.data : "", good[i][1], "encoded");
		n = base64_decode(good[i][1], out, sizeof(out));
		ok(n == (int)strlen(good[i][0]) && memcmp(out, good[i][0], (size_t)n) == 0, "decoded");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(base64_decode(bad[i], out, sizeof(out)), -EINVAL, bad[i]);
}

static void test_errors(void)
{
	struct error err = {0};

	errno = ENOENT;
	is_int(error_sys(&err, "cannot open %s", "x"), -ENOENT, "the code is negative");
	is_str(err.msg, "cannot open x: No such file or directory", "with the system's text");
	is_int(error_wrap(&err, "step %d", 3), -ENOENT, "wrapping keeps the code");
	is_str(err.msg, "step 3: cannot open x: No such file or directory", "and puts text before");
	for (int i = 0; i < 200; i++)
		error_wrap(&err, "again and again");
	ok(strlen(err.msg) < sizeof(err.msg), "a message that does not fit is cut");
}

/* A root with a link that leads out of it, and one whose way out passes "..". */
static void test_in_root(void)
{
	char dir[] = "/tmp/test-lib-XXXXXX";
	auto_close int top = -1, root = -1, fd = -1, made = -1;
	struct error err = {0};
	struct stat st;

	if (!ok(mkdtemp(dir) != NULL, "a directory to work in"))
		return;
	top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(top, "root", 0755);
	mkdirat(top, "outside", 0755);
	root = openat(top, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(symlinkat("/outside", root, "absolute") == 0 && symlinkat("../outside", root, "relative") == 0, "links that lead out");
	made = fs_mkdirs_in_root(root, "/absolute/a", 0755, &err);
	ok(made < 0, "a dangling link is not followed to make a directory: %s", err.msg);
	ok(fstatat(top, "outside/a", &st, 0) < 0, "nothing was made outside");
	mkdirat(root, "outside", 0755);
	made = fs_mkdirs_in_root(root, "relative/b/c/../d", 0755, &err);
	ok(made >= 0, "links stay inside the root");
	ok(fstatat(root, "outside/b/d", &st, 0) == 0 && fstatat(top, "outside/b", &st, 0) < 0, "and what is made is inside");
	fd = fs_open_in_root(root, "relative/b/new", O_WRONLY | O_CREAT, 0600, &err);
	ok(fd >= 0 && fstatat(root, "outside/b/new", &st, 0) == 0, "a file is made inside");
	is_int(fs_replace_at(top, "root/file", "text", 4, 0644, &err), 0, "a file is replaced");
	is_int(fs_remove_tree(top, "root", &err), 0, "the tree is removed");
	is_int(fs_remove_tree(top, "root", &err), 0, "removing it again is success");
	ok(fstatat(top, "outside", &st, 0) == 0, "what a link in it pointed at stays");
	is_int(fs_remove_tree(AT_FDCWD, dir, &err), 0, "cleaned up");
}

static void test_spawn(void)
{
	struct error err = {0};
	auto_buf struct buf out = {0}, errors = {0};
	char text[SPAWN_STATUS_SIZE];
	char *const echo[] = {"sh", "-c", "cat; echo problem >&2; exit 3", NULL};
	char *const hang[] = {"sh", "-c", "sleep 60 & exec sleep 60", NULL};
	struct spawn s = {.path = "/bin/sh", .argv = echo, .input = "given", .input_len = 5, .output = &out, .errors = &errors};
	struct spawn slow = {.path = "/bin/sh", .argv = hang, .output = &out, .timeout_ms = 50};
	struct spawn missing = {.path = "/no/such"};
	int status = -1;

	is_int(spawn_run(&s, &status, &err), 0, "a program runs");
	is_str(out.data, "given", "its input and output");
	is_str(errors.data, "problem\n", "its errors");
	is_str(spawn_status(status, text), "exited with status 3", "its status");
	is_int(spawn_run(&slow, &status, &err), -ETIMEDOUT, "one that takes too long is killed");
	is_int(spawn_run(&missing, &status, &err), -ENOENT, "one that is not there");
	is_str(err.msg, "cannot run /no/such: No such file or directory", "is named");
	is_int(signal_number("SIGRTMIN+3"), SIGRTMIN + 3, "SIGRTMIN+3");
	is_int(signal_number("term"), SIGTERM, "term");
	is_int(signal_number("9"), 9, "9");
	is_int(signal_number("65"), -1, "65");
	is_int(signal_number("TERMX"), -1, "TERMX");
	is_str(signal_name(SIGHUP), "HUP", "HUP");
}

struct sample_options {
	bool force;
	const char *bundle;
	char **env;
	uint32_t n;
};
static const struct cli_option sample_options[] = {
	{"force", 'f', CLI_BOOL, offsetof(struct sample_options, force), NULL, "force it"},
	{"bundle", 'b', CLI_STRING, offsetof(struct sample_options, bundle), "DIR", "the bundle"},
	{"env", 'e', CLI_STRINGS, offsetof(struct sample_options, env), "NAME=VALUE", "environment"},
	{"n", 0, CLI_U32, offsetof(struct sample_options, n), "N", "number"},
	{0},
};

static void test_cli(void)
{
	char *argv[] = {"id", "-f", "--bundle=x", "-e", "A=1", "--env", "B=2", "--n", "4", "--", "-f", NULL};
	char *stop[] = {"-f", "id", "-b", NULL};
	char *bad[] = {"--what", NULL}, *short_of[] = {"--bundle", NULL}, *number[] = {"--n", "x", NULL};
	struct sample_options o = {0}, o2 = {0};
	struct error err = {0};

	is_int(cli_parse(sample_options, &o, 11, argv, false, &err), 2, "two arguments are left");
	ok(str_eq(argv[0], "id") && str_eq(argv[1], "-f") && !argv[2], "in their order");
	ok(o.force && str_eq(o.bundle, "x") && strv_len(o.env) == 2 && o.n == 4, "and the options are set");
	is_int(cli_parse(sample_options, &o2, 3, stop, true, &err), 2, "the first argument can end the options");
	is_int(cli_parse(sample_options, &o2, 1, bad, false, &err), -EINVAL, "an unknown option");
	is_str(err.msg, "flag provided but not defined: -what", "is named");
	is_int(cli_parse(sample_options, &o2, 1, short_of, false, &err), -EINVAL, "a missing value");
	is_str(err.msg, "flag needs an argument: --bundle", "is named");
	is_int(cli_parse(sample_options, &o2, 2, number, false, &err), -EINVAL, "no number");
	strv_free(o.env);
}

int main(void)
{
	test_numbers();
	test_durations();
	test_sizes();
	test_time();
	test_base64();
	test_errors();
	test_in_root();
	test_spawn();
	test_cli();
	return done_testing();
}
