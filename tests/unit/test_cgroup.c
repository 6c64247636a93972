/* unit: runtime */
/* Control groups: the plan, device rules as an eBPF program on the unified hierarchy, limits against a directory of
 * plain files. What containers see is tests/cgroups.bats. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "spec.h"
#include "str.h"
#include "tap.h"

#define CONFIG(linux_) "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]}," \
		       "\"linux\":{" linux_ "}}"

static bool is_v2(void)
{
	struct statfs fs;

	return statfs(CGROUP_ROOT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int plan(const char *text, const char *manager, struct cgroup *c, struct error *err)
{
	struct spec s;
	int r = spec_parse(&s, "t", text, strlen(text), err);

	if (r < 0)
		return r;
	r = cgroup_plan(&s, "unit-test", manager, c, err);
	spec_free(&s);
	return r;
}

static void refused(const char *text, const char *manager, int code, const char *words, const char *what)
{
	struct cgroup c = {.dir_fd = -1};
	struct error err = {0};
	int r = plan(text, manager, &c, &err);

	if (!ok(r == -code && strstr(err.msg, words), "refused: %s", what))
		printf("# %d %s\n", r, err.msg);
	if (r == 0)
		cgroup_close(&c);
}

static void planned(const char *text, const char *manager, size_t n, const char *end, const char *what)
{
	struct cgroup c = {.dir_fd = -1};
	struct error err = {0};
	int r = plan(text, manager, &c, &err);
	size_t own = 0;
	bool good = r == 0;

	for (size_t i = 0; r == 0 && i < c.n; i++)
		if (!c.dirs[i].parent) {
			own++;
			good &= str_starts(c.dirs[i].path, CGROUP_ROOT "/") && str_ends(c.dirs[i].path, end);
		}
	if (!ok(good && own == (c.v2 && n ? 1 : n), "planned: %s", what))
		printf("# %d %zu %s\n", r, own, err.msg);
	cgroup_close(&c);
}

static void test_plan(void)
{
	planned(CONFIG(""), NULL, 0, "", "nothing for a container that asks for nothing");
	planned(CONFIG("\"resources\":{}"), NULL, 0, "", "nothing for empty resources");
	planned(CONFIG("\"resources\":{\"cpu\":{\"shares\":0},\"memory\":{\"limit\":0}}"), NULL, 0, "", "nothing for zeros");
	planned(CONFIG("\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}"), NULL, 1, "/unit-test",
		"one directory for device rules");
	planned(CONFIG("\"resources\":{\"pids\":{\"limit\":5},\"memory\":{\"limit\":1000000}}"), NULL, 2, "/unit-test",
		"one for each controller");
	planned(CONFIG("\"cgroupsPath\":\"/unit//test/./x/\""), "disabled", 0, "", "nothing when disabled");
	planned(CONFIG("\"cgroupsPath\":\"/unit//test/./x/\",\"resources\":{}"), "cgroupfs", is_v2() ? 1 : 9, "/unit/test/x",
		"all that clients read, at a cleaned path");
	refused(CONFIG("\"cgroupsPath\":\"/a/../../b\""), NULL, EINVAL, "\"..\"", "..");
	refused(CONFIG("\"cgroupsPath\":\"../b\""), NULL, EINVAL, "\"..\"", ".. at the start");
	refused(CONFIG("\"cgroupsPath\":\"//.\""), NULL, EINVAL, "is the root", "the root cgroup");
	refused(CONFIG("\"cgroupsPath\":\"/a\""), "systemd", EINVAL, "SLICE:PREFIX:NAME", "a path, for systemd");
	refused(CONFIG("\"cgroupsPath\":\"/a\""), "other", EINVAL, "unknown cgroup manager", "an unknown driver");
	if (!is_v2())
		refused(CONFIG("\"resources\":{\"unified\":{\"pids.max\":\"1\"}}"), NULL, ENOTSUP, "cgroup v2",
			"unified on v1");
}

static void from_paths(bool good, const char *path)
{
	char *paths[] = {(char *)path, NULL};
	struct cgroup c = {.dir_fd = -1};
	int r = cgroup_from_paths(paths, NULL, &c, NULL);

	ok((r == 0) == good, "%s as a path of the state: %s", good ? "taken" : "refused", path);
	cgroup_close(&c);
}

static void test_from_paths(void)
{
	from_paths(true, "/sys/fs/cgroup/pids/x");
	from_paths(true, "/sys/fs/cgroup/pids/x/");
	from_paths(is_v2(), "/sys/fs/cgroup/pids");
	from_paths(is_v2(), "/sys/fs/cgroup/pids/");
	from_paths(false, "/sys/fs/cgroup/");
	from_paths(false, "/sys/fs/cgroup/pids/x/../..");
	from_paths(false, "/sys/fs/cgroup/pids/../pids/x");
	from_paths(false, "/etc/x/y");
}

/* --- limits, against plain files ----------------------------------------------------------------------------- */

