/* PID 1 of the test guest (tests/vm/run starts it), in four stages:
 *
 *   boot       in the initramfs: loads the few modules that the shares need, says "ready" on the control port. Here the guest
 *              may be snapshotted: nothing of the host is mounted yet. Then it is told what to do, as key=value records.
 *   new root   the host's file tree, read-only, below an overlay in memory (or on a disk that lasts: reboot tests)
 *   services   PID 1 becomes systemd, with units of our own only (tests/vm/units), or stays, to reap
 *   job        "init job": runs the command with its output going to the host, tells its status, ends the machine
 *
 * Whatever fails is said on the console, which tests/vm/run shows when the guest ends without a status. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONF "/run/vm/conf" /* the records, for the job */
#define SELF "/run/vm/init"
#define UNITS "/run/systemd/system"

enum { CONF_MAX = 128 * 1024, PATH_SIZE = 512, ARGS_MAX = 4096, PORT_TRIES = 200 };

static char conf[CONF_MAX]; /* records, each ended by NUL, the last one empty */
static size_t conf_len;

/* --- what fails ------------------------------------------------------------------------------------------------ */

static void complain(const char *what)
{
	fprintf(stderr, "vm init: %s: %s\n", what, strerror(errno));
}

/* The power goes: nothing is written back. */
static _Noreturn void power_off(void)
{
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static _Noreturn void die(const char *what)
{
	complain(what);
	power_off();
}

/* --- small helpers --------------------------------------------------------------------------------------------- */

static void write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w <= 0)
			return;
		p += w;
		n -= (size_t)w;
	}
}

static __attribute__((format(printf, 2, 3))) void write_file(const char *path, const char *format, ...)
{
	char text[PATH_SIZE];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), n;
	va_list args;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		complain(path);
	close(fd);
}

static void mount_on(const char *source, const char *dir, const char *type, unsigned long flags, const char *data)
{
	mkdir(dir, 0755);
	if (mount(source, dir, type, flags, data) < 0)
		complain(dir);
}

static void run_command(const char *command)
{
	if (system(command) != 0)
		fprintf(stderr, "vm init: %s failed\n", command);
}

/* --- records --------------------------------------------------------------------------------------------------- */

/* The next value of the key after *at (NULL: the first), or NULL. */
static const char *next_value(const char **at, const char *key)
{
	size_t len = strlen(key);
	const char *p = *at ? *at : conf;

	while (*p) {
		const char *record = p;

		p += strlen(p) + 1;
		*at = p;
		if (strncmp(record, key, len) == 0 && record[len] == '=')
			return record + len + 1;
	}
	return NULL;
}

static const char *value(const char *key)
{
	const char *at = NULL, *v = next_value(&at, key);

	return v ? v : "";
}

static bool is_set(const char *key)
{
	return value(key)[0] != '\0';
}

/* --- ports to the host ------------------------------------------------------------------------------------------ */

static bool has_name(const char *entry, const char *name)
{
	char path[PATH_SIZE], found[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(found, sizeof(found), f))
		found[0] = '\0';
	fclose(f);
	found[strcspn(found, "\n")] = '\0';
	return strcmp(found, name) == 0;
}

/* Opens the virtio-serial port of that name; it appears some time after its driver. */
static int open_port(const char *name, int flags)
{
	for (int tries = 0; tries < PORT_TRIES; tries++, usleep(10000)) {
		DIR *d = opendir("/sys/class/virtio-ports");
		struct dirent *e;

		while (d && (e = readdir(d))) {
			char path[PATH_SIZE];

			if (e->d_name[0] == '.' || !has_name(e->d_name, name))
				continue;
			snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			closedir(d);
			return open(path, flags | O_CLOEXEC);
		}
		if (d)
			closedir(d);
	}
	errno = ENODEV;
	return -1;
}

/* --- job ------------------------------------------------------------------------------------------------------- */

static _Noreturn void exec_command(void)
{
	static char *argv[ARGS_MAX];
	const char *at = NULL, *v;
	size_t n = 0;

	while ((v = next_value(&at, "env")))
		putenv((char *)v);
	at = NULL;
	while ((v = next_value(&at, "arg")) && n < ARGS_MAX - 1)
		argv[n++] = (char *)v;
	if (chdir(value("cwd")) < 0)
		complain(value("cwd"));
	execvp(argv[0], argv);
	complain(argv[0]);
	_exit(127);
}

