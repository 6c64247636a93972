/* The pty inside the container, and handing its master over. */
#include "terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <termios.h>

#include "cleanup.h"
#include "container.h"
#include "error.h"
#include "fs.h"
#include "init.h"
#include "rootfs.h"
#include "spec.h"
#include "sync.h"

enum { PTMX_MAJOR = 5, PTMX_MINOR = 2 };

/* What stands at dev/pts/ptmx is the image's or a mount's choice: anything but the multiplexer of a devpts instance
 * (a bind mount, a device node of other meaning) must not get our ioctls. */
static int verify_ptmx(int fd, struct error *err)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return error_sys(err, "cannot examine /dev/pts/ptmx");
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return error_set(err, EINVAL, "cannot open a terminal: the container's /dev/pts/ptmx is not on a devpts "
				 "file system; mount one of type devpts at /dev/pts");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR))
		return error_set(err, EINVAL, "cannot open a terminal: the container's /dev/pts/ptmx is not the pty "
				 "multiplexer (character device 5:2)");
	return 0;
}

static int open_ptmx(int root_fd, struct error *err)
{
	auto_close int fd = fs_open_in_root(root_fd, "dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, err);
	int r;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return error_set(err, -fd, "cannot open a terminal: the container has no usable /dev/pts/ptmx; mount a file "
				 "system of type devpts at /dev/pts");
	if (fd < 0)
		return error_wrap(err, "cannot open a terminal (if the mode of /dev/pts/ptmx is in the way, mount devpts with "
				  "ptmxmode=0666)");
	r = verify_ptmx(fd, err);
	return r < 0 ? r : take_fd(&fd);
}

static int set_size(int fd, const struct spec_console_size *size, struct error *err)
{
	struct winsize w = {.ws_row = size->height, .ws_col = size->width};

	if (size->height > UINT16_MAX || size->width > UINT16_MAX)
		return error_set(err, EINVAL, "process.consoleSize: %ux%u is too large for a terminal", size->height,
				 size->width);
	if (ioctl(fd, TIOCSWINSZ, &w) < 0)
		return error_sys(err, "cannot set the terminal's size");
	return 0;
}

/* Before the program can look: in the parent, at the other end, it would be a race. */
static int set_foreground(int slave, struct error *err)
{
	struct termios t;

	if (tcgetattr(slave, &t) < 0)
		return error_sys(err, "cannot read the terminal's settings");
	t.c_oflag &= ~ONLCR;
	if (tcsetattr(slave, TCSANOW, &t) < 0)
		return error_sys(err, "cannot set the terminal's settings");
	terminal_copy_size(slave);
	return 0;
}

static int give_to_user(int slave, uid_t uid, struct error *err)
{
	struct stat st;

	if (fstat(slave, &st) < 0)
		return error_sys(err, "cannot examine the terminal");
	if (st.st_uid != uid && fchown(slave, uid, (gid_t)-1) < 0)
		return error_sys(err, "cannot give the terminal to user %u", uid);
	return 0;
}

/* The file to mount on: made when it is missing, beneath the dev directory that was found inside the root. */
static int open_console(int root_fd, struct error *err)
{
	auto_close int fd = -1, dev = fs_open_in_root(root_fd, "dev", O_PATH | O_DIRECTORY, 0, err);
	struct stat st;

	if (dev < 0)
		return error_wrap(err, "cannot mount /dev/console");
	fd = openat(dev, "console", O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	close_fd(&fd);
	fd = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(err, "cannot open /dev/console of the container");
	if (S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
		return error_set(err, EINVAL, "cannot mount the terminal on /dev/console: it is a %s; remove it from the image",
				 S_ISDIR(st.st_mode) ? "directory" : "symbolic link");
	return take_fd(&fd);
}

static int bind_console(int root_fd, int slave, struct error *err)
{
	auto_close int target = open_console(root_fd, err), tree = -1;

	if (target < 0)
		return target;
	tree = open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0 || move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_sys(err, "cannot mount the terminal on /dev/console");
	return 0;
}

int terminal_open(const struct terminal_request *r, int *ret_master, int *ret_slave, struct error *err)
{
	auto_close int root = -1, master = -1, slave = -1;
	int root_fd = r->root_fd, unlocked = 0, rc = 0;

	if (root_fd < 0) {
		root = fs_open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, err);
		if (root < 0)
			return root;
		root_fd = root;
	}
	master = open_ptmx(root_fd, err);
	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return error_sys(err, "cannot unlock the terminal");
	/* By the master itself: a name in dev/pts could be somebody else's file. */
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_sys(err, "cannot open the terminal's slave");
	if (r->size)
		rc = set_size(slave, r->size, err);
	if (rc == 0 && r->foreground)
		rc = set_foreground(slave, err);
	if (rc == 0)
		rc = give_to_user(slave, r->uid, err);
	if (rc == 0 && r->console)
		rc = bind_console(root_fd, slave, err);
	if (rc < 0)
		return rc;
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}

int terminal_attach(int slave, struct error *err)
{
	auto_close int high = -1;

	/* With 0..2 closed the slave may be one of them, and dup2() onto itself would leave it close-on-exec. */
	if (slave <= STDERR_FILENO) {
		high = fcntl(slave, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (high < 0)
			return error_sys(err, "cannot duplicate the terminal");
		slave = high;
	}
	if (getsid(0) != getpid() && setsid() < 0)
		return error_sys(err, "cannot start a session for the terminal");
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return error_sys(err, "cannot make the terminal the session's own");
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(slave, fd) < 0)
			return error_sys(err, "cannot make the terminal descriptor %d", fd);
	return 0;
}

int rootfs_terminal(struct init_ctx *ctx, struct error *err)
{
	const struct spec_process *p = ctx->spec->process;
	auto_close int master = -1, slave = -1;
	int number, r;

	if (!p || !p->terminal || ctx->services)
		return 0;
	const struct terminal_request request = {
		.root_fd = ctx->root_fd,
		.size = p->console_size,
		.uid = p->user.uid,
		/* Anywhere else the mount would land in a namespace that others look at. */
		.console = ctx->plan->clone_flags & CLONE_NEWNS,
		.foreground = !ctx->options->console_socket,
	};
	r = terminal_open(&request, &master, &slave, err);
	if (r < 0)
		return r;
	if (ioctl(master, TIOCGPTN, &number) < 0)
		return error_sys(err, "cannot read the terminal's number");
	r = sync_send(ctx->sync, SYNC_CONSOLE, number, master, err);
	if (r < 0)
		return r;
	return terminal_attach(slave, err);
}

int terminal_check_socket(bool terminal, bool detached, const char *console_socket, struct error *err)
{
	bool needed = terminal && detached;

	if (needed && !console_socket)
		return error_set(err, EINVAL, "cannot allocate tty if nsrun will detach without setting console socket: "
				 "use --console-socket, or process.terminal false");
	if (!needed && console_socket)
		return error_set(err, EINVAL, "cannot use console socket if nsrun will not detach or allocate tty: "
				 "leave --console-socket out");
	return 0;
}

/* Fills the address. A path that is too long for one is reached through *ret_fd, which must live until connect(). */
static int socket_address(const char *path, struct sockaddr_un *ret, int *ret_fd, struct error *err)
{
	char proc[FS_PROC_FD_SIZE];

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path)) {
		*ret_fd = fs_open_at(AT_FDCWD, path, O_PATH, 0, err);
		if (*ret_fd < 0)
			return *ret_fd;
		path = fs_proc_fd(*ret_fd, proc);
	}
	memcpy(ret->sun_path, path, strlen(path) + 1);
	return 0;
}

int terminal_send(const char *socket_path, const char *payload, int fd, struct error *err)
{
	auto_close int by_path = -1, sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (char *)payload, .iov_len = strlen(payload)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int r;

	if (sock < 0)
		return error_sys(err, "cannot make a socket");
	r = socket_address(socket_path, &addr, &by_path, err);
	if (r < 0)
		return r;
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return error_sys(err, "cannot connect to %s", socket_path);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		return error_sys(err, "cannot send a descriptor to %s", socket_path);
	return 0;
}

int terminal_send_master(const char *socket_path, int master, struct error *err)
{
	char name[32];
	int number;

	if (ioctl(master, TIOCGPTN, &number) < 0)
		return error_sys(err, "cannot read the terminal's number");
	snprintf(name, sizeof(name), "/dev/pts/%d", number);
	return terminal_send(socket_path, name, master, err);
}