static char dir[] = "/tmp/test_cgroup.XXXXXX";

static const char *content(const char *file)
{
	static char text[256];

	return cgroup_read(dir, file, text, sizeof(text), NULL) < 0 ? NULL : text;
}

/* As the kernel has it. */
static void preset(const char *file, const char *text)
{
	auto_free char *path = str_printf("%s/%s", dir, file);
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, text, strlen(text));
}

/* Applies resources to the directory, which has the named files only. */
static int apply(bool v2, const char *resources, const char *const *files, struct error *err)
{
	struct cgroup c = {.v2 = v2, .n = 1, .dir_fd = -1,
			   .dirs = {{.path = dir, .controllers = ~0u, .join_fd = -1}}};
	auto_free char *text = str_printf(CONFIG("\"resources\":%s"), resources);
	struct spec s;
	int r = spec_parse(&s, "t", text, strlen(text), err);

	if (r < 0)
		return r;
	fs_remove_tree(AT_FDCWD, dir, NULL);
	mkdir(dir, 0700);
	for (; *files; files++) {
		auto_free char *path = str_printf("%s/%s", dir, *files);
		auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	}
	preset("cpu.max", "max");
	r = cgroup_limits(&c, s.linux_.resources, err);
	spec_free(&s);
	return r;
}

static void limit(bool v2, const char *resources, const char *file, const char *want)
{
	const char *files[] = {file, "memory.limit_in_bytes", "memory.max", "hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes", NULL};
	auto_free char *what = str_printf("v%d %s: %s is \"%s\"", v2 ? 2 : 1, resources, file, want);
	struct error err = {0};

	if (apply(v2, resources, files, &err) < 0)
		ok(false, "%s (%s)", what, err.msg);
	else
		is_str(content(file), want, what);
}

static void limit_refused(bool v2, const char *resources, const char *words)
{
	static const char *const none[] = {"memory.limit_in_bytes", "memory.max", NULL};
	struct error err = {0};

	if (!ok(apply(v2, resources, none, &err) < 0 && strstr(err.msg, words), "v%d %s: refused, \"%s\"", v2 ? 2 : 1, resources,
	   words))
		printf("# %s\n", err.msg);
}

#define DISK(rate) "[{\"major\":8,\"minor\":16,\"rate\":" rate "}]"