/* The command on the console, for tests/vm/run -i. */
static pid_t start_on_console(void)
{
	struct winsize size = {.ws_row = (unsigned short)atoi(value("rows")), .ws_col = (unsigned short)atoi(value("cols"))};
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setsid();
	close(0);
	if (open("/dev/ttyS0", O_RDWR) != 0 || ioctl(0, TIOCSCTTY, 1) < 0)
		complain("/dev/ttyS0");
	ioctl(0, TIOCSWINSZ, &size);
	dup2(0, 1);
	dup2(0, 2);
	exec_command();
}

/* The command with its stdout and stderr into pipes: a port can be opened once only. */
static pid_t start_on_pipes(int pipes[2][2])
{
	pid_t pid;

	for (int i = 0; i < 2; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			die("pipe");
	pid = fork();
	if (pid != 0)
		return pid;
	setsid();
	close(0);
	if (open("/dev/null", O_RDONLY) != 0)
		complain("/dev/null");
	dup2(pipes[0][1], 1);
	dup2(pipes[1][1], 2);
	exec_command();
}

/* Carries the output until the command has ended and nothing is left to read; what its children keep open does not count.
 * Returns its status as waitpid(2) gives it. */
static int carry_output(pid_t pid, int pipes[2][2])
{
	static char chunk[64 * 1024];
	const int ports[2] = {open_port("out", O_WRONLY), open_port("err", O_WRONLY)};
	struct pollfd fds[2];
	bool running = true;
	int status = 0;

	for (int i = 0; i < 2; i++) {
		close(pipes[i][1]);
		fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
		fds[i] = (struct pollfd){.fd = pipes[i][0], .events = POLLIN};
	}
	for (;;) {
		bool got = false;

		/* First a look at the process, then at the pipes: nothing written before it ended is lost. */
		if (running && waitpid(pid, &status, WNOHANG) == pid)
			running = false;
		for (int i = 0; i < 2; i++) {
			ssize_t n = fds[i].fd < 0 ? 0 : read(fds[i].fd, chunk, sizeof(chunk));

			if (n > 0)
				write_all(ports[i], chunk, (size_t)n);
			if (n == 0)
				fds[i].fd = -1;
			got |= n > 0;
		}
		if (got)
			continue;
		if (!running)
			return status;
		poll(fds, 2, fds[0].fd < 0 && fds[1].fd < 0 ? 5 : 20);
	}
}

static _Noreturn void job(void)
{
	int pipes[2][2], control = open_port("rc", O_WRONLY), status = 0;
	char text[16];
	int n;

	if (is_set("rows"))
		waitpid(start_on_console(), &status, 0);
	else
		status = carry_output(start_on_pipes(pipes), pipes);
	n = snprintf(text, sizeof(text), "%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	write_all(control, text, (size_t)n);
	if (!is_set("shutdown"))
		power_off();
	run_command("systemctl --no-block poweroff");
	for (;;)
		pause();
}

/* --- services -------------------------------------------------------------------------------------------------- */

/* systemd with none of the machine's own services: its targets are empty, and real are only the few units named here and
 * those of tests/vm/units. In the reboot tests also what was enabled in /etc. */
static void make_units(void)
{
	static const char *const empty[] = {
		"sysinit", "basic", "sockets", "paths", "timers", "slices", "local-fs", "network", "network-pre", "network-online",
		"remote-fs", "time-set", "nss-lookup", "nss-user-lookup", "shutdown", "umount", "final", "multi-user", "default", "rescue",
		"emergency",
	};
	static const char *const real[] = {
		"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-logind.service",
		"user@.service", "user-runtime-dir@.service", "user.slice", "poweroff.target", "systemd-poweroff.service",
		"reboot.target", "systemd-reboot.service",
	};
	char path[PATH_SIZE], target[PATH_SIZE];

	mkdir("/run/systemd", 0755);
	mkdir(UNITS, 0755);
	mkdir("/run/dbus", 0755);
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		snprintf(path, sizeof(path), UNITS "/%s.target", empty[i]);
		write_file(path, "[Unit]\nDefaultDependencies=no\n");
	}
	for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++) {
		snprintf(path, sizeof(path), UNITS "/%s", real[i]);
		snprintf(target, sizeof(target), "/lib/systemd/system/%s", real[i]);
		if (symlink(target, path) < 0)
			complain(path);
	}
	if (symlink("/lib/systemd/system/systemd-logind.service", UNITS "/dbus-org.freedesktop.login1.service") < 0)
		complain("dbus-org.freedesktop.login1.service");
}

static _Noreturn void become_systemd(void)
{
	char path[PATH_SIZE];

	make_units();
	/* The first two are where systemd keeps transient units and their changed properties, and finds them after a reload. */
	snprintf(path, sizeof(path), "/run/systemd/system.control:/run/systemd/transient:%s/units:" UNITS "%s", value("bed"),
		 is_set("persist") ? ":/etc/systemd/system:/usr/local/lib/systemd/system" : "");
	setenv("SYSTEMD_UNIT_PATH", path, 1);
	setenv("SYSTEMD_GENERATOR_PATH", "/nonexistent", 1);
	execl("/lib/systemd/systemd", "systemd", is_set("persist") ? "--unit=vm-persist.target" : "--unit=vm.target",
	      "--log-target=kmsg", "--log-level=notice", "--show-status=no", NULL);
	die("exec systemd");
}

/* Without systemd every controller is enabled for sub-cgroups here, as systemd would do. */
static _Noreturn void stay(void)
{
	char line[256] = "";
	FILE *f = fopen("/sys/fs/cgroup/cgroup.controllers", "re");

	if (!f || !fgets(line, sizeof(line), f))
		complain("cgroup.controllers");
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"))
		write_file("/sys/fs/cgroup/cgroup.subtree_control", "+%s", word);
	if (fork() == 0)
		job();
	for (;;)
		if (wait(NULL) < 0)
			pause();
}

/* --- new root -------------------------------------------------------------------------------------------------- */

/* What the overlay writes to: memory, or the disk that lasts. */
static void mount_upper(void)
{
	if (!is_set("persist")) {
		mount_on("rw", "/rw", "tmpfs", 0, "size=75%,mode=755");
	} else {
		for (int i = 0; i < PORT_TRIES && access("/dev/vda", F_OK) < 0; i++)
			usleep(10000);
		mount_on("/dev/vda", "/rw", "ext4", 0, NULL);
	}
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
}

static void mount_root(void)
{
	static const char read_only[] = "trans=virtio,version=9p2000.L,msize=512000,cache=loose";
	static const char writable[] = "trans=virtio,version=9p2000.L,msize=512000,cache=none";
	const char *at = NULL, *dir;

	mount_on("root", "/lower", "9p", MS_RDONLY, read_only);
	mount_upper();
	mkdir("/new", 0755);
	if (mount("root", "/new", "overlay", 0, "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work,xino=off,index=off") < 0)
		die("overlay");
	for (int i = 0; (dir = next_value(&at, "rw")); i++) {
		char tag[16], path[PATH_SIZE];

		snprintf(tag, sizeof(tag), "rw%d", i);
		snprintf(path, sizeof(path), "/new%s", dir);
		mount_on(tag, path, "9p", 0, writable);
	}
	mount_on("run", "/new/run", "tmpfs", 0, "mode=755");
	mkdir("/new/run/vm", 0755);
	mkdir("/new/run/lock", 0755);
	mkdir("/new/scratch", 0755);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	static char chunk[64 * 1024];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	ssize_t n;

	if (in < 0 || out < 0)
		die(to);
	while ((n = read(in, chunk, sizeof(chunk))) > 0)
		write_all(out, chunk, (size_t)n);
	close(in);
	close(out);
}