static void test_limits(void)
{
	limit(false, "{\"memory\":{\"limit\":1000}}", "memory.limit_in_bytes", "1000");
	limit(false, "{\"memory\":{\"limit\":-1}}", "memory.limit_in_bytes", "-1");
	limit(true, "{\"memory\":{\"limit\":-1}}", "memory.max", "max");
	limit(false, "{\"memory\":{\"limit\":1000,\"swap\":3000}}", "memory.memsw.limit_in_bytes", "3000");
	limit(true, "{\"memory\":{\"limit\":1000,\"swap\":3000}}", "memory.swap.max", "2000");
	limit(true, "{\"memory\":{\"limit\":1000,\"swap\":-1}}", "memory.swap.max", "max");
	limit(true, "{\"memory\":{\"limit\":1000,\"swap\":1000}}", "memory.swap.max", "0");
	limit(true, "{\"memory\":{\"reservation\":500}}", "memory.low", "500");
	limit(false, "{\"memory\":{\"swappiness\":0}}", "memory.swappiness", "0");
	limit(false, "{\"memory\":{\"disableOOMKiller\":true}}", "memory.oom_control", "1");
	limit(false, "{\"cpu\":{\"shares\":512}}", "cpu.shares", "512");
	limit(true, "{\"cpu\":{\"shares\":2}}", "cpu.weight", "1");
	limit(true, "{\"cpu\":{\"shares\":512}}", "cpu.weight", "59");
	limit(true, "{\"cpu\":{\"shares\":1024}}", "cpu.weight", "100");
	limit(true, "{\"cpu\":{\"shares\":262144}}", "cpu.weight", "10000");
	limit(true, "{\"cpu\":{\"quota\":5000,\"period\":100000}}", "cpu.max", "5000 100000");
	limit(true, "{\"cpu\":{\"quota\":-1,\"period\":100000}}", "cpu.max", "max 100000");
	limit(true, "{\"cpu\":{\"quota\":5000}}", "cpu.max", "5000");
	limit(true, "{\"cpu\":{\"idle\":1}}", "cpu.idle", "1");
	limit(true, "{\"cpu\":{\"cpus\":\"0-1\"}}", "cpuset.cpus", "0-1");
	limit(true, "{\"pids\":{\"limit\":0}}", "pids.max", "1");
	limit(true, "{\"pids\":{\"limit\":-1}}", "pids.max", "max");
	limit(false, "{\"cpu\":{\"realtimePeriod\":1000000}}", "cpu.rt_period_us", "1000000");
	limit(false, "{\"cpu\":{\"realtimeRuntime\":5000}}", "cpu.rt_runtime_us", "5000");
	limit(true, "{\"cpu\":{\"period\":50000}}", "cpu.max", "max 50000");
	limit(true, "{\"cpu\":{\"burst\":0}}", "cpu.max.burst", "0");
	limit(true, "{\"memory\":{\"limit\":-1}}", "memory.swap.max", "max");
	limit(true, "{\"memory\":{\"limit\":-1,\"swap\":3000}}", "memory.swap.max", "3000");
	limit(false, "{\"memory\":{\"limit\":-1}}", "memory.memsw.limit_in_bytes", "-1");
	limit(false, "{\"memory\":{\"kernel\":0,\"kernelTCP\":0,\"limit\":5}}", "memory.limit_in_bytes", "5");
	limit(false, "{\"blockIO\":{\"weight\":10}}", "blkio.weight", "10");
	limit(false, "{\"blockIO\":{\"weight\":1000}}", "blkio.bfq.weight", "1000");
	limit(false, "{\"blockIO\":{\"leafWeight\":500}}", "blkio.leaf_weight", "500");
	limit(true, "{\"blockIO\":{\"weight\":10}}", "io.weight", "1");
	limit(true, "{\"blockIO\":{\"weight\":500}}", "io.weight", "4950");
	limit(true, "{\"blockIO\":{\"weight\":1000}}", "io.weight", "10000");
	limit(true, "{\"blockIO\":{\"weight\":500}}", "io.bfq.weight", "500");
	limit(false, "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":500}]}}", "blkio.bfq.weight_device", "8:1 500");
	limit(true, "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":1000}]}}", "io.weight", "8:1 10000");
	limit(true, "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":1000}]}}", "io.bfq.weight", "8:1 1000");
	limit(false, "{\"blockIO\":{\"throttleReadBpsDevice\":" DISK("1048576") "}}", "blkio.throttle.read_bps_device", "8:16 1048576");
	limit(false, "{\"blockIO\":{\"throttleWriteBpsDevice\":" DISK("0") "}}", "blkio.throttle.write_bps_device", "8:16 0");
	limit(false, "{\"blockIO\":{\"throttleReadIOPSDevice\":" DISK("7") "}}", "blkio.throttle.read_iops_device", "8:16 7");
	limit(false, "{\"blockIO\":{\"throttleWriteIOPSDevice\":" DISK("7") "}}", "blkio.throttle.write_iops_device", "8:16 7");
	limit(true, "{\"blockIO\":{\"throttleReadBpsDevice\":" DISK("1048576") "}}", "io.max", "8:16 rbps=1048576");
	limit(true, "{\"blockIO\":{\"throttleWriteBpsDevice\":" DISK("0") "}}", "io.max", "8:16 wbps=max");
	limit(true, "{\"blockIO\":{\"throttleReadIOPSDevice\":" DISK("7") "}}", "io.max", "8:16 riops=7");
	limit(true, "{\"blockIO\":{\"throttleWriteIOPSDevice\":" DISK("7") "}}", "io.max", "8:16 wiops=7");
	limit(true, "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}]}", "hugetlb.2MB.max", "0");
	limit(true, "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]}", "hugetlb.2MB.rsvd.max", "4194304");
	limit(false, "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]}", "hugetlb.2MB.rsvd.limit_in_bytes", "4194304");
	limit(true, "{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":0}}}", "rdma.max", "mlx5_1 hca_handle=3 hca_object=0");
	limit(false, "{\"rdma\":{\"mlx5_1\":{\"hcaObjects\":9}}}", "rdma.max", "mlx5_1 hca_object=9");
	limit(false, "{\"network\":{\"classID\":1048577}}", "net_cls.classid", "1048577");
	limit(false, "{\"network\":{\"priorities\":[{\"name\":\"eth0\",\"priority\":5}]}}", "net_prio.ifpriomap", "eth0 5");
	limit(true, "{\"unified\":{\"some.new\":\"7\"}}", "some.new", "7");
	limit_refused(true, "{\"memory\":{\"swap\":3000}}", "needs memory.limit");
	limit_refused(true, "{\"memory\":{\"limit\":3000,\"swap\":1000}}", "must not be below memory.limit");
	limit_refused(true, "{\"memory\":{\"swappiness\":10}}", "cgroup v2 has no such limit");
	limit_refused(true, "{\"memory\":{\"disableOOMKiller\":true}}", "cgroup v2 has no such limit");
	limit_refused(false, "{\"memory\":{\"swappiness\":101}}", "not within 0 and 100");
	limit_refused(false, "{\"memory\":{\"limit\":1000,\"swap\":3000}}", "swapaccount=1");
	limit_refused(false, "{\"memory\":{\"useHierarchy\":false}}", "useHierarchy");
	limit_refused(true, "{\"cpu\":{\"realtimeRuntime\":5000}}", "cpu.realtimeRuntime: cgroup v2 has no such limit");
	limit_refused(true, "{\"network\":{\"classID\":5}}", "network.classID: cgroup v2 has no such limit");
	limit_refused(true, "{\"network\":{\"priorities\":[{\"name\":\"eth0\",\"priority\":5}]}}", "network.priorities: cgroup v2 has no");
	limit_refused(true, "{\"blockIO\":{\"leafWeight\":500}}", "blockIO.leafWeight: cgroup v2 has no such limit");
	limit_refused(false, "{\"blockIO\":{\"leafWeight\":500}}", "CFQ");
	limit_refused(true, "{\"hugepageLimits\":[{\"pageSize\":\"3MB\",\"limit\":0}]}", "/sys/kernel/mm/hugepages");
	limit_refused(true, "{\"unified\":{\"../x\":\"7\"}}", "not a file name");
	limit_refused(true, "{\"unified\":{\"hugetlb.2MB.max\":\"7\"}}", "controller hugetlb is not available");
	fs_remove_tree(AT_FDCWD, dir, NULL);
}

/* --- device rules, in the kernel ------------------------------------------------------------------------------ */

/* A process in the cgroup opens (and makes) a device; 0 or the errno. */
static int try_device(int cgroup_fd, mode_t type, unsigned major, unsigned minor, int flags)
{
	static const char node[] = "/dev/.test_cgroup";
	struct clone_args {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
			cgroup;
	} args = {.flags = 0x200000000ULL, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup_fd};
	int status, fd;
	pid_t pid;

	unlink(node);
	if (flags >= 0 && mknod(node, type | 0600, makedev(major, minor)) < 0)
		return errno;
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		if (flags < 0)
			_exit(mknod(node, type | 0600, makedev(major, minor)) < 0 ? errno : 0);
		fd = open(node, flags | O_NONBLOCK);
		_exit(fd < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	unlink(node);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *unified_dir(void)
{
	struct statfs fs;

	if (is_v2())
		return CGROUP_ROOT "/test_cgroup";
	return statfs(CGROUP_ROOT "/unified", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC ? CGROUP_ROOT "/unified/test_cgroup"
											     : NULL;
}

static int set_rules(int fd, const char *devices)
{
	auto_free char *text = str_printf(CONFIG("\"resources\":{\"devices\":%s}"), devices);
	struct error err = {0};
	struct spec s;
	int r = spec_parse(&s, "t", text, strlen(text), &err);

	if (r == 0) {
		r = cgroup_devices_v2(fd, s.linux_.resources, &err);
		spec_free(&s);
	}
	if (r < 0)
		printf("# %s\n", err.msg);
	return r;
}

static void test_devices(void)
{
	const char *path = unified_dir();
	auto_close int fd = -1;

	if (getuid() != 0 || !path || (mkdir(path, 0755) < 0 && errno != EEXIST)) {
		ok(true, "device rules by eBPF # SKIP needs root and a cgroup v2 hierarchy");
		return;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(set_rules(fd, "[]") == 0, "no rules at all");
	is_int(try_device(fd, S_IFCHR, 1, 3, O_RDWR), 0, "null can be used");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_RDONLY), EPERM, "kmsg cannot: everything is denied first");
	is_int(try_device(fd, S_IFCHR, 1, 11, -1), 0, "a node of it can be made");
	is_int(try_device(fd, S_IFBLK, 7, 0, O_RDONLY), EPERM, "block devices cannot be used");

	ok(set_rules(fd, "[{\"allow\":false,\"access\":\"rwm\"},"
			 "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":11,\"access\":\"r\"}]") == 0, "kmsg for reading");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_RDONLY), 0, "can be read: the rules were replaced");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_WRONLY), EPERM, "cannot be written");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_RDWR), EPERM, "nor both at once");

	ok(set_rules(fd, "[{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":11,\"access\":\"r\"},"
			 "{\"allow\":true,\"type\":\"c\",\"major\":1,\"access\":\"w\"}]") == 0, "two rules, one access each");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_RDWR), 0, "add up");

	ok(set_rules(fd, "[{\"allow\":true,\"access\":\"rwm\"},"
			 "{\"allow\":false,\"type\":\"c\",\"major\":1,\"minor\":11,\"access\":\"w\"}]") == 0, "all but one access");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_RDONLY), 0, "what is left of it");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_WRONLY), EPERM, "what was taken away");
	is_int(try_device(fd, S_IFCHR, 1, 12, O_RDONLY) != EPERM, 1, "other devices");

	ok(set_rules(fd, "[{\"allow\":true,\"type\":\"a\",\"major\":1,\"minor\":11,\"access\":\"rw\"}]") == 0,
	   "type a with numbers is not everything");
	is_int(try_device(fd, S_IFCHR, 1, 11, O_RDWR), 0, "the numbers given");
	is_int(try_device(fd, S_IFBLK, 7, 0, O_RDONLY), EPERM, "others");
	ok(rmdir(path) == 0, "the directory goes");
}