/* Takes the job's part of init along, and the records. */
static void switch_root(void)
{
	static const char *const kept[] = {"/dev", "/proc", "/sys"};
	int fd = open("/new" CONF, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	write_all(fd, conf, conf_len);
	close(fd);
	copy_file("/init", "/new" SELF, 0755);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		char path[PATH_SIZE];

		snprintf(path, sizeof(path), "/new%s", kept[i]);
		if (mount(kept[i], path, NULL, MS_MOVE, NULL) < 0)
			die(path);
	}
	if (chdir("/new") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		die("switch root");
}

static void make_node(const char *path, unsigned minor, mode_t mode)
{
	if (mknod(path, S_IFCHR | mode, makedev(10, minor)) < 0 && errno != EEXIST)
		complain(path);
	chmod(path, mode);
}

static void fill_dev(void)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"},
	};

	mount_on("devpts", "/dev/pts", "devpts", 0, "gid=5,mode=620,ptmxmode=666");
	mount_on("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_on("mqueue", "/dev/mqueue", "mqueue", 0, NULL);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			complain(links[i][1]);
	/* Their drivers load when they are opened. */
	mkdir("/dev/net", 0755);
	make_node("/dev/net/tun", 200, 0666);
	make_node("/dev/fuse", 229, 0666);
	make_node("/dev/loop-control", 237, 0660);
}

static void mount_rest(void)
{
	char path[PATH_SIZE];

	mkdir("/lib/modules", 0755);
	snprintf(path, sizeof(path), "%s/lib/modules", value("kernel"));
	if (mount(path, "/lib/modules", NULL, MS_BIND, NULL) < 0)
		complain(path);
	fill_dev();
	mount_on("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate,memory_recursiveprot");
	mount_on("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
	if (is_set("disk")) {
		run_command("modprobe virtio_blk && modprobe ext4");
		for (int i = 0; i < PORT_TRIES && access("/dev/vda", F_OK) < 0; i++)
			usleep(10000);
		mount_on("/dev/vda", "/scratch", "ext4", 0, NULL);
	} else {
		mount_on("scratch", "/scratch", "tmpfs", 0, NULL);
	}
	chmod("/scratch", 01777);
	if (is_set("nic"))
		run_command("modprobe virtio_net");
}

static void set_up_machine(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct rlimit files = {65536, 65536};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sethostname("vm", 2) < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		complain("network");
	close(fd);
	mount("none", "/", NULL, MS_REC | MS_SHARED, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
}

/* --- boot ------------------------------------------------------------------------------------------------------ */

static void load_module(const char *name)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "/m/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		complain(path);
	close(fd);
}

/* A list's modules, in its order. */
static void load_modules(const char *list)
{
	FILE *f = fopen(list, "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		load_module(line);
	}
	if (f)
		fclose(f);
}

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static void read_conf(void)
{
	int control = open_port("rc", O_RDWR);

	if (control < 0)
		die("no control port");
	write_all(control, "ready\n", 6);
	while (conf_len < 2 || conf[conf_len - 1] || conf[conf_len - 2]) {
		ssize_t n = read(control, conf + conf_len, sizeof(conf) - conf_len - 1);

		if (n > 0)
			conf_len += (size_t)n;
		else
			usleep(2000); /* the host has not opened its side yet */
	}
	close(control);
}

/* Guests that are resumed from one snapshot must share neither the time nor the state of the random numbers. */
static void set_clock_and_seed(void)
{
	struct timespec now = {.tv_sec = atol(value("time"))};
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

	if (now.tv_sec)
		clock_settime(CLOCK_REALTIME, &now);
	write_all(fd, value("seed"), strlen(value("seed")));
	ioctl(fd, RNDRESEEDCRNG);
	close(fd);
}

static void set_environment(void)
{
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "dumb", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("TMPDIR", "/scratch", 1);
	setenv("NSRUN_TEST_VM", "1", 1);
}

int main(int argc, char **argv)
{
	set_environment();
	if (argc > 1 && strcmp(argv[1], "job") == 0) {
		int fd = open(CONF, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, conf, sizeof(conf) - 2) < 0)
			die(CONF);
		job();
	}
	mount_on("dev", "/dev", "devtmpfs", 0, NULL);
	mount_on("proc", "/proc", "proc", 0, NULL);
	mount_on("sys", "/sys", "sysfs", 0, NULL);
	open_console();
	load_modules("/m/order");
	read_conf();
	set_clock_and_seed();
	if (is_set("persist"))
		load_modules("/m/order.disk");
	mount_root();
	switch_root();
	mount_rest();
	set_up_machine();
	if (is_set("systemd"))
		become_systemd();
	stay();
}