/* --- processes ----------------------------------------------------------------------------------------------- */

static void test_kill(void)
{
	struct cgroup c = {.dir_fd = -1};
	struct error err = {0};
	struct spec s;
	static const char text[] = CONFIG("\"cgroupsPath\":\"/test_cgroup/kill\",\"resources\":{\"pids\":{\"limit\":200}}");
	auto_free pid_t *pids = NULL;
	int r, status;
	pid_t child;

	if (getuid() != 0) {
		ok(true, "killing # SKIP needs root");
		return;
	}
	spec_parse(&s, "t", text, strlen(text), NULL);
	r = cgroup_plan(&s, "unit-test", NULL, &c, &err);
	r = r < 0 ? r : cgroup_make(&c, &s, &err);
	if (!ok(r == 0, "made"))
		printf("# %s\n", err.msg);
	child = fork();
	if (child == 0) {
		if (c.v2 ? cgroup_join(&c, getpid(), NULL) < 0 : cgroup_enter(&c, NULL) < 0)
			_exit(1);
		for (int i = 0; i < 20; i++)
			fork(); /* most of them meet the limit, which is well below 2^20 */
		for (;;)
			pause();
	}
	while (r == 0 && cgroup_pids(&c, &pids, NULL) < 50) {
		free(pids);
		pids = NULL;
		usleep(1000);
	}
	refused(text, NULL, EBUSY, "container's cgroup is not empty", "a populated cgroup");
	if (!ok(cgroup_freeze(&c, true, &err) == 0 && cgroup_is_frozen(&c), "frozen"))
		printf("# %s\n", err.msg);
	refused(text, NULL, EBUSY, "unexpectedly frozen", "a frozen cgroup");
	if (!ok(cgroup_kill(&c, SIGKILL, &err) == 0, "killed while they fork"))
		printf("# %s\n", err.msg);
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the first is dead");
	if (!ok(cgroup_remove(&c, &err) == 0, "removed"))
		printf("# %s\n", err.msg);
	ok(access(c.dirs[0].path, F_OK) < 0, "nothing is left, not even the directory above");
	ok(cgroup_remove(&c, NULL) == 0, "removing again is success");
	cgroup_close(&c);
	spec_free(&s);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	test_plan();
	test_from_paths();
	test_limits();
	test_devices();
	test_kill();
	return done_testing();
}
